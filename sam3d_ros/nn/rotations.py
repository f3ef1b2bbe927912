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

"""Batches of rotations as tensors: quaternions ``wxyz``, matrices, three angles, 6D of models.

``geometry.transforms`` is the NumPy side, for one rotation at a time.
"""

import torch
from torch import Tensor

GIMBAL_LOCK = 1e-6  # cosines of the middle angle below it leave the other two one freedom


def matrix_from_quat_wxyz(quat_wxyz: Tensor) -> Tensor:
    """Return rotations ``(..., 3, 3)`` of quaternions ``(..., 4)`` of any length but zero."""
    w, x, y, z = quat_wxyz.unbind(-1)
    s = 2.0 / quat_wxyz.square().sum(-1)
    rows = (
        (1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)),
        (s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)),
        (s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def quat_wxyz_from_matrix(matrix: Tensor) -> Tensor:
    """Return the unit quaternions ``(..., 4)`` with ``w >= 0`` of rotations ``(..., 3, 3)``.

    A rotation gives the matrix ``4 q q^T`` without a square root. Its row with the largest diagonal
    entry is the quaternion times four times a component that is far from zero.
    """
    (m00, m01, m02), (m10, m11, m12), (m20, m21, m22) = (
        row.unbind(-1) for row in matrix.unbind(-2)
    )
    rows = (
        (1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01),
        (m21 - m12, 1 + m00 - m11 - m22, m10 + m01, m02 + m20),
        (m02 - m20, m10 + m01, 1 - m00 + m11 - m22, m12 + m21),
        (m10 - m01, m20 + m02, m21 + m12, 1 - m00 - m11 + m22),
    )
    outer = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    squares = outer.diagonal(dim1=-2, dim2=-1)  # four times each component squared
    largest = squares.argmax(dim=-1, keepdim=True)
    row = outer.take_along_dim(largest[..., None], dim=-2)[..., 0, :]
    return _with_real_part_positive(row / (2.0 * squares.take_along_dim(largest, dim=-1).sqrt()))


def quat_product_wxyz(a_wxyz: Tensor, b_wxyz: Tensor) -> Tensor:
    """Return the Hamilton product ``(..., 4)``, of its two signs that with ``w >= 0``.

    Acting on column vectors it is the rotation by ``b``, then by ``a``.
    """
    a, u = a_wxyz[..., :1], a_wxyz[..., 1:]
    b, v = b_wxyz[..., :1], b_wxyz[..., 1:]
    real = a * b - (u * v).sum(-1, keepdim=True)
    imaginary = a * v + b * u + torch.linalg.cross(u, v)
    return _with_real_part_positive(torch.cat((real, imaginary), dim=-1))


def quat_inverse_wxyz(quat_wxyz: Tensor) -> Tensor:
    """Return the inverse ``(..., 4)`` of unit quaternions, which is their conjugate."""
    return quat_wxyz * quat_wxyz.new_tensor((1.0, -1.0, -1.0, -1.0))


def matrix_from_6d(rotation_6d: Tensor) -> Tensor:
    """Return rotations ``(..., 3, 3)`` whose first columns lean on two vectors, ``(..., 6)``.

    The first vector gives the first column, what of the second is orthogonal to it the second one
    (Zhou et al., "On the continuity of rotation representations in neural networks", CVPR 2019,
    equation 15). Vectors that are zero or parallel give NaN.
    """
    first, second = rotation_6d[..., :3], rotation_6d[..., 3:]
    x = _unit(first)
    y = _unit(second - (x * second).sum(-1, keepdim=True) * x)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


def matrix_from_xyz(angles_rad: Tensor) -> Tensor:
    """Return ``Rz(c) Ry(b) Rx(a)``, ``(..., 3, 3)``, of ``(a, b, c)``, ``(..., 3)``.

    Those are turns about the fixed axes x, y and z, one after the other.
    """
    (ca, cb, cc), (sa, sb, sc) = angles_rad.cos().unbind(-1), angles_rad.sin().unbind(-1)
    entries = (
        *(cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc),
        *(cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc),
        *(-sb, sa * cb, ca * cb),
    )
    return torch.stack(entries, dim=-1).reshape(*angles_rad.shape, 3)


def xyz_from_matrix(matrix: Tensor) -> Tensor:
    """Return the angles ``(..., 3)`` in rad that ``matrix_from_xyz`` makes ``(..., 3, 3)`` of.

    The second is within a right angle of zero; where it is a right one, the third is 0.
    """
    cosine = torch.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
    locked = cosine < GIMBAL_LOCK
    first = torch.where(
        locked,
        torch.atan2(-matrix[..., 1, 2], matrix[..., 1, 1]),
        torch.atan2(matrix[..., 2, 1], matrix[..., 2, 2]),
    )
    third = torch.where(locked, 0.0, torch.atan2(matrix[..., 1, 0], matrix[..., 0, 0]))
    return torch.stack((first, torch.atan2(-matrix[..., 2, 0], cosine), third), dim=-1)


def matrix_from_xzy(angles_rad: Tensor) -> Tensor:
    """Return ``Rx(a) Rz(b) Ry(c)``, ``(..., 3, 3)``, of ``(a, b, c)``, ``(..., 3)``.

    Those are turns about x, then about z and y as the turns before have left them.
    """
    (ca, cb, cc), (sa, sb, sc) = angles_rad.cos().unbind(-1), angles_rad.sin().unbind(-1)
    entries = (
        *(cb * cc, -sb, cb * sc),
        *(ca * sb * cc + sa * sc, ca * cb, ca * sb * sc - sa * cc),
        *(sa * sb * cc - ca * sc, sa * cb, sa * sb * sc + ca * cc),
    )
    return torch.stack(entries, dim=-1).reshape(*angles_rad.shape, 3)


def xzy_from_matrix(matrix: Tensor) -> Tensor:
    """Return the angles ``(..., 3)`` in rad that ``matrix_from_xzy`` makes ``(..., 3, 3)`` of.

    The second is within a right angle of zero; where it is a right one, the third is 0.
    """
    cosine = torch.hypot(matrix[..., 0, 0], matrix[..., 0, 2])
    locked = cosine < GIMBAL_LOCK
    first = torch.where(
        locked,
        torch.atan2(-matrix[..., 1, 2], matrix[..., 2, 2]),
        torch.atan2(matrix[..., 2, 1], matrix[..., 1, 1]),
    )
    third = torch.where(locked, 0.0, torch.atan2(matrix[..., 0, 2], matrix[..., 0, 0]))
    return torch.stack((first, torch.atan2(-matrix[..., 0, 1], cosine), third), dim=-1)


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Return by how much rotations ``(..., 3, 3)`` differ, ``(...)``, in rad."""
    trace = (first * second).sum(dim=(-2, -1))  # of first @ second^T
    return torch.acos(((trace - 1.0) / 2.0).clamp(-1.0, 1.0))


def _with_real_part_positive(quat_wxyz: Tensor) -> Tensor:
    return torch.where(quat_wxyz[..., :1] < 0, -quat_wxyz, quat_wxyz)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm(dim=-1, keepdim=True)
