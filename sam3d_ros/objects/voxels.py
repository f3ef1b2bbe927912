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

"""From occupancy to the voxels that the refinement model dresses: the surface, and not too many."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.errors import DecodingError
from sam3d_ros.structures import Similarity

MAX_VOXELS = 42_000  # of one object; the released mesh decoder was never given more


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceVoxels:
    """Voxels along the surface of one object, perhaps of the object made smaller to have fewer."""

    coords: Tensor  # (N, 3) int32, indices along x, y, z, in lexicographic order
    object_from_voxels: Similarity  # between unit cubes; its scale is the downsample factor


def surface_voxels(logits: Tensor, max_voxels: int = MAX_VOXELS) -> SurfaceVoxels:
    """Return the voxels that one object's logits ``(S, S, S)`` put on its surface.

    Of more than ``max_voxels`` the object is halved about the middle of its box, again until it
    fits. Leaving out some of the voxels instead, whichever, would tear holes into the surface. The
    released grid of 64 never needs a second time: half of it has at most 33^3 voxels.

    Raises:
        DecodingError: The logits are not numbers, or none of them is above zero.
    """
    occupied = _occupied(logits)
    coords = occupied_coords(surface_of(occupied))
    object_from_voxels = Similarity.identity()
    while len(coords) > max_voxels:
        object_from_voxels = object_from_voxels @ _unhalving(coords, len(logits))
        coords = halved(coords)
    return SurfaceVoxels(coords, object_from_voxels)


def surface_of(occupied: Tensor) -> Tensor:
    """Return which of ``(..., S, S, S)`` are occupied without all of their 26 neighbours being so.

    There is nothing occupied beyond the grid.
    """
    grid = occupied.reshape(-1, 1, *occupied.shape[-3:])
    empty = F.pad((~grid).float(), (1,) * 6, value=1.0)
    near_empty = F.max_pool3d(empty, kernel_size=3, stride=1) > 0
    return occupied & near_empty.reshape(occupied.shape)


def occupied_coords(occupied: Tensor) -> Tensor:
    """Return the indices of what is true, int32 rows ``(N, ndim)`` in lexicographic order."""
    return occupied.nonzero().int()


def halved(coords: Tensor) -> Tensor:
    """Return the voxels of an object at half its size, about the middle of its box.

    Args:
        coords: ``(N, 3)`` int32 rows x, y, z, or ``(N, 4)`` with the index in a batch before them,
            whose objects share one box.

    Returns:
        Such rows without repetition, in lexicographic order.
    """
    index, xyz = coords[:, :-3], coords[:, -3:].float()
    low, high = xyz.amin(dim=0), xyz.amax(dim=0)
    side = high - low + 1
    margin = (side - side / 2) / 2
    # Rounding half to even in float32, in this order of sums: the reference's choice at every tie.
    fraction = (xyz - low) / (high - low).clamp(min=1)
    moved = (fraction * (side / 2 - 1) + low + margin).round().int()
    first = (low + margin).int()
    last = (low + margin + side / 2 - 1).int().maximum(first)  # a side of one stays where it is
    rows = torch.cat((index, moved.clamp(first, last)), dim=1)
    return torch.unique(rows, dim=0)


def _occupied(logits: Tensor) -> Tensor:
    if not logits.isfinite().all():
        raise DecodingError(
            "the occupancy logits must be finite, are not; try bfloat16 or float32 where the model "
            "runs in float16, and check the weights with `sam3d check`"
        )
    occupied = logits > 0
    if not occupied.any():
        raise DecodingError(
            f"the model must occupy some of the {logits.numel()} voxels, occupies none (highest "
            f"logit {float(logits.max()):.3g}); check that the mask covers the object, try another "
            "seed, and check the weights with `sam3d check`"
        )
    return occupied


def _unhalving(coords: Tensor, resolution: int) -> Similarity:
    """Return ``object_from_halved``, which leaves the middle of the box where it is.

    The reference only doubles the scale of the pose; an object off the middle of its cube then
    moves by as much as it is off.
    """
    low, high = coords.amin(dim=0).double(), coords.amax(dim=0).double()
    middle = (((low + high) / 2 + 0.5) / resolution - 0.5).cpu().numpy()
    return Similarity(np.eye(3), -middle, 2.0)
