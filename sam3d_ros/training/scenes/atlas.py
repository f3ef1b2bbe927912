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


"""Many grids in one volume, sampled at points that each name their grid."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

HALF = 0.6  # of the cube that a grid covers, in largest extents of its object


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """S grids over x, y, z, one after the other along x: ``values`` is ``(C, S * N, N, N)``.

    Samples are at the middles of N^3 voxels of the cube ``[-HALF, HALF]^3``. No point ever needs
    a copy of its grid, whatever the batch it belongs to.
    """

    values: Tensor

    @property
    def resolution(self) -> int:
        """N."""
        return self.values.shape[-1]

    def put(self, places: slice, grids: Tensor) -> None:
        """Replace some of the grids by ``(C, s, N, N, N)``."""
        size = self.resolution
        self.values.view(-1, self.values.shape[1] // size, size, size, size)[:, places] = grids

    def at(self, index: Tensor, points: Tensor) -> Tensor:
        """Return values ``(C, n)`` of grids ``index`` ``(n,)`` at points ``(n, 3)``, trilinearly.

        Outside of the cube they are those of the nearest point of it.
        """
        size = self.resolution
        voxels = (points / (2 * HALF) + 0.5) * size - 0.5
        voxels = voxels.clamp(0.0, size - 1.0)
        x = (2 * (voxels[:, 0] + index * size) + 1) / self.values.shape[1] - 1
        y, z = ((2 * voxels[:, 1:] + 1) / size - 1).unbind(-1)
        grid = torch.stack((z, y, x), dim=-1)[None, None, None]
        sampled = F.grid_sample(self.values[None], grid, padding_mode="border", align_corners=False)
        return sampled[0, :, 0, 0]

    def slopes(self, index: Tensor, points: Tensor) -> Tensor:
        """Return gradients ``(n, 3)`` of one-channel grids, up to their scale.

        From four samples at the corners of a tetrahedron, a voxel away.
        """
        corners = points.new_tensor(((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)))
        step = HALF / self.resolution
        around = points[:, None] + step * corners
        sampled = self.at(index.repeat_interleave(4), around.flatten(0, 1))[0]
        return sampled.view(-1, 4) @ corners


def outside_cube(points: Tensor) -> Tensor:
    """Return the distance of points ``(..., 3)`` to the cube of a grid; 0 inside."""
    return (points.abs() - HALF).clamp(min=0.0).norm(dim=-1)
