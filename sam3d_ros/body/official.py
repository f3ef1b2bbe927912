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

"""Results as the released code gives them, under its names, for comparisons with it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sam3d_ros.body.asked import AskedPerson
from sam3d_ros.body.camera_head import project
from sam3d_ros.body.passes import Bodies
from sam3d_ros.structures import Bools, Camera, Floats

NUM_RAW = 266  # of a pose head's values those of the root and the body


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OfficialBody:
    """One person as the released code reports it; float32, metres, pixels, radians.

    What it does oddly is as it is there: after hands were merged ``pred_keypoints_2d`` are
    projected from the middle of the image and not from the principal point, ``pred_global_rots``
    are those before the merge, ``pred_pose_raw`` is zero, and with several people a result depends
    on the others. ``BodyReconstruction`` has none of that.
    """

    bbox: Floats  # (4,)
    focal_length: float
    pred_keypoints_3d: Floats  # (70, 3) add pred_cam_t for the camera's frame
    pred_keypoints_2d: Floats  # (70, 2)
    pred_vertices: Floats  # (V, 3)
    pred_cam_t: Floats  # (3,)
    pred_pose_raw: Floats  # (266,)
    global_rot: Floats  # (3,)
    body_pose_params: Floats  # (133,)
    hand_pose_params: Floats  # (108,)
    scale_params: Floats  # (28,)
    shape_params: Floats  # (45,)
    expr_params: Floats  # (72,)
    mask: Bools | None  # (H, W)
    pred_joint_coords: Floats  # (127, 3)
    pred_global_rots: Floats  # (127, 3, 3) in the axes of the rig
    mhr_model_params: Floats  # (204,)
    lhand_bbox: Floats | None  # (4,) where hands were looked at
    rhand_bbox: Floats | None


def official_bodies(
    bodies: Bodies, people: list[AskedPerson], camera: Camera
) -> list[OfficialBody]:
    """Return what the released code would say of all passes over people."""
    return [_official(bodies, place, person, camera) for place, person in enumerate(people)]


def _official(bodies: Bodies, place: int, person: AskedPerson, camera: Camera) -> OfficialBody:
    last, values, posed = bodies.last, bodies.values, bodies.posed
    looked_at = bodies.looked_at_px
    raw = last.raw[:, :NUM_RAW]
    pixels = last.placement.keypoints_px
    if looked_at is not None:
        raw, pixels = torch.zeros_like(raw), _from_the_middle(bodies, camera)

    def of(tensor: Tensor) -> Floats:
        return np.asarray(tensor[place].cpu().numpy())

    return OfficialBody(
        bbox=person.box_px.astype(np.float32),
        focal_length=float(camera.matrix_px[0, 0]),
        pred_keypoints_3d=of(posed.keypoints_m),
        pred_keypoints_2d=of(pixels),
        pred_vertices=of(posed.vertices_m),
        pred_cam_t=of(last.placement.translation_m),
        pred_pose_raw=of(raw),
        global_rot=of(values.global_rot),
        body_pose_params=of(values.body_pose),
        hand_pose_params=of(values.hand),
        scale_params=of(values.scale),
        shape_params=of(values.shape),
        expr_params=of(values.expression),
        mask=person.mask,
        pred_joint_coords=of(posed.joints_m),
        pred_global_rots=of(last.posed.joint_rotations),
        mhr_model_params=of(posed.rig_parameters),
        lhand_bbox=None if looked_at is None else of(looked_at[:, 0]),
        rhand_bbox=None if looked_at is None else of(looked_at[:, 1]),
    )


def _from_the_middle(bodies: Bodies, camera: Camera) -> Tensor:
    """Project keypoints ``(N, 70, 2)`` by one focal length and from the middle of the image."""
    points_camera = bodies.posed.keypoints_m + bodies.last.placement.translation_m[:, None]
    focal = float(camera.matrix_px[0, 0])
    matrix = [[focal, 0.0, camera.width / 2], [0.0, focal, camera.height / 2], [0.0, 0.0, 1.0]]
    return project(points_camera, points_camera.new_tensor(matrix))
