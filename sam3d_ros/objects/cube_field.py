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


"""From the channels of sparse cubes to what FlexiCubes needs of those that the surface crosses.

Cubes and corners go by one number each, their place in the x-major grid of corners. Cubes that
share a face differ by the stride of an axis, and no cube has the number of one beyond the grid.
All is done with sorted lists of numbers: time and memory grow with the cubes, not with the grid.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.errors import DecodingError
from sam3d_ros.objects.cube_cases import CORNERS, EDGES
from sam3d_ros.shapes import check_shape

NUM_CHANNELS = 101
SDF = 0  # first of 8 x 1 channels, one per corner, corners in the order of CORNERS
DEFORMATION = 8  # of 8 x 3
WEIGHTS = 32  # of 21: edges, corners, split
ATTRIBUTES = 53  # of 8 x 6: colour, normal
NUM_WEIGHTS = ATTRIBUTES - WEIGHTS
ABSENT_SDF = 1.0  # where no cube says anything: outside


@dataclass(frozen=True, slots=True, eq=False)
class CubeField:
    """Signed distances on the corners of cubes, and how to place the surface between them.

    Cubes that the surface does not cross may be among them; they make no difference.
    """

    resolution: int  # cubes along a side of the grid
    keys: Tensor  # (C,) int64 numbers of the cubes, ascending
    corners: Tensor  # (C, 8) int64 rows of the corner tensors
    sdf: Tensor  # (M,) negative inside
    positions: Tensor  # (M, 3) in the object frame
    attributes: Tensor  # (M, A) to be carried to the surface
    edge_weights: Tensor  # (C, 12) positive: beta
    corner_weights: Tensor  # (C, 8) positive: alpha
    split_weights: Tensor  # (C,) positive: gamma

    @property
    def strides(self) -> tuple[int, int, int]:
        """What to add to a number for a step along x, y and z."""
        return strides(self.resolution)


@dataclass(frozen=True, slots=True, eq=False)
class _SparseCubes:
    """Cubes in order of their numbers, with their features left in the order they came in."""

    resolution: int
    keys: Tensor  # (N,) ascending
    order: Tensor  # (N,) row of the features of each
    features: Tensor  # (N, 101)
    corner_keys: Tensor  # (M,) numbers of all their corners, ascending
    corners: Tensor  # (N, 8) rows of each cube's corners
    distances: Tensor  # (M,) signed, at the corners


def strides(resolution: int) -> tuple[int, int, int]:
    """Return what to add to a number for a step along x, y and z."""
    side = resolution + 1
    return side * side, side, 1


def find(ascending: Tensor, keys: Tensor) -> Tensor:
    """Return the places of ``keys`` in a list without repetition, -1 for those not in it."""
    places = torch.searchsorted(ascending, keys).clamp_(max=len(ascending) - 1)
    return torch.where(ascending[places] == keys, places, -1)


def cube_field(coords: Tensor, features: Tensor, resolution: int) -> CubeField:
    """Gather what the features of sparse cubes say of those that the surface crosses.

    Args:
        coords: Indices of the cubes along x, y, z, ``(N, 3)`` integers, without repetition.
        features: Their channels, ``(N, 101)``.
        resolution: Cubes along a side of the grid.

    Raises:
        DecodingError: There are no cubes, no numbers, or no surface between the cubes' corners.
    """
    num_cubes = check_shape(coords, "N 3", "coords")["N"]
    check_shape(features, f"{num_cubes} {NUM_CHANNELS}", "features")
    cubes = _sorted_cubes(coords, features, resolution)
    keys = _surface_keys(cubes)
    corner_keys = _corner_keys(keys, resolution)
    distances, deformation, attributes = _at_corners(cubes, corner_keys)
    weights = _weights(cubes, keys)
    return CubeField(
        resolution=resolution,
        keys=keys,
        corners=_corner_rows(keys, corner_keys, resolution),
        sdf=distances,
        positions=_positions(corner_keys, deformation, resolution),
        attributes=torch.sigmoid(attributes),
        edge_weights=0.99 * torch.tanh(weights[:, : len(EDGES)]) + 1,
        corner_weights=0.99 * torch.tanh(weights[:, len(EDGES) : -1]) + 1,
        split_weights=0.99 * torch.sigmoid(weights[:, -1]) + 0.005,
    )


def _sorted_cubes(coords: Tensor, features: Tensor, resolution: int) -> _SparseCubes:
    if len(coords) == 0:
        raise DecodingError(
            "a mesh needs at least one cube, got none; check that the voxels of the object are not "
            "empty"
        )
    low, high = coords.min(), coords.max()
    x, y, z = coords.long().unbind(dim=1)
    stride_x, stride_y, _ = strides(resolution)
    keys, order = (x * stride_x + y * stride_y + z).sort()
    num_repeated = int((keys.diff() == 0).sum())
    if low < 0 or high >= resolution or num_repeated > 0:
        raise DecodingError(
            f"cubes must differ and lie in a grid of {resolution}, got indices from {int(low)} to "
            f"{int(high)}, {num_repeated} of them repeated; check the resolution of the decoder"
        )
    if not torch.stack(features.aminmax()).isfinite().all():  # without a mask of all channels
        raise DecodingError(
            "the cube features must be finite, are not; try bfloat16 or float32 where the mesh "
            "decoder runs in float16, and check the weights with `sam3d check`"
        )
    corner_keys = _corner_keys(keys, resolution)
    corners = _corner_rows(keys, corner_keys, resolution)
    distances = _means(features[:, SDF:DEFORMATION][order], corners, len(corner_keys))
    distances = distances[:, 0] - 1 / resolution  # the model's surface, grown by a cube's side
    return _SparseCubes(resolution, keys, order, features, corner_keys, corners, distances)


def _surface_keys(cubes: _SparseCubes) -> Tensor:
    """Return the numbers of the cubes with corners on both sides, ascending.

    Corners of no cube are outside. So a cube that is not there has some surface, too, when a cube
    beside it has an inside corner; inside thick walls these make the inner face of the wall.
    """
    inside = cubes.distances < 0
    if inside.all() or not inside.any():
        side = "inside" if inside.all() else "outside"
        raise DecodingError(
            f"the surface must pass between the corners of the {len(cubes.keys)} cubes, all are "
            f"{side}; try another seed, and check the weights with `sam3d check`"
        )
    absent, num_inside_absent = _absent_cubes(cubes, cubes.corner_keys[inside])
    num_inside = torch.cat((inside[cubes.corners].sum(dim=1), num_inside_absent))
    crossed = (num_inside > 0) & (num_inside < len(CORNERS))
    return torch.cat((cubes.keys, absent))[crossed].sort().values


def _absent_cubes(cubes: _SparseCubes, inside_keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cubes of the grid with inside corners but no features, and how many corners."""
    index = _indices(inside_keys, cubes.resolution)
    parts = []
    for corner, offset in zip(CORNERS, _corner_offsets(cubes.resolution), strict=True):
        cube = index - index.new_tensor(corner)
        in_grid = ((cube >= 0) & (cube < cubes.resolution)).all(dim=1)
        keys = inside_keys[in_grid] - offset
        parts.append(keys[find(cubes.keys, keys) < 0])
    keys, counts = torch.unique(torch.cat(parts), return_counts=True)
    return keys, counts


