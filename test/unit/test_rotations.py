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

"""Batched rotations obey the laws of the group, at any batch shape."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sam3d_ros.geometry.transforms import quat_wxyz_from_rotation, rotation_from_quat_wxyz
from sam3d_ros.nn.rotations import (
    angle_between,
    matrix_from_6d,
    matrix_from_quat_wxyz,
    matrix_from_xyz,
    matrix_from_xzy,
    quat_inverse_wxyz,
    quat_product_wxyz,
    quat_wxyz_from_matrix,
    xyz_from_matrix,
    xzy_from_matrix,
)

BATCHES = [(), (1,), (2, 3)]


def quats(*batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    quat_wxyz = torch.randn(*batch, 4, generator=generator, dtype=torch.float64)
    quat_wxyz = quat_wxyz / quat_wxyz.norm(dim=-1, keepdim=True)
    return torch.where(quat_wxyz[..., :1] < 0, -quat_wxyz, quat_wxyz)


def three_angles(*batch: int) -> Tensor:
    """Return angles of which the second is acute, so that they are the only ones of a rotation."""
    generator = torch.Generator().manual_seed(2)
    angles = 2.0 * torch.rand(*batch, 3, generator=generator, dtype=torch.float64) - 1.0
    return angles * torch.tensor([3.0, 1.5, 3.0], dtype=torch.float64)


def about(axis: int, angle: Tensor) -> Tensor:
    """Return the turns about an axis as quaternions make them."""
    quat_wxyz = torch.zeros(*angle.shape, 4, dtype=angle.dtype)
    quat_wxyz[..., 0], quat_wxyz[..., 1 + axis] = (angle / 2).cos(), (angle / 2).sin()
    return matrix_from_quat_wxyz(quat_wxyz)


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_a_quaternion_comes_back_from_its_matrix(batch: tuple[int, ...]) -> None:
    quat_wxyz = quats(*batch)

    torch.testing.assert_close(quat_wxyz_from_matrix(matrix_from_quat_wxyz(quat_wxyz)), quat_wxyz)


def test_half_turns_have_quaternions_too() -> None:
    axes = torch.eye(4, dtype=torch.float64)[1:]

    torch.testing.assert_close(quat_wxyz_from_matrix(matrix_from_quat_wxyz(axes)), axes)


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_a_product_turns_by_the_second_then_by_the_first(batch: tuple[int, ...]) -> None:
    first, second = quats(*batch), quats(*batch, seed=1)

    torch.testing.assert_close(
        matrix_from_quat_wxyz(quat_product_wxyz(first, second)),
        matrix_from_quat_wxyz(first) @ matrix_from_quat_wxyz(second),
    )


def test_a_product_with_the_inverse_is_no_turn() -> None:
    quat_wxyz = quats(5)
    product = quat_product_wxyz(quat_wxyz, quat_inverse_wxyz(quat_wxyz))

    torch.testing.assert_close(product, torch.eye(4, dtype=torch.float64)[0].expand(5, 4))


def test_tensors_and_arrays_agree() -> None:
    for quat_wxyz in quats(4):
        rotation = matrix_from_quat_wxyz(quat_wxyz).numpy()

        np.testing.assert_allclose(rotation, rotation_from_quat_wxyz(quat_wxyz.numpy()), atol=1e-12)
        np.testing.assert_allclose(quat_wxyz_from_rotation(rotation), quat_wxyz, atol=1e-12)


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_six_numbers_give_a_rotation_that_keeps_its_own_columns(batch: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    rotation_6d = torch.randn(*batch, 6, generator=generator, dtype=torch.float64)
    matrix = matrix_from_6d(rotation_6d)
    columns = torch.cat((matrix[..., 0], matrix[..., 1]), dim=-1)

    eye = torch.eye(3, dtype=torch.float64).expand(*batch, 3, 3)
    torch.testing.assert_close(matrix.mT @ matrix, eye)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(batch, dtype=torch.float64))
    torch.testing.assert_close(matrix_from_6d(columns), matrix)
    aligned = (matrix[..., 0] * rotation_6d[..., :3]).sum(-1)
    torch.testing.assert_close(aligned, rotation_6d[..., :3].norm(dim=-1))


@pytest.mark.parametrize("second", [(2.0, 0.0, 0.0), (0.0, 0.0, 0.0)], ids=str)
def test_parallel_vectors_are_no_rotation(second: tuple[float, ...]) -> None:
    assert matrix_from_6d(torch.tensor([1.0, 0.0, 0.0, *second])).isnan().any()


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_three_angles_are_three_turns_about_axes(batch: tuple[int, ...]) -> None:
    angles = three_angles(*batch)
    a, b, c = angles.unbind(-1)

    torch.testing.assert_close(matrix_from_xyz(angles), about(2, c) @ about(1, b) @ about(0, a))
    torch.testing.assert_close(matrix_from_xzy(angles), about(0, a) @ about(2, b) @ about(1, c))


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_angles_come_back_from_their_matrix(batch: tuple[int, ...]) -> None:
    angles = three_angles(*batch)

    torch.testing.assert_close(xyz_from_matrix(matrix_from_xyz(angles)), angles)
    torch.testing.assert_close(xzy_from_matrix(matrix_from_xzy(angles)), angles)


@pytest.mark.parametrize("second", [torch.pi / 2, -torch.pi / 2])
def test_where_two_axes_coincide_the_angles_still_make_the_matrix(second: float) -> None:
    angles = torch.tensor([0.7, second, -0.4], dtype=torch.float64)
    xyz, xzy = matrix_from_xyz(angles), matrix_from_xzy(angles)

    torch.testing.assert_close(matrix_from_xyz(xyz_from_matrix(xyz)), xyz)
    torch.testing.assert_close(matrix_from_xzy(xzy_from_matrix(xzy)), xzy)
    assert xyz_from_matrix(xyz)[2] == 0.0
    assert xzy_from_matrix(xzy)[2] == 0.0


def test_rotations_differ_by_the_angle_between_them() -> None:
    first, angle = matrix_from_quat_wxyz(quats(6)), torch.linspace(0.1, 3.1, 6, dtype=torch.float64)

    torch.testing.assert_close(angle_between(first, first @ about(1, angle)), angle)
    assert not angle_between(first, first).isnan().any()
