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

"""Poses and rotations agree with the reference, and say the same in our frame."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fixtures import Golden
from torch import Tensor

from sam3d_ros.nn.rotations import (
    matrix_from_quat_wxyz,
    quat_inverse_wxyz,
    quat_product_wxyz,
    quat_wxyz_from_matrix,
)
from sam3d_ros.objects.inputs import SceneNormaliser
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.pose import (
    ROTATION_6D_MEAN,
    ROTATION_6D_STD,
    ReferencePose,
    cameras_from_objects,
    decode_pose,
)

OPTICAL_FROM_P3D = np.diag([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def rotations(golden: Callable[[str], Golden]) -> Golden:
    return golden("rotations")


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Golden]) -> Golden:
    return golden("pose_decode")


@pytest.fixture(scope="module")
def pose(recorded: Golden) -> ReferencePose:
    inputs = recorded.inputs
    latents = GeometryLatents(
        shape=torch.zeros(len(inputs["scale"]), 1, 1),
        rotation=inputs["6drotation_normalized"],
        translation=inputs["translation"],
        scale=inputs["scale"],
        translation_scale=inputs["translation_scale"],
    )
    normaliser = SceneNormaliser(scale_m=inputs["scene_scale"][:, 0], shift_m=inputs["scene_shift"])
    return decode_pose(latents, normaliser)


def test_the_matrix_of_a_quaternion_agrees(rotations: Golden) -> None:
    rotations.close(matrix_from_quat_wxyz(rotations.inputs["quat"]), "matrix")


def test_the_quaternion_of_a_matrix_agrees(rotations: Golden) -> None:
    close_up_to_sign(rotations, quat_wxyz_from_matrix(rotations.outputs["matrix"]), "quat_back")


def test_products_agree(rotations: Golden) -> None:
    product = quat_product_wxyz(rotations.inputs["quat"], rotations.inputs["quat2"])

    close_up_to_sign(rotations, product, "product")


def test_inverses_agree(rotations: Golden) -> None:
    rotations.close(quat_inverse_wxyz(rotations.inputs["quat"]), "inverse")


def test_the_statistics_of_rotations_are_those_of_the_reference(recorded: Golden) -> None:
    assert recorded.config["rot6d_mean"] == list(ROTATION_6D_MEAN)
    assert recorded.config["rot6d_std"] == list(ROTATION_6D_STD)


def test_translation_and_scale_agree(recorded: Golden, pose: ReferencePose) -> None:
    recorded.close(pose.translation_m, "translation")
    recorded.close(pose.scale_m[:, None].expand(-1, 3), "scale")


def test_the_rotation_agrees(recorded: Golden, pose: ReferencePose) -> None:
    close_up_to_sign(recorded, pose.quat_wxyz, "rotation")
    recorded.close(matrix_from_quat_wxyz(pose.quat_wxyz), "rotation_matrix_obj_to_cam_rowvec")


def test_our_transform_puts_points_where_the_reference_does(
    recorded: Golden, pose: ReferencePose
) -> None:
    points_object = recorded.inputs["points_obj"].double().numpy()
    points_camera = np.stack([t.apply(points_object) for t in cameras_from_objects(pose)])

    recorded.close(points_camera @ OPTICAL_FROM_P3D, "points_cam")


def close_up_to_sign(recorded: Golden, quat_wxyz: Tensor, output: str) -> None:
    """Compare rotations: a quaternion and its negative are one, and half turns may be either."""
    alike = (quat_wxyz * recorded.outputs[output]).sum(dim=-1, keepdim=True).sign()

    recorded.close(quat_wxyz * alike, output)
