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


"""Norms over the voxels of an object."""

import torch
from torch import Tensor, nn

from sam3d_ros.nn.sparse.voxels import SparseTensor

MAX_ELEMENTS = 2**24  # of the features held in float32 at once


class SparseGroupNorm(nn.Module):
    """A group norm over all voxels of an object jointly, with statistics in float32 at least.

    Rows are converted some after the other, so that half precision needs no second copy of all
    features in float32; this bounds memory where no gradient is wanted.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Normalise features ``(N, C)``."""
        return x.replace(torch.cat([self._normalised(feats) for feats in x.objects()]))

    def _normalised(self, feats: Tensor) -> Tensor:
        """Normalise the features of one object."""
        some = torch.split(feats, max(1, MAX_ELEMENTS // feats.shape[1]))
        precision = torch.promote_types(feats.dtype, torch.float32)
        count = max(1, feats.numel() // self.num_groups)
        zero = torch.zeros_like(self.weight, dtype=precision)
        total = sum((rows.sum(dim=0, dtype=precision) for rows in some), zero)
        mean = self._of_groups(total) / count
        squares = sum(((rows.to(precision) - mean).square().sum(dim=0) for rows in some), zero)
        scale = self.weight.to(precision) * (self._of_groups(squares) / count + self.eps).rsqrt()
        shift = self.bias.to(precision) - mean * scale
        return torch.cat([torch.addcmul(shift, rows, scale).to(feats.dtype) for rows in some])

    def _of_groups(self, per_channel: Tensor) -> Tensor:
        """Sum channels ``(C,)`` over their group, for each of them."""
        groups = per_channel.view(self.num_groups, -1)
        return groups.sum(dim=1, keepdim=True).expand_as(groups).flatten()