def _means(channels: Tensor, corners: Tensor, num_corners: int) -> Tensor:
    """Average what cubes say of each corner over the cubes that share it.

    Sums go corner by corner: no two cubes have the same first, second, ... corner. So they run in a
    fixed order without atomic additions, and results can be repeated.

    Args:
        channels: ``(N, 8 C)``, corner-major.
        corners: Rows of the corners of each cube, ``(N, 8)``; -1 leaves one out.
        num_corners: Number of rows ``K``.

    Returns:
        ``(K, C)`` float32, zero for corners of no cube.
    """
    per_corner = channels.reshape(len(channels), len(CORNERS), -1)
    sums = channels.new_zeros((num_corners, per_corner.shape[2]), dtype=torch.float32)
    counts = sums.new_zeros((num_corners, 1))
    for corner in range(len(CORNERS)):
        here = (corners[:, corner] >= 0).nonzero()[:, 0]
        rows = corners[here, corner]
        sums[rows] += per_corner[here, corner].float()
        counts[rows] += 1
    return sums / counts.clamp(min=1)


def _at_corners(cubes: _SparseCubes, corner_keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return distance ``(K,)``, deformation ``(K, 3)`` and attributes ``(K, 6)`` of corners."""
    found = find(cubes.corner_keys, corner_keys)
    distances = torch.where(found >= 0, cubes.distances[found], ABSENT_SDF)
    corners = find(corner_keys, cubes.corner_keys)[cubes.corners]
    near = (corners >= 0).any(dim=1).nonzero()[:, 0]
    corners, rows, num = corners[near], cubes.order[near], len(corner_keys)
    deformation = _means(cubes.features[rows, DEFORMATION:WEIGHTS], corners, num)
    attributes = _means(cubes.features[rows, ATTRIBUTES:], corners, num)
    return distances, deformation, attributes


def _weights(cubes: _SparseCubes, keys: Tensor) -> Tensor:
    """Return the raw weights of cubes, ``(C, 21)`` float32, zero where there is no cube."""
    places = find(cubes.keys, keys)
    present = places >= 0
    weights = cubes.features.new_zeros((len(keys), NUM_WEIGHTS), dtype=torch.float32)
    weights[present] = cubes.features[cubes.order[places[present]], WEIGHTS:ATTRIBUTES].float()
    return weights


def _positions(corner_keys: Tensor, deformation: Tensor, resolution: int) -> Tensor:
    """Return where corners are, ``(M, 3)``; each may leave its place by half a cube."""
    reach = (1 - 1e-8) / (2 * resolution)
    grid = _indices(corner_keys, resolution).float() / resolution - 0.5
    return grid + reach * torch.tanh(deformation)


def _corner_offsets(resolution: int) -> list[int]:
    """Return what to add to the number of a cube for the numbers of its corners."""
    steps = strides(resolution)
    return [sum(b * step for b, step in zip(corner, steps, strict=True)) for corner in CORNERS]


def _corner_keys(cube_keys: Tensor, resolution: int) -> Tensor:
    """Return the numbers of all corners of cubes, ascending and without repetition."""
    keys = cube_keys
    for step in strides(resolution):
        keys = torch.unique(torch.cat((keys, keys + step)))
    return keys


def _corner_rows(keys: Tensor, corner_keys: Tensor, resolution: int) -> Tensor:
    offsets = keys.new_tensor(_corner_offsets(resolution))
    return torch.searchsorted(corner_keys, keys[:, None] + offsets)


def _indices(keys: Tensor, resolution: int) -> Tensor:
    """Return the indices along x, y, z of numbers, ``(K, 3)`` int64."""
    side = resolution + 1
    return torch.stack((keys // (side * side), keys // side % side, keys % side), dim=1)
