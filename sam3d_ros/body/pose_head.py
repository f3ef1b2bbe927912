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

"""From a token to a posed body: the pose heads of bodies and of hands.

Attribute names are those of the released checkpoints, which hold the constants of the rig that the
parametrisation needs. The rig itself has a file of its own and is an argument here.
"""

import torch
from torch import Tensor, nn

from sam3d_ros.body.architecture import (
    NUM_EXPRESSIONS,
    NUM_HAND_VALUES,
    NUM_IDENTITIES,
    NUM_POSE_VALUES,
    NUM_REGRESSED,
    NUM_RIG_SCALES,
    NUM_SCALES,
    RigConfig,
)
from sam3d_ros.body.estimates import BodyValues, PosedBody, PosedJoints
from sam3d_ros.body.head_rig import HeadRig, KeypointRegressor, Rig
from sam3d_ros.body.layers import TwoLayers
from sam3d_ros.body.parameters import (
    HANDS,
    JAW,
    hand_from_continuous,
    root_and_body_from_continuous,
)
from sam3d_ros.body.rotations import matrix_from_quat_xyzw
from sam3d_ros.nn.rotations import matrix_from_xyz, xyz_from_matrix
from sam3d_ros.structures.people import NUM_JOINTS, NUM_KEYPOINTS

CM_PER_M = 100.0
RIG_UNITS_PER_M = 10.0  # of the root's translation
NUM_RIG_ANGLES = 130  # of the body's 133 parameters those that the rig knows; the jaw is not one
NUM_HAND_ANGLES = 27
NUM_NOT_OF_HANDS = 145  # of the rig's parameters
OF_HANDS = slice(21, 42)  # keypoints of the right hand and its wrist
# Of root and body, shape, scale, both hands, expression.
NUM_NUMBERS = (266, NUM_IDENTITIES, NUM_SCALES, 2 * NUM_HAND_VALUES, NUM_EXPRESSIONS)


class PoseHead(nn.Module):
    """Predicts how bodies are posed, and has the rig pose them."""

    joint_rotation: Tensor
    scale_mean: Tensor
    scale_comps: Tensor
    faces: Tensor
    hand_pose_mean: Tensor
    hand_pose_comps: Tensor
    hand_joint_idxs_left: Tensor
    hand_joint_idxs_right: Tensor
    keypoint_mapping: Tensor
    right_wrist_coords: Tensor
    root_coords: Tensor
    local_to_world_wrist: Tensor
    nonhand_param_idxs: Tensor

    def __init__(self, dim: int, rig: RigConfig) -> None:
        super().__init__()
        self.proj = TwoLayers(dim, dim, NUM_POSE_VALUES)
        for name, shape in _constant_shapes(rig).items():
            self.register_buffer(name, torch.zeros(shape))
        for name, shape in _index_shapes(rig).items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int64))

    def forward(self, tokens: Tensor, initial: Tensor) -> Tensor:
        """Map tokens ``(N, D)`` and a first guess ``(1, 519)`` to an answer ``(N, 519)``."""
        return self.proj(tokens) + initial

    def values(self, raw: Tensor) -> BodyValues:
        """Tell what an answer ``(N, 519)`` says."""
        turned, shape, scale, hand, expression = torch.split(raw, list(NUM_NUMBERS), dim=-1)
        root, body_pose = root_and_body_from_continuous(turned)
        body_pose[..., HANDS].zero_()  # hands have values of their own
        body_pose[..., JAW].zero_()
        return BodyValues(
            # The release writes the angles about z, y, x in this order, and then takes them for
            # angles about x, y, z. Its weights have learned so.
            global_rot=root.flip(-1),
            body_pose=body_pose,
            shape=shape,
            scale=scale,
            hand=hand,
            expression=torch.zeros_like(expression),  # the release predicts none
        )

    def prepared(self, rig: Rig) -> HeadRig:
        """Return a rig with what this head needs of it for keypoints; waits for the device."""
        mapping = torch.zeros_like(self.keypoint_mapping[:NUM_KEYPOINTS])
        mapping[self.keypoints] = self.keypoint_mapping[:NUM_KEYPOINTS][self.keypoints]
        regressor = KeypointRegressor.of(mapping, NUM_JOINTS)
        return HeadRig(
            whole=rig, of_keypoints=rig.restricted(regressor.vertices), regressor=regressor
        )

    @property
    def keypoints(self) -> slice:
        """Which keypoints this head makes; others lie at the origin."""
        return slice(NUM_KEYPOINTS)

    def keypoints_m(self, values: BodyValues, rig: HeadRig) -> Tensor:
        """Return the keypoints ``(N, 70, 3)`` that ``posed`` would, and no more."""
        parameters = self.rig_parameters(values)
        vertices, joints = rig.of_keypoints(values.shape, parameters, values.expression)
        return _in_camera_axes(rig.regressor(vertices, joints[..., :3]))

    def joints(self, values: BodyValues, rig: HeadRig) -> PosedJoints:
        """Return all that ``posed`` would but the surface."""
        parameters = self.rig_parameters(values)
        vertices, joints = rig.of_keypoints(values.shape, parameters, values.expression)
        return PosedJoints(
            keypoints_m=_in_camera_axes(rig.regressor(vertices, joints[..., :3])),
            joints_m=_in_camera_axes(joints[..., :3]),
            joint_rotations=matrix_from_quat_xyzw(joints[..., 3:7]),
            rig_parameters=parameters,
        )

    def posed(self, values: BodyValues, rig: HeadRig) -> PosedBody:
        """Have the rig make bodies."""
        parameters = self.rig_parameters(values)
        vertices, joints = rig.whole(values.shape, parameters, values.expression)
        keypoints = rig.regressor(vertices[:, rig.regressor.vertices], joints[..., :3])
        return PosedBody(
            vertices_m=_in_camera_axes(vertices),
            keypoints_m=_in_camera_axes(keypoints),
            joints_m=_in_camera_axes(joints[..., :3]),
            joint_rotations=matrix_from_quat_xyzw(joints[..., 3:7]),
            rig_parameters=parameters,
        )

    def rig_parameters(self, values: BodyValues) -> Tensor:
        """Return what the rig takes, ``(N, 204)``: translation, rotation, angles, scales."""
        return self._assembled(values, torch.zeros_like(values.global_rot), values.global_rot)

    def _assembled(self, values: BodyValues, translation_m: Tensor, rotation: Tensor) -> Tensor:
        angles = values.body_pose[..., :NUM_RIG_ANGLES]
        moved = torch.cat((RIG_UNITS_PER_M * translation_m, rotation, angles), dim=-1)
        hands = (
            self.hand_pose_mean
            + torch.stack(values.hand.chunk(2, dim=-1), dim=-2) @ self.hand_pose_comps
        )
        left, right = hand_from_continuous(hands).unbind(-2)
        moved = moved.index_copy(-1, self.hand_joint_idxs_left, left)
        moved = moved.index_copy(-1, self.hand_joint_idxs_right, right)
        scales = self.scale_mean + values.scale @ self.scale_comps
        return torch.cat((moved, scales), dim=-1)


