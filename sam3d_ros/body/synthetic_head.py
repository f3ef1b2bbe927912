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

"""What pose heads know of a made-up rig, by the names that checkpoints have below each head."""

import torch
from torch import Tensor

from sam3d_ros.body.architecture import NUM_RIG_PARAMETERS
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.rotations import matrix_from_quat_xyzw
from sam3d_ros.body.skeleton import Skeleton
from sam3d_ros.body.synthetic_joints import RIGHT_WRIST, ROOT
from sam3d_ros.structures.people import NUM_JOINTS, NUM_KEYPOINTS

NUM_REGRESSED = 308  # keypoints that the mapping knows; the first 70 are used
NUM_HAND, NUM_SCALES, NUM_SCALE_COMPONENTS = 54, 68, 28
LEFT_HAND, RIGHT_HAND = range(68, 95), range(95, 122)  # of the first 136 parameters
HAND_SCALES = range(136, 162)  # which hand passes keep beside the hand's own angles

# Keypoints that are joints, by their number.
JOINT_OF_KEYPOINT = {
    **{5: 75, 6: 39, 7: 76, 8: 40, 9: 2, 10: 18, 11: 3, 12: 19, 13: 4, 14: 20, 41: 42, 62: 78},
    **dict(
        zip(range(21, 41), (64, 63, 62, 61, *range(59, 51, -1), *range(51, 43, -1)), strict=True)
    ),
    **dict(
        zip(range(42, 62), (100, 99, 98, 97, *range(95, 87, -1), *range(87, 79, -1)), strict=True)
    ),
    69: 110,
}
# The others are on the surface, near these points (cm).
POINT_OF_KEYPOINT = {
    0: (0, 165, 12),
    1: (3, 168, 10),
    2: (-3, 168, 10),
    3: (8, 166, 0),
    4: (-8, 166, 0),
    15: (9, 2, 14),
    16: (12, 2, 12),
    17: (9, 2, -8),
    18: (-9, 2, 14),
    19: (-12, 2, 12),
    20: (-9, 2, -8),
    63: (21, 118, -6),
    64: (-21, 118, -6),
    65: (21, 118, 6),
    66: (-21, 118, 6),
    67: (20, 146, 0),
    68: (-20, 146, 0),
}


def synthetic_head_constants(rig: RigTensors, generator: torch.Generator) -> dict[str, Tensor]:
    """Return what a checkpoint has below ``head_pose.`` beside its network."""
    skeleton = Skeleton(rig.skeleton)
    rest = skeleton.at_rest().float()
    rotations = matrix_from_quat_xyzw(rest[:, 3:7])
    scales = torch.randn(NUM_SCALE_COMPONENTS, NUM_SCALES, generator=generator)
    kept = {*range(6), *RIGHT_HAND, *HAND_SCALES}
    return {
        "joint_rotation": matrix_from_quat_xyzw(rig.skeleton.prerotations),
        "scale_mean": torch.zeros(NUM_SCALES),
        "scale_comps": 0.01 * scales + 0.1 * torch.eye(NUM_SCALE_COMPONENTS, NUM_SCALES),
        "faces": rig.surface.triangles,
        "hand_pose_mean": _straight_hand(),
        "hand_pose_comps": torch.eye(NUM_HAND),
        "hand_pose_comps_ori": torch.eye(NUM_HAND),
        "hand_joint_idxs_left": torch.tensor(LEFT_HAND),
        "hand_joint_idxs_right": torch.tensor(RIGHT_HAND),
        "keypoint_mapping": keypoint_mapping(rig.surface.base_shape, generator),
        "right_wrist_coords": rest[RIGHT_WRIST, :3] / 100,
        "root_coords": rest[ROOT, :3] / 100,
        "local_to_world_wrist": rotations[RIGHT_WRIST],
        "nonhand_param_idxs": torch.tensor([i for i in range(NUM_RIG_PARAMETERS) if i not in kept]),
    }


def keypoint_mapping(vertices: Tensor, generator: torch.Generator) -> Tensor:
    """Return how keypoints are made of vertices ``(V, 3)`` cm and joints, ``(308, V + 127)``."""
    num_vertices = len(vertices)
    mapping = torch.zeros(NUM_REGRESSED, num_vertices + NUM_JOINTS)
    for keypoint, joint in JOINT_OF_KEYPOINT.items():
        mapping[keypoint, num_vertices + joint] = 1.0
    for keypoint, point in POINT_OF_KEYPOINT.items():
        distance = (vertices - vertices.new_tensor(point)).norm(dim=-1)
        mapping[keypoint, distance.topk(4, largest=False).indices] = 0.25
    rest = torch.randint(num_vertices, (NUM_REGRESSED - NUM_KEYPOINTS, 3), generator=generator)
    mapping[NUM_KEYPOINTS:].scatter_add_(1, rest, torch.full(rest.shape, 1 / 3))
    return mapping


def _straight_hand() -> Tensor:
    """Return the continuous values ``(54,)`` of a hand whose joints are all at zero."""
    values = []
    for freedoms in (3, 1, 1) * 4 + (2, 3, 1, 1):
        values += [1.0, 0, 0, 0, 1, 0] if freedoms == 3 else [0.0, 1.0] * freedoms
    return torch.tensor(values)
