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


"""Real objects on a shelf from several views, judged in a view that was kept back.

There are no true meshes; but a mesh that is right where the present view saw nothing agrees with
what another camera saw there. The poses come from a robot arm; they are right to 3 to 6 mm.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sam3d_ros.completion.lift import LiftBackend
from sam3d_ros.config import SceneConfig
from sam3d_ros.evaluation.datasets import load_scene, scene_folders
from sam3d_ros.evaluation.metrics import compare_to_view
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import EarlierView, Observation, Similarity

SHELF = Path("shelf_multiview")  # within the data folder
MARGIN_PX = 24
NUM_VIEWS = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfFigures:
    """How well meshes of a number of views explain a view that was kept back."""

    views: int
    silhouette_iou: float  # means over objects and views kept back
    depth_residual_mm: float
    left_out: float  # views per object


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """What one camera saw of all objects."""

    observations: Mapping[str, Observation]  # by name
    world_from_camera: Similarity


def shelf_figures(folder: Path, config: SceneConfig) -> list[ShelfFigures]:
    """Return the figures for each number of views; views are kept back in turns.

    Raises:
        DatasetError: The folder cannot be read.
    """
    looks = list(_looks(folder, config))
    return [_figures(num_views, looks, config) for num_views in NUM_VIEWS]


def _looks(folder: Path, config: SceneConfig) -> Iterator[_Look]:
    for path in scene_folders(folder):
        frame = load_scene(path).frame
        if frame.fixed_from_camera is None:
            continue
        found = observe(frame, config).observations
        yield _Look(
            observations={item.instance.class_id: item for item in found},
            world_from_camera=frame.fixed_from_camera,
        )


def _figures(num_views: int, looks: Sequence[_Look], config: SceneConfig) -> ShelfFigures:
    backend = LiftBackend(config.lift)
    rows = []
    for index in range(len(looks)):
        kept_back, present, *others = (*looks[index:], *looks[:index])
        for name, observation in present.observations.items():
            judge = kept_back.observations.get(name)
            if judge is None:
                continue
            views = tuple(
                _earlier(name, look, present) for look in others if name in look.observations
            )
            made = backend.reconstruct(replace(observation, earlier=views[: num_views - 1]))
            judge_from_present = kept_back.world_from_camera.inverse() @ present.world_from_camera
            mesh = made.mesh_object.transformed(judge_from_present @ made.camera_from_object)
            fit = compare_to_view(mesh, judge)
            left_out = sum("left out" in note for note in made.provenance.notes)
            rows.append((fit.silhouette_iou, fit.depth_residual_mm, float(left_out)))
    iou, residual_mm, left_out_mean = np.nanmean(rows, axis=0)
    return ShelfFigures(
        views=num_views,
        silhouette_iou=float(iou),
        depth_residual_mm=float(residual_mm),
        left_out=float(left_out_mean),
    )


def _earlier(name: str, look: _Look, present: _Look) -> EarlierView:
    return EarlierView(
        observation=look.observations[name].cropped(MARGIN_PX),
        camera_from_earlier=present.world_from_camera.inverse() @ look.world_from_camera,
    )
