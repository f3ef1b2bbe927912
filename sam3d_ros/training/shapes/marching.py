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

"""Distances from a surface on a grid: the eikonal equation, batched."""

import math

import torch
from torch import Tensor

MIN_STRETCH = 0.05  # of a field's gradient


def stretch(field: Tensor, voxel: float) -> Tensor:
    """Return the length of the gradient of fields ``(B, N, N, N)``, as it is beside kinks.

    On a kink the differences of both sides cancel, so each voxel takes the largest length among
    its neighbours.
    """
    squared = torch.zeros_like(field)
    for dim in (1, 2, 3):
        count = field.shape[dim] - 2
        slope = field.narrow(dim, 2, count) - field.narrow(dim, 0, count)
        squared.narrow(dim, 1, count).addcmul_(slope, slope)
    for dim in (1, 2, 3):
        squared = neighbours_most(squared, dim)
    return (squared.sqrt() / (2.0 * voxel)).clamp(min=MIN_STRETCH)


def marched(seeds: Tensor, known: Tensor, voxel: float, far: float) -> Tensor:
    """Continue distances ``(B, n, n, n)`` from where they are known to at most ``far``.

    Only the sign of the other seeds counts. Each step reaches one voxel further along the axes.
    """
    distance = torch.where(known, seeds.abs(), math.inf)
    steps = math.ceil(math.sqrt(3.0) * far / voxel)
    for _ in range(steps):
        distance = torch.where(known, distance, torch.minimum(distance, _upwind(distance, voxel)))
    return torch.copysign(distance.clamp(max=far), seeds)


def neighbours_most(values: Tensor, dim: int) -> Tensor:
    """Return the largest of each value and its two neighbours along a dimension."""
    count = values.shape[dim] - 1
    head, tail = values.narrow(dim, 0, count), values.narrow(dim, 1, count)
    result = values.clone()
    result.narrow(dim, 0, count).copy_(torch.maximum(head, tail))
    later = result.narrow(dim, 1, count)
    later.copy_(torch.maximum(later, head))
    return result


def _upwind(distance: Tensor, voxel: float) -> Tensor:
    """Return the solution of ``|grad d| = 1`` at each voxel from the nearer neighbours."""
    x, y, z = (_nearer(distance, dim) for dim in (1, 2, 3))
    low, high = torch.minimum(x, y), torch.maximum(x, y)
    least, most = torch.minimum(low, z), torch.maximum(high, z)
    middle = torch.maximum(low, torch.minimum(high, z))
    # Differences to the least neighbour, so that infinities do not spoil the sums.
    b = (middle - least).nan_to_num(nan=2.0 * voxel, posinf=2.0 * voxel)
    c = (most - least).nan_to_num(nan=2.0 * voxel, posinf=2.0 * voxel)
    two = 0.5 * (b + (2.0 * voxel**2 - b * b).clamp(min=0.0).sqrt())
    step = torch.where(b < voxel, two, voxel)
    total = b + c
    three = (total + (total * total - 3.0 * (b * b + c * c - voxel**2)).clamp(min=0.0).sqrt()) / 3.0
    return least + torch.where(step > c, three, step)


def _nearer(distance: Tensor, dim: int) -> Tensor:
    """Return the smaller distance of both neighbours along a dimension."""
    count = distance.shape[dim] - 1
    result = torch.full_like(distance, math.inf)
    result.narrow(dim, 0, count).copy_(distance.narrow(dim, 1, count))
    later = result.narrow(dim, 1, count)
    later.copy_(torch.minimum(later, distance.narrow(dim, 0, count)))
    return result
