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

"""Shapes on dense grids: distances to the surface and colours, from which views are traced.

A program's field has the right sign but, after booleans and bends, not the right amount. So the
surface is found on a fine grid, distances next to it follow from the field over the length of its
gradient, and the rest is marched outwards on a grid of half the resolution by solving
``|grad d| = 1`` (Godunov's scheme; Zhao, "A fast sweeping method for eikonal equations", 2005).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sam3d_ros.errors import ConfigError
from sam3d_ros.training.shapes.marching import halved, neighbours_most, spread, stretch
from sam3d_ros.training.shapes.nodes import Points
from sam3d_ros.training.shapes.shape import Shape

SIDE = 1.2  # of the cube that is sampled, in largest extents
FAR = 0.2  # distances beyond this are this, in largest extents
GREY = 0.5  # where no surface is near
CHUNK_CPU, CHUNK_GPU = 1, 16  # shapes at once: what stays in a cache, what fills a device


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeGrids:
    """B shapes, each scaled to a largest extent of 1, in a cube of ``SIDE`` around its bounds.

    Samples stand in the middles of voxels: the i-th is at ``SIDE * ((i + 0.5) / N - 0.5)``.
    For ``grid_sample`` (align_corners=False) a point (x, y, z) is (z, y, x) * 2 / SIDE.
    """

    distance: Tensor  # (B, N, N, N) over x, y, z; > 0 outside, at most FAR either way
    colors: Tensor  # (B, 3, N, N, N) in [0, 1] near the surface, grey elsewhere
    extent: Tensor  # (B, 3) of the bounds along x, y, z; the largest is 1
    largest_m: Tensor  # (B,) what 1 stands for
    families: tuple[str, ...]
    seeds: tuple[int, ...]


def gridded(shapes: Sequence[Shape], resolution: int, device: torch.device) -> ShapeGrids:
    """Sample shapes on grids of ``resolution``^3 voxels, an even number."""
    if resolution % 2 or resolution < 8 or not shapes:
        raise ConfigError(f"need shapes and an even resolution >= 8, got {resolution}")
    chunk = CHUNK_CPU if device.type == "cpu" else CHUNK_GPU
    parts = [
        _sampled(shapes[start : start + chunk], resolution, device)
        for start in range(0, len(shapes), chunk)
    ]
    extents = torch.tensor([shape.extent_m for shape in shapes], device=device)
    largest = extents.amax(dim=-1)
    return ShapeGrids(
        distance=torch.cat([distance for distance, _ in parts]),
        colors=torch.cat([colors for _, colors in parts]),
        extent=extents / largest[:, None],
        largest_m=largest,
        families=tuple(shape.family for shape in shapes),
        seeds=tuple(shape.seed for shape in shapes),
    )


def _sampled(
    shapes: Sequence[Shape], resolution: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return distances ``(B, N, N, N)`` and colours ``(B, 3, N, N, N)``."""
    half = resolution // 2
    coarse = torch.stack([_field(shape, half, device) for shape in shapes])
    near = _doubled(_near(coarse, SIDE / half))
    fine = F.interpolate(coarse[:, None], scale_factor=2, mode="trilinear")[:, 0]
    colors = fine.new_full((len(shapes), 3, *near.shape[1:]), GREY)
    for index, shape in enumerate(shapes):
        places = near[index].flatten().nonzero()[:, 0]
        points = _points(shape, places, resolution)
        scale = max(shape.extent_m)
        fine[index].view(-1)[places] = shape.program.solid.distance(points) / scale
        colors[index].view(3, -1)[:, places] = shape.program.paint.color(points)
    return _measured(fine, near), colors


def _measured(field: Tensor, near: Tensor) -> Tensor:
    """Turn a field ``(B, N, N, N)`` that is fine where ``near`` into distances."""
    voxel = SIDE / field.shape[-1]
    local = field / stretch(field, voxel)
    close = near & (local.abs() < 2.0 * voxel)
    known = F.avg_pool3d(close.float(), 2) == 1.0
    distances = halved(local, voxel)
    distances[:, 0] = torch.where(known, distances[:, 0], F.avg_pool3d(field, 2))
    coarse = spread(distances, known, 2.0 * voxel, FAR)
    wide = F.interpolate(coarse[:, None], scale_factor=2, mode="trilinear")[:, 0]
    share = ((2.0 * voxel - local.abs()) / voxel).clamp(0.0, 1.0) * close
    return torch.lerp(wide, local, share)


def _field(shape: Shape, resolution: int, device: torch.device) -> Tensor:
    """Return a program's field ``(N, N, N)`` in largest extents."""
    scale, middle = max(shape.extent_m), shape.centre_m
    line = (torch.arange(resolution, device=device) + 0.5) * (SIDE * scale / resolution)
    x, y, z = (line + (each - 0.5 * SIDE * scale) for each in middle)
    points = Points(x[:, None, None], y[None, :, None], z[None, None, :])
    return (shape.program.solid.distance(points) / scale).expand(resolution, resolution, resolution)


def _points(shape: Shape, places: Tensor, resolution: int) -> Points:
    """Return the middles of voxels, given by their flat indices, in metres."""
    step = SIDE * max(shape.extent_m) / resolution
    low = [each + step * 0.5 * (1 - resolution) for each in shape.centre_m]
    x = places // (resolution * resolution)
    y = places // resolution % resolution
    z = places % resolution
    return Points(x * step + low[0], y * step + low[1], z * step + low[2])


def _near(field: Tensor, voxel: float) -> Tensor:
    """Mark the voxels ``(B, n, n, n)`` next to the surface."""
    highest, lowest = field, -field
    for dim in (1, 2, 3):
        highest, lowest = neighbours_most(highest, dim), neighbours_most(lowest, dim)
    return ((highest > 0.0) & (lowest > 0.0)) | (field.abs() < 0.7 * voxel)


def _doubled(mask: Tensor) -> Tensor:
    """Repeat each voxel of a mask ``(B, n, n, n)`` twice along each axis."""
    count, n = mask.shape[:2]
    wide = mask[:, :, None, :, None, :, None].expand(count, n, 2, n, 2, n, 2)
    return wide.reshape(count, 2 * n, 2 * n, 2 * n)
