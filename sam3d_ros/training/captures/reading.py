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

"""Captures with masks, meshes and poses, one object at a time, checked before anything learns.

Folders are those of ``evaluation.datasets``. What contradicts itself is an error that names the
file; what is only unknown (an object without mesh or pose, a mask without depth) is left out.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.datasets import (
    DEPTH_FILES,
    LIDAR_FILE,
    TRUTH_FILE,
    Scene,
    TruthObject,
    load_scene,
    scene_folders,
)
from sam3d_ros.evaluation.metrics import compare_to_view
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Mesh, Observation, Similarity

SCALE_TOLERANCE = 1e-3  # of a pose, which carries no scale
SIZES_M = (0.005, 5.0)  # of largest extents; millimetres taken for metres are far beyond
MIN_SILHOUETTE_IOU = 0.25  # of the posed mesh; less is another object, or a pose that is inverted

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capture:
    """One object in one view, with the truth."""

    name: str  # of scene and object
    observation: Observation
    mesh_path: Path
    mesh_object: Mesh  # metres
    camera_from_object: Similarity  # rigid


def captures_in(path: Path, config: SceneConfig | None = None) -> Iterator[Capture]:
    """Read the captures at or below a folder, one by one: views of many do not fit in memory.

    Raises:
        DatasetError: A file is missing, damaged or contradicts another, or nothing is known of any
            object; names the file and says how to mend it.
        Sam3dError: A camera is not usable.
    """
    found = False
    for folder in scene_folders(path):
        for capture in _captures_of(load_scene(folder), config or SceneConfig()):
            found = True
            yield capture
    if not found:
        raise DatasetError(
            f"{path}: expected objects with a mesh, a pose and depth to learn from, found none; "
            f"give objects in {TRUTH_FILE} a 'mesh' and 'T_cam_obj'"
        )


def _captures_of(scene: Scene, config: SceneConfig) -> Iterator[Capture]:
    """Yield the objects of one scene of which enough is known."""
    if not scene.truth:
        return
    if scene.frame.depth is None and scene.frame.points is None:
        raise DatasetError(
            f"{scene.folder}: expected depth in one of {', '.join(DEPTH_FILES)} or {LIDAR_FILE}, "
            "found none; add the depth image that belongs to the colour image (16 bit, mm, 0 = no "
            "reading)"
        )
    observed = observe(scene.frame, config)
    observations = {each.instance.instance_id: each for each in observed.observations}
    for truth in scene.truth:
        name = f"{scene.name}/{truth.name}"
        if truth.mesh is None or truth.mesh_path is None or truth.camera_from_object is None:
            _log.warning("%s is left out: %s knows no mesh or no pose", name, TRUTH_FILE)
        elif (error := observed.errors.get(truth.instance_id)) is not None:
            _log.warning("%s is left out: %s", name, error)
        else:
            yield _checked(name, scene.folder, truth, observations[truth.instance_id])


def _checked(name: str, folder: Path, truth: TruthObject, observation: Observation) -> Capture:
    """Return a capture whose pose and mesh agree with what was seen."""
    mesh, pose, path = truth.mesh, truth.camera_from_object, truth.mesh_path
    if mesh is None or pose is None or path is None:
        raise DatasetError(f"{folder / TRUTH_FILE}: {truth.name} needs 'mesh' and 'T_cam_obj'")
    rigid = _rigid(pose, f"{folder / TRUTH_FILE}: T_cam_obj of {truth.name}")
    _check_size(mesh, path)
    iou = compare_to_view(mesh.transformed(rigid), observation).silhouette_iou
    if iou < MIN_SILHOUETTE_IOU:
        raise DatasetError(
            f"{folder / TRUTH_FILE}: {truth.name} expected its posed mesh to cover its mask "
            f"{truth.mask_path.name}, their IoU is {iou:.2f}; check that T_cam_obj takes mesh to "
            "camera (x right, y down, z forward) and not the other way, and that the mask is of "
            "this object"
        )
    return Capture(
        name=name,
        observation=observation,
        mesh_path=path,
        mesh_object=mesh,
        camera_from_object=rigid,
    )


def _rigid(pose: Similarity, what: str) -> Similarity:
    if abs(pose.scale - 1.0) > SCALE_TOLERANCE:
        raise DatasetError(
            f"{what} has scale {pose.scale:.4g}, expected a rotation and a translation alone; "
            "multiply the mesh's vertices by that scale and divide the matrix' upper left 3x3 by it"
        )
    return Similarity(pose.rotation, pose.translation_m)


def _check_size(mesh: Mesh, path: Path) -> None:
    largest_m = float(np.ptp(bounds(mesh), axis=0).max())
    low_m, high_m = SIZES_M
    if not low_m <= largest_m <= high_m:
        raise DatasetError(
            f"{path}: expected a size between {low_m} and {high_m} m, got {largest_m:.4g}; "
            "vertices are metres, is this file in millimetres?"
        )
