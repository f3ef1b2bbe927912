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


"""Voxels sorted into cubic windows, padded as little as batches of them allow."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_PADDED = 2**18  # voxels and padding of one batch of windows


@dataclass(frozen=True, slots=True, eq=False)
class WindowBatch:
    """W windows of about the same number of voxels."""

    rows: Tensor  # (W, L) int64, of the voxels in each window, then anything
    present: Tensor | None  # (W, L) bool, false where there is padding; None for no padding


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """All windows of a set of N voxels; padding and voxels are less than 2 N together."""

    batches: tuple[WindowBatch, ...]
    positions: Tensor  # (N,) int64, of each voxel among the flattened rows of all batches

    @classmethod
    def of(cls, coords: Tensor, size: int, shift: int) -> "Windows":
        """Sort voxels ``(N, 4)`` into windows of side ``size``; those of objects do not mix."""
        moved = coords + coords.new_tensor((0, shift, shift, shift))
        order, lengths = _sorted_runs(divided(moved, size))
        starts = lengths.cumsum(dim=0) - lengths
        batches, positions, done = [], torch.empty_like(order), 0
        for chosen in _alike(lengths):
            length = int(lengths[chosen].max())
            ranks = torch.arange(length, device=order.device)
            present = ranks < lengths[chosen, None]
            rows = order[torch.where(present, starts[chosen, None] + ranks, 0)]
            places = done + torch.arange(rows.numel(), device=order.device).view_as(rows)
            positions[rows[present]] = places[present]
            done += rows.numel()
            batches.append(WindowBatch(rows, None if present.all() else present))
        return cls(tuple(batches), positions)


def divided(coords: Tensor, size: int) -> Tensor:
    """Divide x, y and z of rows ``(N, 4)`` by ``size``, rounding down."""
    sizes = coords.new_tensor((1, size, size, size))
    return coords.div(sizes, rounding_mode="floor")


def _sorted_runs(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return an order in which equal rows follow each other, and the lengths of these runs."""
    _, ids, lengths = torch.unique(keys, dim=0, return_inverse=True, return_counts=True)
    return ids.argsort(stable=True), lengths


def _alike(lengths: Tensor) -> Iterator[Tensor]:
    """Yield indices of windows whose lengths are between the same powers of two."""
    magnitudes = lengths.double().log2().ceil().long()
    for magnitude in torch.unique(magnitudes).tolist():
        chosen = (magnitudes == magnitude).nonzero()[:, 0]
        yield from chosen.split(max(1, MAX_PADDED >> magnitude))
