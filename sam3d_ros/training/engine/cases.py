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

"""What the engine asks a model about: views of objects, with their truth where that is known."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import DatasetError, DepthSparseError
from sam3d_ros.evaluation.datasets import load_scene, scene_folders
from sam3d_ros.objects.volume.prepare import prepare
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView
from sam3d_ros.scene.observe import observe
from sam3d_ros.training.batch import TrainingBatch

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cases:
    """B objects to reconstruct, on one device."""

    view: VolumeView
    box: VolumeBox
    rgb: Tensor  # (B, 3, P, P) in [0, 1]
    names: tuple[str, ...]
    truth: Tensor | None  # (B, R, R, R) truncated distances

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.names)


def cases_of(batch: TrainingBatch) -> Cases:
    """Return the objects of a training batch."""
    numbered = zip(batch.families, batch.seeds, strict=True)
    return Cases(
        view=batch.view,
        box=batch.box,
        rgb=batch.rgb,
        names=tuple(f"{family}#{seed}" for family, seed in numbered),
        truth=batch.distance,
    )


def cases_in(path: Path, crop_px: int, device: torch.device) -> Iterator[Cases]:
    """Read the objects of scene folders one by one, without truth: depth and masks are enough.

    Raises:
        DatasetError: A file is missing or damaged, or no object has enough depth.
    """
    found, refusals = False, ""
    for folder in scene_folders(path):
        scene = load_scene(folder)
        observed = observe(scene.frame, SceneConfig())
        refusals = "; ".join([*(str(error) for error in observed.errors.values()), refusals])
        for observation in observed.observations:
            name = f"{scene.name}/{observation.instance.class_id}"
            try:
                prepared = prepare(observation, crop_px, device)
            except DepthSparseError as error:
                refusals = f"{error}; {refusals}"
                _log.warning("%s is left out: %s", name, error)
                continue
            found = True
            yield Cases(
                view=prepared.view,
                box=prepared.box,
                rgb=prepared.rgb,
                names=(name,),
                truth=None,
            )
    if not found:
        raise DatasetError(
            f"{path}: expected masks with depth, found none; {refusals or 'no mask'}"
        )
