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

"""Rotations in torch, batched and differentiable: Euler angles of any axes, xyzw quaternions."""

import torch
from torch import Tensor

AXES = "XYZ"


def intrinsic_matrix(angles_rad: Tensor, order: str) -> Tensor:
    """Return the rotations of intrinsic Euler angles.

    Args:
        angles_rad: ``(..., 3)``, in the order of the axes.
        order: The axes, as ``XZY``: the matrix is ``Rx(a) Rz(b) Ry(c)``. Extrinsic xyz is ``ZYX``
            with the angles from last to first.

    Returns:
        ``(..., 3, 3)``.
    """
    first, second, third = (
        axis_matrix(angles_rad[..., place], AXES.index(axis)) for place, axis in enumerate(order)
    )
    return first @ second @ third


def axis_matrix(angle_rad: Tensor, axis: int) -> Tensor:
    """Return the rotations ``(..., 3, 3)`` about a coordinate axis by angles ``(...)``."""
    cosine, sine = torch.cos(angle_rad), torch.sin(angle_rad)
    one, zero = torch.ones_like(cosine), torch.zeros_like(cosine)
    after, before = (axis + 1) % 3, (axis + 2) % 3
    entries = [zero] * 9
    entries[4 * axis] = one
    entries[4 * after] = entries[4 * before] = cosine
    entries[3 * after + before], entries[3 * before + after] = -sine, sine
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def intrinsic_angles(matrix: Tensor, order: str) -> Tensor:
    """Return the intrinsic Euler angles ``(..., 3)`` of rotations ``(..., 3, 3)``, in rad.

    The axes all differ; the second angle is within a right angle of zero.
    """
    i, j, k = (AXES.index(axis) for axis in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    entry = matrix.unbind(dim=-2)
    sine, first_cosine = sign * entry[i][..., k], entry[k][..., k]
    first_sine = -sign * entry[j][..., k]
    cosine = torch.sqrt(first_sine.square() + first_cosine.square())
    third = torch.atan2(-sign * entry[i][..., j], entry[i][..., i])
    return torch.stack(
        (torch.atan2(first_sine, first_cosine), torch.atan2(sine, cosine), third), dim=-1
    )


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Return by how much rotations ``(..., 3, 3)`` differ, ``(...)``, in rad."""
    trace = (first * second).sum(dim=(-1, -2))
    return torch.acos(((trace - 1) / 2).clamp(-1, 1))


def quat_xyzw_from_xyz(angles_rad: Tensor) -> Tensor:
    """Return the quaternions ``(..., 4)`` of ``Rz(c) Ry(b) Rx(a)`` for ``(a, b, c)``."""
    half = angles_rad / 2
    cx, cy, cz = torch.cos(half).unbind(dim=-1)
    sx, sy, sz = torch.sin(half).unbind(dim=-1)
    return torch.stack(
        (
            sx * cy * cz - cx * sy * sz,
            cx * sy * cz + sx * cy * sz,
            cx * cy * sz - sx * sy * cz,
            cx * cy * cz + sx * sy * sz,
        ),
        dim=-1,
    )


def left_product(quat_xyzw: Tensor) -> Tensor:
    """Return the matrices ``(..., 4, 4)`` that multiply quaternions by these from the left.

    The matrix of a product is the product of the matrices; its last column is the quaternion.
    """
    x, y, z, w = quat_xyzw.unbind(dim=-1)
    rows = (w, -z, y, x, z, w, -x, y, -y, x, w, z, -x, -y, -z, w)
    return torch.stack(rows, dim=-1).unflatten(-1, (4, 4))


def matrix_from_quat_xyzw(quat_xyzw: Tensor) -> Tensor:
    """Return the rotations ``(..., 3, 3)`` of quaternions ``(..., 4)``, which are normalised."""
    unit = quat_xyzw / quat_xyzw.norm(dim=-1, keepdim=True)
    x, y, z, w = unit.unbind(dim=-1)
    rows = (
        1 - 2 * (y * y + z * z),
        2 * (x * y - z * w),
        2 * (x * z + y * w),
        2 * (x * y + z * w),
        1 - 2 * (x * x + z * z),
        2 * (y * z - x * w),
        2 * (x * z - y * w),
        2 * (y * z + x * w),
        1 - 2 * (x * x + y * y),
    )
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
