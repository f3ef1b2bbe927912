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

"""People for tests: simple ones of boxes, those that SAM 3D Body made, and who poses them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import trimesh

from sam3d_ros.errors import CancelledError, ReconstructionError
from sam3d_ros.evaluation.files import read_mesh
from sam3d_ros.geometry.cameras import project
from sam3d_ros.geometry.raster import render
from sam3d_ros.protocols import BodyOutcome, Cancelled, never
from sam3d_ros.structures import (
    NUM_JOINTS,
    NUM_KEYPOINTS,
    BodyParameters,
    BodyReconstruction,
    Camera,
    DepthImage,
    Floats,
    Frame,
    InstanceMask,
    PeopleView,
    PersonPrompt,
)
from sam3d_ros.structures.mhr import JOINT_NAMES, KEYPOINT_NAMES

VGA = Camera(
    width=640,
    height=480,
    matrix_px=np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]]),
)
# Upright in the frame of REP-155: x out of the chest, y to the left, z up, hips at the origin.
PLACES = {
    "nose": (0.12, 0.0, 0.68),
    "neck": (0.0, 0.0, 0.5),
    "shoulder": (0.0, 0.2, 0.48),
    "elbow": (0.0, 0.25, 0.2),
    "wrist": (0.1, 0.25, -0.05),
    "tip": (0.15, 0.25, -0.2),
    "hip": (0.0, 0.1, 0.0),
    "knee": (0.0, 0.1, -0.45),
    "ankle": (0.0, 0.1, -0.85),
    "heel": (-0.05, 0.1, -0.9),
    "toe": (0.2, 0.1, -0.9),
}
FEET_M = 0.9  # below the hips
CAMERA_FROM_UPRIGHT = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])  # faces it


def parameters() -> BodyParameters:
    sizes = {
        "global_rot": 3,
        "body_pose": 133,
        "hand_pose": 108,
        "scale": 28,
        "shape": 45,
        "expression": 72,
        "rig": 204,
    }
    return BodyParameters(**{name: np.zeros(size) for name, size in sizes.items()})


def _place(name: str) -> Floats:
    found = next((at for part, at in PLACES.items() if name.endswith(part)), (0.0, 0.05, 0.3))
    side = -1.0 if name.startswith(("right", "r_")) else 1.0
    return np.array(found) * (1.0, side, 1.0)


def person(
    hips_m: Sequence[float], camera: Camera = VGA, size: float = 1.0, backend: str = "boxes"
) -> BodyReconstruction:
    """Return somebody who stands upright before a camera and faces it; hips at a place of it."""
    torso = trimesh.creation.box((0.3, 0.5, 1.7)).subdivide().subdivide()
    vertices = torso.vertices - (0.0, 0.0, FEET_M - 0.85)
    hips = np.asarray(hips_m, dtype=np.float64)

    def placed(points: Floats) -> Floats:
        return size * np.asarray(points) @ CAMERA_FROM_UPRIGHT.T + hips

    keypoints = placed(np.array([_place(name) for name in KEYPOINT_NAMES]))
    joints = {"l_upleg": "left_hip", "r_upleg": "right_hip", "neck": "neck", "head": "nose"}
    vertices_camera = placed(vertices).astype(np.float32)
    pixels = project(camera, vertices_camera)
    return BodyReconstruction(
        vertices_camera=vertices_camera,
        triangles=torso.faces.astype(np.int32),
        keypoints_camera=keypoints,
        keypoints_px=project(camera, keypoints),
        joints_camera=placed(np.array([_place(joints.get(name, name)) for name in JOINT_NAMES])),
        camera_from_joint=np.broadcast_to(CAMERA_FROM_UPRIGHT, (NUM_JOINTS, 3, 3)).copy(),
        parameters=parameters(),
        box_px=np.array([*pixels.min(axis=0), *pixels.max(axis=0)]),
        backend=backend,
    )


def published_person(folder: Path, number: int) -> BodyReconstruction:
    """Return somebody of the capture ``body_mhr``, as SAM 3D Body posed them."""
    values = np.load(folder / f"person_{number}.npz")
    rotations = np.diag([1.0, -1.0, -1.0]) @ values["pred_global_rots"]
    return BodyReconstruction(
        vertices_camera=values["vertices_cam"],
        triangles=read_mesh(folder / f"person_{number}.ply").triangles,
        keypoints_camera=values["keypoints_3d_cam"],
        keypoints_px=values["pred_keypoints_2d"] / 2.0,
        joints_camera=values["joints_3d_cam"],
        camera_from_joint=rotations,
        parameters=replace(parameters(), rig=values["mhr_model_params"]),
        box_px=values["bbox"] / 2.0,
    )


def frame_of(
    people: Sequence[BodyReconstruction],
    camera: Camera = VGA,
    floor_m: float | None = None,
    stamp_ns: int = 0,
    **changed: object,
) -> Frame:
    """Render people before a wall at 6 m, on a floor so far below the camera."""
    surfaces = [_Surface(each.vertices_camera, each.triangles) for each in people]
    raster = render(surfaces, camera)
    depth_m = np.where(np.isfinite(raster.depth_m), raster.depth_m, 6.0).astype(np.float32)
    if floor_m is not None:
        rows = np.arange(camera.height)[:, None] - camera.matrix_px[1, 2]
        below = np.where(rows > 0, floor_m * camera.matrix_px[1, 1] / np.maximum(rows, 1e-6), 1e9)
        depth_m = np.minimum(depth_m, below.astype(np.float32))
    masks = tuple(
        InstanceMask(instance_id=number + 1, mask=raster.object_index == number, class_id="person")
        for number in range(len(people))
    )
    frame = Frame(
        rgb=np.full((camera.height, camera.width, 3), 90, dtype=np.uint8),
        camera=camera,
        masks=masks,
        depth=DepthImage(depth_m=depth_m, camera=camera),
        stamp_ns=stamp_ns,
    )
    return replace(frame, **changed)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, eq=False)
class _Surface:
    vertices: Floats
    triangles: Floats


def _seen(prompt: PersonPrompt) -> tuple[Floats, float]:
    """Return the middle ``(2,)`` and the height of somebody in the image, pixels."""
    if prompt.mask is None:
        assert prompt.box_px is not None
        x1, y1, x2, y2 = prompt.box_px
        return np.array([x1 + x2 - 1, y1 + y2 - 1]) / 2, y2 - y1
    rows, columns = np.nonzero(prompt.mask)
    return np.array([columns.mean(), rows.mean()]), rows.max() - rows.min() + 1


@dataclass
class StandInBodies:
    """A body model that takes everybody for 1.75 m tall and upright, times ``factor``."""

    factor: float = 1.0
    failing: Sequence[int] = ()
    name: str = "stand-in"
    wants_warmup: bool = False
    asked: list[PeopleView] = field(default_factory=list)

    def reconstruct(self, view: PeopleView, cancelled: Cancelled = never) -> list[BodyOutcome]:
        """Put a box person where each mask is, as far away as its height says."""
        if cancelled():
            raise CancelledError("stopped before the people")
        self.asked.append(view)
        outcomes: list[BodyOutcome] = []
        for prompt in view.people:
            if prompt.instance_id in self.failing:
                outcomes.append(ReconstructionError(f"mask {prompt.instance_id} shows a ghost"))
                continue
            center_px, high_px = _seen(prompt)
            focal_px, middle_px = view.camera.matrix_px[0, 0], view.camera.matrix_px[:2, 2]
            depth_m = self.factor * focal_px * 1.7 / high_px
            center = center_px - middle_px
            middle_m = np.append(center * depth_m / focal_px, depth_m)
            hips = middle_m + np.array([0.0, FEET_M - 0.85, 0.0])
            outcomes.append(person(hips, view.camera, backend=self.name))
        return outcomes


assert len(KEYPOINT_NAMES) == NUM_KEYPOINTS
