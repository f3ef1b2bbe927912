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

"""Solids as signed distance functions, and their closed meshes.

A solid is a function from points ``(..., 3)`` in metres to a signed distance ``(...)``, negative
inside. Unions and differences are then minima and maxima, which never fail and never leave a gap:
the isosurface is closed by construction. Primitives follow I. Quilez, "Distance functions",
https://iquilezles.org/articles/distfunctions (and .../distfunctions2d for the polygon).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from skimage.measure import marching_cubes

from sam3d_ros.structures import Floats, Ints, Similarity

Solid = Callable[[Floats], Floats]

GRADIENT_STEP_M = 2e-4
# An offset that no sensible dimension hits, so that faces never lie exactly on grid points.
GRID_PHASE = 0.3141592653


def rounded_box(half_extents_m: Sequence[float] | Floats, radius_m: float) -> Solid:
    """Return a box around the origin whose edges are rounded inside ``half_extents_m``."""
    core = np.asarray(half_extents_m) - radius_m

    def distance(points: Floats) -> Floats:
        beyond = np.abs(points) - core
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1)
        inside: Floats = np.minimum(beyond.max(axis=-1), 0.0)
        return outside + inside - radius_m

    return distance


def revolved(profile_m: Sequence[tuple[float, float]], radius_m: float = 0.0) -> Solid:
    """Return the solid that a profile of (radius, height) pairs sweeps around the z axis.

    Args:
        profile_m: Polygon. One that starts and ends on the axis encloses the axis.
        radius_m: The solid is inflated by this, which rounds its edges.
    """
    polygon = np.asarray(profile_m, dtype=np.float64)
    if polygon[0, 0] == 0.0 and polygon[-1, 0] == 0.0:
        mirrored = polygon[::-1] * (-1.0, 1.0)
        polygon = np.concatenate([polygon, mirrored[1:-1]])

    def distance(points: Floats) -> Floats:
        radial = np.hypot(points[..., 0], points[..., 1])
        return _polygon_distance(polygon, radial, points[..., 2]) - radius_m

    return distance


def tube(path_m: Sequence[Sequence[float]], radius_m: float) -> Solid:
    """Return a round tube along a polyline of points ``(N, 3)``."""
    path = np.asarray(path_m, dtype=np.float64)

    def distance(points: Floats) -> Floats:
        nearest = np.full(points.shape[:-1], np.inf)
        for start, end in pairwise(path):
            along = end - start
            fraction = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
            offset = points - start - fraction[..., None] * along
            nearest = np.minimum(nearest, np.linalg.norm(offset, axis=-1))
        return nearest - radius_m

    return distance


def union(*solids: Solid) -> Solid:
    """Return what lies in any of the solids."""
    return lambda points: np.min([solid(points) for solid in solids], axis=0)


def difference(solid: Solid, *removed: Solid) -> Solid:
    """Return what lies in the first solid and in none of the others."""
    return lambda points: np.max([solid(points), *(-cut(points) for cut in removed)], axis=0)


def smooth_union(first: Solid, second: Solid, blend_m: float) -> Solid:
    """Return a union whose seam is a fillet of about ``blend_m`` (quadratic smooth minimum)."""

    def distance(points: Floats) -> Floats:
        a, b = first(points), second(points)
        overlap = np.maximum(blend_m - np.abs(a - b), 0.0)
        return np.minimum(a, b) - overlap**2 / (4.0 * blend_m)

    return distance


def moved(solid: Solid, a_from_b: Similarity) -> Solid:
    """Return a solid given in frame b as seen in frame a."""
    b_from_a = a_from_b.inverse()
    return lambda points: a_from_b.scale * solid(b_from_a.apply(points))


def normals(solid: Solid, points: Floats) -> Floats:
    """Outward unit normals ``(..., 3)`` at surface points: the gradient of the distance."""
    steps = np.eye(3) * GRADIENT_STEP_M
    gradient = np.stack([solid(points + step) - solid(points - step) for step in steps], axis=-1)
    length = np.linalg.norm(gradient, axis=-1, keepdims=True)
    unit: Floats = gradient / np.maximum(length, 1e-12)
    return unit


def surface(solid: Solid, bounds_m: Floats, voxel_m: float) -> tuple[Floats, Ints]:
    """Mesh the zero level with marching cubes.

    Args:
        solid: The shape.
        bounds_m: Lowest and highest corner ``(2, 3)`` of a box that contains it.
        voxel_m: Edge of a grid cell; details below it are lost.

    Returns:
        vertices ``(V, 3)`` in metres and triangles ``(F, 3)``, counter-clockwise from outside.
    """
    low = bounds_m[0] - (2.0 + GRID_PHASE) * voxel_m
    counts = np.ceil((bounds_m[1] - low) / voxel_m).astype(int) + 3
    axes = [low[axis] + voxel_m * np.arange(counts[axis]) for axis in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    vertices, triangles, _, _ = marching_cubes(
        solid(grid), 0.0, spacing=(voxel_m,) * 3, gradient_direction="descent"
    )
    return vertices + low, triangles


def _polygon_distance(polygon: Floats, x: Floats, y: Floats) -> Floats:
    """Signed distance to a closed polygon ``(N, 2)``; the sign from the crossing number."""
    squared = np.full(x.shape, np.inf)
    inside = np.zeros(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        fraction = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex**2 + ey**2), 0.0, 1.0)
        squared = np.minimum(squared, (x - ax - fraction * ex) ** 2 + (y - ay - fraction * ey) ** 2)
        if ay != by:
            crosses = (y >= min(ay, by)) & (y < max(ay, by))
            inside ^= crosses & (x < ax + (y - ay) * (ex / ey))
    return np.where(inside, -1.0, 1.0) * np.sqrt(squared)
