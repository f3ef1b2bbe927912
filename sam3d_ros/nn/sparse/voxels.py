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


"""Sets of voxels, and how those of a set lie to each other.

All that depends on coordinates alone is computed once per set, when first asked for, and kept with
it: neighbours, the set at half the resolution, windows. Nothing here builds a dense grid, and every
cost grows with the number of voxels, but for sorting them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from sam3d_ros.errors import VoxelError
from sam3d_ros.nn.sparse.windows import Windows, divided
from sam3d_ros.shapes import check_shape

NUM_TAPS = 27  # a voxel and its neighbours, offsets -1, 0, 1 along x, y, z in this order
BITS = 15  # of an object's index and of each coordinate in a voxel's code
MAX_COORDINATE = 2**BITS - 3  # neighbours of voxels must have codes, too


@dataclass(frozen=True, eq=False)
class Voxels:
    """The occupied voxels of one or several objects, without features.

    Rows of one object follow each other; within an object they are in any order. Made by
    ``voxels_of``, which checks this.
    """

    coords: Tensor  # (N, 4) int32: index of the object, x, y, z
    sizes: tuple[int, ...]  # number of voxels of each object
    _parent: "Voxels | None" = None  # whose voxels were cut into eight to make these
    _windows: dict[tuple[int, int], Windows] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of voxels of all objects."""
        return len(self.coords)

    @property
    def num_objects(self) -> int:
        """Objects, including those without voxels."""
        return len(self.sizes)

    @cached_property
    def neighbours(self) -> Tensor:
        """Rows of the voxels around each voxel, ``(N, 27)`` int32; N where there is none."""
        if self._parent is not None:
            return _neighbours_of_children(self._parent.neighbours)
        return _neighbours(_codes(self.coords))

    @cached_property
    def coarse_neighbours(self) -> Tensor:
        """Rows of the halved voxels that hold each voxel's neighbours, ``(N, 27)`` int32.

        As many as there are halved voxels where there is no neighbour.
        """
        halved = self.halved
        parents = torch.cat((halved.parents, halved.parents.new_tensor((len(halved.coarse),))))
        return parents.int().index_select(0, self.neighbours.flatten()).view(-1, NUM_TAPS)

    @cached_property
    def halved(self) -> "Halving":
        """The voxels at half the resolution that hold these, in ascending order."""
        codes, parents = torch.unique(_codes(divided(self.coords, 2)), return_inverse=True)
        coords = _coords(codes)
        octants = ((self.coords[:, 1:] & 1) * self.coords.new_tensor((4, 2, 1))).sum(dim=1)
        children = parents.new_full((len(codes), 8), len(self))
        children[parents, octants] = torch.arange(len(self), device=parents.device)
        return Halving(Voxels(coords, _sizes(coords, self.num_objects)), parents, children)

    def subdivided(self) -> "Voxels":
        """Return the voxels at twice the resolution, eight in place of each.

        Those of one voxel follow each other: 000, 001, 010, up to 111 along x, y, z. Their
        neighbours follow from those of the voxels here, without a search.
        """
        bits = torch.tensor((0, 1), dtype=torch.int32, device=self.coords.device)
        offsets = torch.cartesian_prod(bits[:1], bits, bits, bits)
        steps = self.coords.new_tensor((1, 2, 2, 2))
        coords = ((self.coords * steps)[:, None] + offsets).flatten(0, 1)
        return Voxels(coords, tuple(8 * size for size in self.sizes), self)

    def windows(self, size: int, shift: int = 0) -> Windows:
        """Return which voxels share a cube of side ``size``; ``shift`` is added to coordinates."""
        if (size, shift) not in self._windows:
            self._windows[size, shift] = Windows.of(self.coords, size, shift)
        return self._windows[size, shift]

    def objects(self) -> "tuple[Voxels, ...]":
        """Return the voxels of each object as a set of their own."""
        apart = torch.split(self.coords, list(self.sizes))
        alone = self.coords.new_tensor((0, 1, 1, 1))  # each is object 0 of its set
        return tuple(Voxels(coords * alone, (len(coords),)) for coords in apart)


@dataclass(frozen=True, slots=True, eq=False)
class Halving:
    """A set of N voxels and the M at half the resolution that hold them."""

    coarse: Voxels
    parents: Tensor  # (N,) int64, the row among the coarse voxels
    children: Tensor  # (M, 8) int64, rows among the fine voxels, N where there is none

    def pool(self, feats: Tensor) -> Tensor:
        """Average features ``(N, C)`` over the children of each coarse voxel: ``(M, C)``.

        The mean is taken as if there were one more child, of zeros: so the models were trained.
        """
        count = (self.children < len(feats)).sum(dim=1, keepdim=True)
        total = with_zero_row(feats)[self.children].sum(dim=1, dtype=_sum_type(feats))
        return (total / (count + 1)).to(feats.dtype)

    def unpool(self, feats: Tensor) -> Tensor:
        """Give features ``(M, C)`` of each coarse voxel to all of its children: ``(N, C)``."""
        return feats.index_select(0, self.parents)


@dataclass(frozen=True, slots=True, eq=False)
class SparseTensor:
    """Features on voxels."""

    voxels: Voxels
    feats: Tensor  # (N, C)

    def replace(self, feats: Tensor) -> "SparseTensor":
        """Return other features on the same voxels."""
        return SparseTensor(self.voxels, feats)

    def subdivided(self) -> "SparseTensor":
        """Cut each voxel into eight, which get its features."""
        return SparseTensor(self.voxels.subdivided(), self.feats.repeat_interleave(8, dim=0))

    def objects(self) -> tuple[Tensor, ...]:
        """Return the features of each object ``(N_i, C)``, without a copy."""
        return torch.split(self.feats, list(self.voxels.sizes))


