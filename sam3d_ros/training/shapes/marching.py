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

"""Distances from a surface on a grid: voxels learn of its nearest point from their neighbours."""

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


def spread(values: Tensor, known: Tensor, voxel: float, far: float) -> Tensor:
    """Continue distances from where they are known, to at most ``far``.

    Args:
        values: ``(B, 4, n, n, n)`` distances and their gradients; the latter, and the amount of the
            former, count where they are known.
        known: ``(B, n, n, n)`` where that is.
        voxel: Edge of a voxel.
        far: Where to stop.

    Returns:
        Distances ``(B, n, n, n)``.
    """
    distance, gradient = values[:, 0], values[:, 1:]
    length = gradient.norm(dim=1, keepdim=True).clamp(min=1e-6)
    # To the nearest point of the surface, from each voxel.
    offset = torch.where(known[:, None], -distance[:, None] / length * gradient, 0.0)
    squared = torch.where(known, distance * distance, math.inf)
    longest = math.ceil(math.log2(far / voxel))
    strides = [2**power for power in range(longest, -1, -1)]
    for axis in range(3):
        for stride in strides:
            _hear(squared, offset, axis, stride * voxel, stride)
    for axis in range(3):
        _hear(squared, offset, axis, voxel, 1)
    spread_far = torch.where(known, distance.abs(), squared.sqrt())
    return torch.copysign(spread_far.clamp(max=far), distance)


def halved(field: Tensor, voxel: float) -> Tensor:
    """Return means and gradients ``(B, 4, n, n, n)`` over the 2^3 voxels of fields of twice n."""
    parts = field[:, None]
    for dim in (4, 3, 2):
        low, high = parts.unfold(dim, 2, 2).unbind(-1)
        # The gradient along this axis, beside the means of what is already there.
        slope = (high[:, :1] - low[:, :1]) / voxel
        parts = torch.cat([(low + high) / 2, slope], dim=1)
    return parts[:, (0, 3, 2, 1)]


def neighbours_most(values: Tensor, dim: int) -> Tensor:
    """Return the largest of each value and its two neighbours along a dimension."""
    count = values.shape[dim] - 1
    head, tail = values.narrow(dim, 0, count), values.narrow(dim, 1, count)
    result = values.clone()
    result.narrow(dim, 0, count).copy_(torch.maximum(head, tail))
    later = result.narrow(dim, 1, count)
    later.copy_(torch.maximum(later, head))
    return result


def _hear(squared: Tensor, offset: Tensor, axis: int, step: float, stride: int) -> None:
    """Let voxels take over the nearest point of those ``stride`` before and behind, if nearer."""
    count = squared.shape[axis + 1] - stride
    if count <= 0:
        return
    for start, other, shift in ((0, stride, step), (stride, 0, -step)):
        here, there = (squared.narrow(axis + 1, place, count) for place in (start, other))
        mine, theirs = (offset.narrow(axis + 2, place, count) for place in (start, other))
        # |offset + shift|^2
        heard = torch.add(there, theirs[:, axis], alpha=2.0 * shift).add_(shift * shift)
        nearer = heard < here
        here.copy_(torch.where(nearer, heard, here))
        mine.copy_(torch.where(nearer[:, None], theirs, mine))
        mine[:, axis].add_(nearer, alpha=shift)
