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

"""How far solids for planners are from the mesh that they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d

from sam3d_ros.geometry.collision.polytopes import outside_m, planes_of
from sam3d_ros.geometry.meshes import sample_surface
from sam3d_ros.geometry.raycasting import NUM_THREADS, MeshLike, raycasting_scene
from sam3d_ros.structures import CollisionPart, Floats, Mesh

NUM_SAMPLES = 4000
NUM_CELLS = 40  # along the longest side; volume and filled hollows are measured in their middles
ROWS = 4096  # points looked at at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was measured; distances are between solids, of samples 1/40 of the size apart."""

    volume_m3: float  # of all parts together
    uncovered_m: float  # how far the mesh reaches beyond all parts at most; 0 is not at all
    hausdorff_m: float  # the larger of that and of how far parts reach beyond the mesh


def agreement(mesh: Mesh, parts: Sequence[CollisionPart]) -> Agreement:
    """Compare convex parts, or one that need not be convex, with the mesh they stand for."""
    is_convex = len(parts) > 1 or _is_convex(parts[0])
    middles, cell_m3 = _grid(parts)
    samples = surface_samples(mesh)
    if is_convex:
        beyond_m, is_inside = beyond_all_m(samples, parts), beyond_all_m(middles, parts) < 0
    else:
        beyond_m, is_inside = _beyond_m(parts[0], samples), _beyond_m(parts[0], middles) < 0
    uncovered_m = max(0.0, float(beyond_m.max()))
    reached = np.concatenate([*(part.vertices for part in parts), middles[is_inside]])
    return Agreement(
        volume_m3=float(is_inside.sum()) * cell_m3,
        uncovered_m=uncovered_m,
        hausdorff_m=max(uncovered_m, float(_beyond_m(mesh, reached).max())),
    )


def surface_samples(mesh: Mesh) -> Floats:
    """Return all vertices and points between them, the same each time, ``(N, 3)``."""
    drawn, _ = sample_surface(mesh, NUM_SAMPLES, np.random.default_rng(0))
    return np.concatenate([mesh.vertices.astype(np.float64), drawn])


def beyond_all_m(points: Floats, parts: Sequence[CollisionPart]) -> Floats:
    """Return how far points ``(N, 3)`` are outside of the nearest convex part; negative: inside."""
    least = np.full(len(points), np.inf)
    for part in parts:
        planes = planes_of(part.vertices)
        for first in range(0, len(points), ROWS):
            rows = slice(first, first + ROWS)
            least[rows] = np.minimum(least[rows], outside_m(points[rows], planes))
    return least


def _grid(parts: Sequence[CollisionPart]) -> tuple[Floats, float]:
    """Return the middles ``(N, 3)`` of cells that fill the box of all parts, and their volume."""
    corners = np.concatenate([part.vertices for part in parts])
    low, high = corners.min(axis=0), corners.max(axis=0)
    counts = np.maximum(1, np.ceil((high - low) * NUM_CELLS / (high - low).max())).astype(int)
    cell_m = (high - low) / counts
    axes = [low[i] + cell_m[i] * (np.arange(counts[i]) + 0.5) for i in range(3)]
    middles = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return middles, float(np.prod(cell_m))


def _is_convex(part: CollisionPart) -> bool:
    """Tell whether no corner lies behind a triangle, up to rounding."""
    a, b, c = np.moveaxis(part.vertices[part.triangles], 1, 0)
    normals = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 0] / lengths[lengths > 0, None]
    offsets = np.einsum("fi,fi->f", normals, a[lengths > 0])
    return bool((part.vertices @ normals.T - offsets).max() < 1e-5)


def _beyond_m(solid: MeshLike, points: Floats) -> Floats:
    """Return how far points are outside of a closed surface; negative is inside."""
    query = o3d.core.Tensor(np.ascontiguousarray(points, dtype=np.float32))
    scene = raycasting_scene([solid])
    distance: Floats = scene.compute_signed_distance(query, NUM_THREADS, nsamples=3).numpy()
    return distance
