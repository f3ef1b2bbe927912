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

"""Quaternions as the MHR rig has them, ``xyzw`` with the real part last; see ``nn.rotations``.

Written in few operations each, for a rig that is posed once per layer of a decoder.
"""

import torch
from torch import Tensor


def left_product(quat_xyzw: Tensor) -> Tensor:
    """Return the matrices ``(..., 4, 4)`` that multiply quaternions by these from the left.

    The matrix of a product is the product of the matrices; its last column is the quaternion.
    """
    x, y, z, w = quat_xyzw.unbind(dim=-1)
    rows = (w, -z, y, x, z, w, -x, y, -y, x, w, z, -x, -y, -z, w)
    return torch.unflatten(torch.stack(rows, dim=-1), -1, (4, 4))


def matrix_from_quat_xyzw(quat_xyzw: Tensor) -> Tensor:
    """Return the rotations ``(..., 3, 3)`` of quaternions ``(..., 4)`` of any length but zero."""
    unit = quat_xyzw / quat_xyzw.norm(dim=-1, keepdim=True)
    vector, real = unit[..., :3], unit[..., 3:, None]
    identity = torch.eye(3, dtype=unit.dtype, device=unit.device)
    turned = real * torch.linalg.cross(vector[..., None, :], identity.expand(*vector.shape, 3)).mT
    doubled = 2 * (vector[..., :, None] * vector[..., None, :] + turned)
    return doubled + (2 * real.square() - 1) * identity
