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

"""Poses of the MHR rig between continuous values and angles."""

import torch
from fixtures import load_golden

from sam3d_ros.body.parameters import (
    HANDS,
    continuous_from_body,
    continuous_from_hand,
    hand_from_continuous,
    likelier_wrist,
    root_and_body_from_continuous,
    rotation_6d_from_xyz,
    xyz_from_6d,
)
from sam3d_ros.nn.rotations import (
    angle_between,
    matrix_from_6d,
    matrix_from_xyz,
    matrix_from_xzy,
    xyz_from_matrix,
    xzy_from_matrix,
)


def test_bodies_and_hands_turn_as_recorded() -> None:
    golden = load_golden("body/mhr_params")
    inputs = golden.inputs

    root, body = root_and_body_from_continuous(
        torch.cat((inputs["rot6d"], inputs["body_cont"]), dim=-1)
    )

    golden.close(root.flip(-1), "global_rot_euler_ZYX")
    golden.close(body, "body_params_from_cont")
    golden.close(continuous_from_body(inputs["body_params"]), "body_cont_from_params")
    golden.close(hand_from_continuous(inputs["hand_cont"]), "hand_params_from_cont")
    golden.close(continuous_from_hand(inputs["hand_params"]), "hand_cont_from_params")


def test_rotations_and_angles_are_as_recorded() -> None:
    golden = load_golden("body/mhr_params")
    inputs = golden.inputs
    matrix = matrix_from_6d(inputs["rot6d"])
    sixd = rotation_6d_from_xyz(inputs["euler_xyz"])

    golden.close(matrix, "rotmat_from_rot6d")
    golden.close(xyz_from_matrix(matrix).flip(-1), "global_rot_euler_ZYX")
    golden.close(matrix_from_xyz(xyz_from_matrix(matrix).flip(-1)), "rotmat_xyz_of_global_rot")
    golden.close(matrix_from_xyz(inputs["euler_xyz"]), "rotmat_from_xyz")
    golden.close(sixd, "sixd_from_xyz")
    golden.close(xyz_from_6d(sixd), "xyz_from_sixd")
    golden.close(angle_between(inputs["rot_a"], inputs["rot_b"]), "rotation_angle_difference")


def test_wrists_are_as_recorded() -> None:
    golden = load_golden("body/mhr_params")
    wrists = golden.inputs["wrist_xzy"]

    golden.close(matrix_from_xzy(wrists), "rotmat_XZY_of_wrist")
    golden.close(xzy_from_matrix(matrix_from_xzy(wrists)), "euler_XZY_roundtrip")
    golden.close(likelier_wrist(wrists), "fix_wrist_euler")


def test_the_values_of_hands_within_a_body_are_the_recorded_ones() -> None:
    golden = load_golden("body/mhr_params")
    root = golden.inputs["rot6d"][:1]
    values = golden.inputs["body_cont"][:1].requires_grad_()

    _, body = root_and_body_from_continuous(torch.cat((root, values), dim=-1))
    (gradient,) = torch.autograd.grad(body[..., HANDS].sum(), values)

    golden.close(torch.arange(133)[HANDS], "mhr_param_hand_idxs")
    recorded = golden.outputs["mhr_cont_hand_idxs"]
    assert set(gradient[0].nonzero().flatten().tolist()) == set(recorded.tolist())