class HandPoseHead(PoseHead):
    """Predicts how right hands are posed; the body that comes with them is at rest.

    The global rotation is the wrist's, not the root's. The root goes where that takes it.
    """

    @property
    def keypoints(self) -> slice:
        """Those of the right hand."""
        return OF_HANDS

    def rig_parameters(self, values: BodyValues) -> Tensor:
        """Return what the rig takes, ``(N, 204)``, 0 wherever hands have no part."""
        turned = matrix_from_xyz(values.global_rot) @ self.local_to_world_wrist
        rotation = xyz_from_matrix(turned)
        wrist = self.right_wrist_coords - self.root_coords
        translation_m = -(turned @ wrist + self.root_coords)
        parameters = self._assembled(values, translation_m, rotation)
        return parameters.index_fill(-1, self.nonhand_param_idxs, 0.0)


def _constant_shapes(rig: RigConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the constants that are numbers."""
    return {
        "joint_rotation": (NUM_JOINTS, 3, 3),
        "scale_mean": (NUM_RIG_SCALES,),
        "scale_comps": (NUM_SCALES, NUM_RIG_SCALES),
        "hand_pose_mean": (NUM_HAND_VALUES,),
        "hand_pose_comps": (NUM_HAND_VALUES, NUM_HAND_VALUES),
        # Of an older parametrisation, stored with the weights and not used.
        "hand_pose_comps_ori": (NUM_HAND_VALUES, NUM_HAND_VALUES),
        "keypoint_mapping": (NUM_REGRESSED, rig.num_vertices + NUM_JOINTS),
        "right_wrist_coords": (3,),
        "root_coords": (3,),
        "local_to_world_wrist": (3, 3),
    }


def _index_shapes(rig: RigConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the constants that are indices."""
    return {
        "faces": (rig.num_triangles, 3),
        "hand_joint_idxs_left": (NUM_HAND_ANGLES,),
        "hand_joint_idxs_right": (NUM_HAND_ANGLES,),
        "nonhand_param_idxs": (NUM_NOT_OF_HANDS,),
    }


def _in_camera_axes(points_cm: Tensor) -> Tensor:
    """Return points ``(..., 3)`` of the rig (cm, y up) in metres and the axes of the camera."""
    points_m = points_cm / CM_PER_M
    return torch.cat((points_m[..., :1], -points_m[..., 1:]), dim=-1)
