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


"""FlexiCubes: a closed coloured mesh from the features of sparse cubes (Shen et al. 2023).

The reference's inference mode without its tables and without a dense grid. Vertices are weighted
means of the crossings of a cube's edges; each crossed edge of the grid makes two triangles between
the vertices of the four cubes around it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.errors import DecodingError
from sam3d_ros.objects.cube_cases import EDGES, FACES, NUM_CASES, CubeCases, cube_cases, edge_index
from sam3d_ros.objects.cube_field import CubeField, cube_field, find

AXES_ACROSS = ((1, 2), (0, 2), (0, 1))  # the other two axes of each, ascending
AROUND = ((1, 1), (1, 0), (0, 1), (0, 0))  # steps back along them to the cubes around an edge
LOOP = (0, 1, 3, 2)  # the order in which those cubes lie around the edge
Y_AXIS = 1


@dataclass(frozen=True, slots=True, eq=False)
class CubeSurface:
    """A triangle mesh in the object frame (z up, cube [-0.5, 0.5]^3) with values per vertex."""

    vertices: Tensor  # (V, 3) float32
    triangles: Tensor  # (F, 3) int64, counter-clockwise seen from outside
    attributes: Tensor  # (V, 6) in [0, 1]: colour, then the unit normal n as (n + 1) / 2

    @property
    def colors(self) -> Tensor:
        """Red, green and blue in [0, 1], ``(V, 3)``."""
        return self.attributes[:, :3]

    @property
    def normals(self) -> Tensor:
        """Unit normals as the model sees them, not as the triangles have them, ``(V, 3)``."""
        return torch.nn.functional.normalize(2 * self.attributes[:, 3:] - 1, dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Crossings:
    """Which of its vertices a cube has on each of its edges."""

    inside: Tensor  # (C, 8) bool, corners
    vertex: Tensor  # (C, 12) int64 vertex on an edge, -1 where the edge is not crossed
    num_vertices: Tensor  # (C,) int64


def extract_surface(coords: Tensor, features: Tensor, resolution: int) -> CubeSurface:
    """Extract the mesh from the mesh decoder's cubes, on the device they are on.

    Args:
        coords: Indices of the cubes along x, y, z, ``(N, 3)`` integers, without repetition.
        features: Their channels, ``(N, 101)``.
        resolution: Cubes along a side of the grid.

    Raises:
        DecodingError: What the decoder made has no surface.
    """
    surface = dual_surface(cube_field(coords, features, resolution))
    if len(surface.triangles) == 0:
        raise DecodingError(
            f"the surface in {len(coords)} cubes must have triangles, has none; it only touches "
            "the border of the grid; try another seed"
        )
    return surface


def dual_surface(field: CubeField) -> CubeSurface:
    """Mesh the zero set of a field; closed unless it reaches the border of the grid."""
    crossings = _crossings(field)
    vertices, attributes = _placed(field, crossings)
    quads = _quads(field, crossings)
    weights = field.split_weights.repeat_interleave(crossings.num_vertices)
    return CubeSurface(vertices, _split(quads, weights[quads]), attributes)


def _crossings(field: CubeField) -> _Crossings:
    cases = cube_cases().to(field.keys.device)
    inside = (field.sdf < 0)[field.corners]
    bits = 1 << torch.arange(inside.shape[1], device=inside.device)
    case = _untwisted((inside * bits).sum(dim=1), field, cases)
    num_vertices = cases.num_groups[case]
    first = num_vertices.cumsum(dim=0) - num_vertices
    groups = cases.groups[case]
    return _Crossings(inside, torch.where(groups >= 0, first[:, None] + groups, -1), num_vertices)


def _untwisted(case: Tensor, field: CubeField, cases: CubeCases) -> Tensor:
    """Join inside corners rather than part them across a face that would join two vertices twice.

    The case with inside and outside exchanged draws its curves so, on the same edges.
    """
    twist = cases.twist[case]
    rows = (twist >= 0).nonzero()[:, 0]
    beyond = torch.tensor(
        [(2 * side - 1) * field.strides[axis] for axis, side in FACES], device=case.device
    )
    neighbors = find(field.keys, field.keys[rows] + beyond[twist[rows]])
    both = rows[(neighbors >= 0) & (twist[neighbors] >= 0)]
    case = case.clone()
    case[both] = NUM_CASES - 1 - case[both]
    return case


def _placed(field: CubeField, crossings: _Crossings) -> tuple[Tensor, Tensor]:
    """Return positions ``(V, 3)`` and attributes ``(V, A)`` of the vertices.

    One edge at a time: no two cubes share a vertex, so sums run in a fixed order.
    """
    values = torch.cat((field.positions, field.attributes), dim=1)
    num_vertices = int(crossings.num_vertices.sum())
    sums = values.new_zeros((num_vertices, values.shape[1]))
    totals = values.new_zeros((num_vertices, 1))
    for edge, ends in enumerate(EDGES):
        rows = (crossings.vertex[:, edge] >= 0).nonzero()[:, 0]
        at = crossings.vertex[rows, edge]
        corner_a, corner_b = (field.corners[rows, end] for end in ends)
        distance_a, distance_b = (
            field.sdf[field.corners[rows, end]] * field.corner_weights[rows, end] for end in ends
        )
        share_a = (distance_b / (distance_b - distance_a))[:, None]
        weight = field.edge_weights[rows, edge, None]
        sums[at] += weight * (share_a * values[corner_a] + (1 - share_a) * values[corner_b])
        totals[at] += weight
    placed = sums / totals
    return placed[:, :3], placed[:, 3:]


def _quads(field: CubeField, crossings: _Crossings) -> Tensor:
    """Return the vertices around each crossed edge of the grid, ``(Q, 4)``, wound outwards.

    Quads of the edges that start outside come first, as the reference has them.
    """
    parts = [_quads_along(axis, field, crossings) for axis in range(3)]
    outwards = torch.cat([quads for quads, _ in parts])
    inwards = torch.cat([quads for _, quads in parts])
    return torch.cat((outwards, inwards))


def _quads_along(axis: int, field: CubeField, crossings: _Crossings) -> tuple[Tensor, Tensor]:
    """Return the quads around edges along an axis that start outside, and of those inside.

    Each edge is met once, in the cube that it starts from; edges around which a cube is missing lie
    on the border of the grid and have none. Edges along y start at their high end, because x and z
    are left-handed.
    """
    inside = crossings.inside
    rows = (inside[:, 0] != inside[:, 1 << axis]).nonzero()[:, 0]
    keys = field.keys[rows]
    around = torch.full((len(rows), len(AROUND)), -1, device=keys.device)
    for column, steps in enumerate(AROUND):
        across = list(zip(steps, AXES_ACROSS[axis], strict=True))
        cubes = find(field.keys, keys - sum(step * field.strides[other] for step, other in across))
        edge = edge_index(axis, low_corner=sum(step << other for step, other in across))
        around[:, column] = torch.where(cubes >= 0, crossings.vertex[cubes, edge], -1)
    complete = (around >= 0).all(dim=1)
    starts_inside = inside[rows, 1 << axis if axis == Y_AXIS else 0][complete]
    loops = around[complete][:, LOOP]
    return loops[~starts_inside], loops[starts_inside].flip(1)


def _split(quads: Tensor, weights: Tensor) -> Tensor:
    """Halve quads ``(Q, 4)`` along the diagonal whose ends weigh more, ``(2 Q, 3)``."""
    first = weights[:, 0] * weights[:, 2] > weights[:, 1] * weights[:, 3]
    halves = torch.where(first[:, None], quads[:, [0, 1, 2, 0, 2, 3]], quads[:, [0, 1, 3, 3, 1, 2]])
    return halves.reshape(-1, 3)
