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


"""The 256 ways in which a surface can pass through a cube, worked out from the rule that says so.

A cube's case has bit k set when corner k is inside. FlexiCubes (Shen et al. 2023) puts one vertex
on each closed curve that the surface draws on the cube's faces (dual marching cubes, Nielson 2004).
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from torch import Tensor

NUM_CASES = 256
# Corner k lies at (x, y, z) = bits 0, 1 and 2 of k.
CORNERS = tuple((k & 1, k >> 1 & 1, k >> 2 & 1) for k in range(8))
# Corners of the edges in the order of the features' edge weights.
EDGES = (
    *((0, 1), (1, 5), (4, 5), (0, 4), (2, 3), (3, 7)),
    *((6, 7), (2, 6), (2, 0), (3, 1), (7, 5), (6, 4)),
)
FACES = tuple(product(range(3), (0, 1)))  # across an axis, on its low or high side


@dataclass(frozen=True, slots=True, eq=False)
class CubeCases:
    """What follows from a cube's case."""

    groups: Tensor  # (256, 12) int64, which of the cube's vertices an edge belongs to, -1 if none
    num_groups: Tensor  # (256,) int64, vertices in the cube
    twist: Tensor  # (256,) int64, index in FACES of the one that needs a look beyond it, or -1

    def to(self, device: torch.device) -> "CubeCases":
        """Return the same on another device."""
        return CubeCases(self.groups.to(device), self.num_groups.to(device), self.twist.to(device))


@cache
def cube_cases() -> CubeCases:
    """Work out all cases; takes some milliseconds, once."""
    groups = [_groups(case) for case in range(NUM_CASES)]
    num_groups = [1 + max(each) for each in groups]
    twist = [_twist(case, num_groups[case]) for case in range(NUM_CASES)]
    return CubeCases(torch.tensor(groups), torch.tensor(num_groups), torch.tensor(twist))


def edge_index(axis: int, low_corner: int) -> int:
    """Return which edge runs along ``axis`` from ``low_corner``."""
    ends = {low_corner, low_corner | 1 << axis}
    return next(i for i, edge in enumerate(EDGES) if set(edge) == ends)


def _groups(case: int) -> list[int]:
    """Number the curves on the faces; give each crossed edge the number of its curve."""
    crossed = [e for e, (a, b) in enumerate(EDGES) if _inside(case, a) != _inside(case, b)]
    group = {e: e for e in crossed}
    for face in FACES:
        for one, other in _joints(case, face):
            merged, absorbed = group[one], group[other]
            group = {e: merged if g == absorbed else g for e, g in group.items()}
    numbers = {g: n for n, g in enumerate(dict.fromkeys(group.values()))}
    return [numbers[group[e]] if e in group else -1 for e in range(len(EDGES))]


def _joints(case: int, face: tuple[int, int]) -> list[tuple[int, ...]]:
    """Return the pairs of edges between which the surface crosses a face.

    Where inside corners stand diagonally the surface cuts off each of them.
    """
    edges = _crossed_edges(case, face)
    if len(edges) <= 2:
        return [tuple(edges)] if edges else []
    inside = [k for k in range(8) if _on_face(k, face) and _inside(case, k)]
    return [tuple(e for e in edges if k in EDGES[e]) for k in inside]


def _crossed_edges(case: int, face: tuple[int, int]) -> list[int]:
    return [
        e
        for e, (a, b) in enumerate(EDGES)
        if _on_face(a, face) and _on_face(b, face) and _inside(case, a) != _inside(case, b)
    ]


def _twist(case: int, num_groups: int) -> int:
    """Return the only ambiguous face of a cube with a single vertex, or -1.

    If the cube beyond it is such a cube too, the two vertices would be joined by two edges of the
    surface in the same place, which closed surfaces do not have.
    """
    ambiguous = [i for i, face in enumerate(FACES) if len(_crossed_edges(case, face)) == 4]
    return ambiguous[0] if num_groups == 1 and len(ambiguous) == 1 else -1


def _inside(case: int, corner: int) -> bool:
    return bool(case >> corner & 1)


def _on_face(corner: int, face: tuple[int, int]) -> bool:
    axis, side = face
    return CORNERS[corner][axis] == side