def voxels_of(coords: Tensor, num_objects: int | None = None) -> Voxels:
    """Make a set of voxels of their coordinates.

    Args:
        coords: ``(N, 4)`` int32 rows: index of the object (ascending), x, y, z.
        num_objects: Also those without voxels; without it, one more than the last index.

    Raises:
        ShapeError: The coordinates are no such array.
        VoxelError: They are negative or too large, out of order, or twice the same.
    """
    check_shape(coords, "N 4", "coords")
    if coords.dtype != torch.int32:
        raise VoxelError(f"coords must be int32, got {coords.dtype}; convert with coords.int()")
    if len(coords) == 0:
        return Voxels(coords, (0,) * (num_objects or 1))
    low, high = int(coords.min()), int(coords.max())
    if low < 0 or high > MAX_COORDINATE:
        raise VoxelError(f"coords must be from 0 to {MAX_COORDINATE}, got {low} to {high}")
    objects, last = coords[:, 0], int(coords[:, 0].max())
    if (objects.diff() < 0).any():
        raise VoxelError(
            "voxels of one object must follow each other in ascending order of objects, do not; "
            "sort the rows by their first column"
        )
    if last >= (num_objects or last + 1):
        raise VoxelError(f"coords of {num_objects} objects must not name object {last}")
    if (_codes(coords).sort().values.diff() == 0).any():
        raise VoxelError("coords must be of different voxels, got some twice; use torch.unique")
    return Voxels(coords, _sizes(coords, num_objects or last + 1))


def voxels_of_objects(coords: Sequence[Tensor]) -> Voxels:
    """Make one set of voxels of several objects' coordinates, ``(N_i, 3)`` int32 rows x, y, z.

    Raises:
        ShapeError: There are none, or they are no such arrays.
        VoxelError: As in ``voxels_of``.
    """
    if not coords:
        raise VoxelError("voxels must be of one or more objects, got none")
    for index, rows in enumerate(coords):
        check_shape(rows, "N 3", f"coords of object {index}")
    numbered = [torch.nn.functional.pad(rows, (1, 0), value=i) for i, rows in enumerate(coords)]
    return voxels_of(torch.cat(numbered), len(coords))


def check_occupied(voxels: Voxels) -> None:
    """Raise unless every object has voxels.

    Raises:
        VoxelError: One has none.
    """
    empty = [index for index, size in enumerate(voxels.sizes) if size == 0]
    if empty or not voxels.sizes:
        which = f"objects {empty} of {voxels.num_objects} have none" if empty else "there are none"
        raise VoxelError(
            f"every object must have one or more occupied voxels, {which}; check that the masks "
            "cover the objects, or try another seed"
        )


def with_zero_row(feats: Tensor) -> Tensor:
    """Return rows ``(N, C)`` and one of zeros for those that are not there."""
    return torch.cat((feats, feats.new_zeros(1, feats.shape[1])))


def _codes(coords: Tensor) -> Tensor:
    """Return one number per voxel, int64, ascending like rows of ``(object, x, y, z)``."""
    shifts = torch.arange(3, -1, -1, device=coords.device) * BITS
    return ((coords.long() + 1) << shifts).sum(dim=1)


def _coords(codes: Tensor) -> Tensor:
    """Return the coordinates of codes."""
    shifts = torch.arange(3, -1, -1, device=codes.device) * BITS
    return (((codes[:, None] >> shifts) & (2**BITS - 1)) - 1).int()


def _sizes(coords: Tensor, num_objects: int) -> tuple[int, ...]:
    return tuple(coords[:, 0].bincount(minlength=num_objects).tolist())


def _sum_type(feats: Tensor) -> torch.dtype:
    return torch.promote_types(feats.dtype, torch.float32)


def _neighbours(codes: Tensor) -> Tensor:
    """Find the rows of neighbouring codes.

    Neighbours along z follow each other in sorted codes, so that one search finds three of them.
    """
    num = len(codes)
    codes, order = codes.sort()
    table = torch.full((num, NUM_TAPS), num, dtype=torch.int32, device=codes.device)
    order_or_none = torch.cat((order.int(), table.new_tensor((num,))))
    codes_and_end = torch.cat((codes, codes.new_tensor((torch.iinfo(codes.dtype).max,))))
    taps = range(-1, 2)
    for column, (x, y) in enumerate((x, y) for x in taps for y in taps):
        wanted = codes + ((x << 2 * BITS) + (y << BITS) - 1)
        found = torch.searchsorted(codes, wanted)
        for z in range(3):
            hit = codes_and_end[found] == wanted + z
            table[order, 3 * column + z] = order_or_none[torch.where(hit, found, num)]
            found += hit
    return table


def _neighbours_of_children(parents: Tensor) -> Tensor:
    """Return the neighbours of children ``(8 N, 27)`` from those of their parents ``(N, 27)``."""
    num = len(parents)
    bits = torch.arange(2, device=parents.device)
    taps = torch.arange(-1, 2, device=parents.device)
    octants = torch.cartesian_prod(bits, bits, bits)
    offsets = torch.cartesian_prod(taps, taps, taps)
    places = octants[:, None] + offsets  # (8, 27, 3), -1 to 2 in units of children
    parent_taps = (((places >> 1) + 1) * taps.new_tensor((9, 3, 1))).sum(dim=-1)
    siblings = ((places & 1) * taps.new_tensor((4, 2, 1))).sum(dim=-1)
    table = parents[:, parent_taps]  # (N, 8, 27)
    missing = table == num
    return table.mul_(8).add_(siblings.int()).masked_fill_(missing, 8 * num).flatten(0, 1)
