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

"""Quaternions as the MHR rig has them, ``xyzw`` with the real part last; see ``nn.rotations``."""

import torch
from torch import Tensor

from sam3d_ros.nn.rotations import matrix_from_quat_wxyz


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
    return torch.unflatten(torch.stack(rows, dim=-1), -1, (4, 4))


def matrix_from_quat_xyzw(quat_xyzw: Tensor) -> Tensor:
    """Return the rotations ``(..., 3, 3)`` of quaternions ``(..., 4)`` of any length but zero."""
    return matrix_from_quat_wxyz(quat_xyzw.roll(1, dims=-1))
