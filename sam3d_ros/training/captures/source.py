# Copyright 2026 The sam3d_ros Authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""A user's captures as a source of training batches for the volume model."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sam3d_ros.errors import DatasetError, DepthSparseError
from sam3d_ros.objects.volume.box import box_of, with_sure_plane
from sam3d_ros.objects.volume.prepare import CROP_PX, PreparedVolume, prepare
from sam3d_ros.objects.volume.view import VolumeView, joined_views
from sam3d_ros.structures import Mesh, Similarity
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.captures.reading import Capture, captures_in
from sam3d_ros.training.captures.solids import SolidGrids, check_closed, solid_grids
from sam3d_ros.training.captures.truth import PosedObjects, box_truth, mirrored
from sam3d_ros.training.captures.variation import Variation, mirrored_view, varied
from sam3d_ros.training.recipe import TrainingConfig
from sam3d_ros.training.sources import shuffled_rounds

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaptureSet:
    """M captures, as small as the volume model sees them, and the K meshes that they show."""

    view: VolumeView  # of M
    rgb: Tensor  # (M, 3, P, P)
    objects: PosedObjects  # of M
    grids: SolidGrids  # of K
    names: tuple[str, ...]  # of M

    def to(self, device: torch.device | str) -> "CaptureSet":
        """Return the set on a device."""
        return CaptureSet(
            view=self.view.to(device),
            rgb=self.rgb.to(device),
            objects=self.objects.to(device),
            grids=self.grids.to(device),
            names=self.names,
        )


def capture_source(path: Path, config: TrainingConfig, device: torch.device) -> "CaptureSource":
    """Return the captures at or below a folder as training data for nano.

    Raises:
        DatasetError: See ``captures_in``, or a mesh is not closed.
    """
    captures = capture_set(captures_in(path), config.data.crop_px).to(device)
    return CaptureSource(captures, Variation(), config.seed, config.architecture.resolution)


def capture_set(captures: Iterable[Capture], crop_px: int = CROP_PX) -> CaptureSet:
    """Prepare captures; meshes are measured once each.

    Raises:
        DatasetError: A mesh is not closed, or no capture shows enough of its object.
    """
    meshes: dict[Path, Mesh] = {}
    prepared: list[PreparedVolume] = []
    poses: list[tuple[int, Similarity]] = []
    names: list[str] = []
    for capture in captures:
        try:
            view = prepare(capture.observation, crop_px)
        except DepthSparseError as error:
            _log.warning("%s is left out: %s", capture.name, error)
            continue
        path = capture.mesh_path.resolve()
        if path not in meshes:
            check_closed(capture.mesh_object, capture.mesh_path)
            meshes[path] = capture.mesh_object
        prepared.append(view)
        poses.append((list(meshes).index(path), capture.camera_from_object))
        names.append(capture.name)
    if not prepared:
        raise DatasetError(
            "expected captures with depth on their objects, all were left out; check that depth is "
            "registered to the image"
        )
    grids = solid_grids(list(meshes.values()))
    return CaptureSet(
        view=joined_views([each.view for each in prepared]),
        rgb=torch.cat([each.rgb for each in prepared]),
        objects=_posed(poses, grids),
        grids=grids,
        names=tuple(names),
    )


class CaptureSource:
    """Training batches of captures, each time in another variation.

    Every capture comes once before any comes twice. A batch follows from its arguments and the
    seed alone.
    """

    def __init__(
        self, captures: CaptureSet, variation: Variation, seed: int = 0, resolution: int = 64
    ) -> None:
        self._captures = captures
        self._variation = variation
        self._seed = seed
        self._resolution = resolution

    def __len__(self) -> int:
        """Return how many captures there are."""
        return len(self._captures.names)

    def batch(self, step: int, size: int) -> TrainingBatch:
        """Return the samples of one step."""
        device = self._captures.rgb.device
        index = shuffled_rounds(len(self), step * size, size, self._seed).to(device)
        generator = torch.Generator(device).manual_seed(_mixed(self._seed, step))
        flipped = torch.rand(size, generator=generator, device=device) < self._variation.mirror
        view = mirrored_view(self._captures.view[index], flipped)
        view = with_sure_plane(varied(view, self._variation, generator))
        rgb = self._captures.rgb[index]
        box = box_of(view)
        objects = mirrored(self._captures.objects[index], flipped)
        truth = box_truth(objects, self._captures.grids, box, self._resolution)
        return TrainingBatch(
            view=view,
            box=box,
            rgb=torch.where(flipped[:, None, None, None], rgb.flip(-1), rgb),
            distance=truth.distance,
            box_rotation_object=truth.box_rotation_object,
            box_centre_object=truth.box_centre_object,
            extent=truth.extent,
            families=tuple(self._captures.names[i] for i in index.tolist()),
            seeds=tuple(range(step * size, (step + 1) * size)),
        )


def _mixed(seed: int, step: int) -> int:
    """Return a seed of its own for every seed and step (a step of the SplitMix64 generator)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step + 1) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ (mixed >> 27)) >> 1


def _posed(poses: Sequence[tuple[int, Similarity]], grids: SolidGrids) -> PosedObjects:
    solid = torch.tensor([index for index, _ in poses])
    rotation = torch.stack([torch.from_numpy(pose.rotation).float() for _, pose in poses])
    origin_m = torch.stack([torch.from_numpy(pose.translation_m).float() for _, pose in poses])
    middle_m = (rotation @ grids.middle_m[solid][..., None])[..., 0] + origin_m
    return PosedObjects(
        solid=solid,
        rotation=rotation,
        middle_m=middle_m,
        mirrored=torch.zeros(len(poses), dtype=torch.bool),
    )
