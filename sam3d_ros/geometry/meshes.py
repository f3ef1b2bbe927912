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

"""Closed triangle meshes: what they enclose, how far things are from them, fewer triangles.

Distances and occupancy come from ``open3d.t.geometry.RaycastingScene``, topology from trimesh.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import open3d as o3d
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage import measure

from sam3d_ros.errors import ReconstructionError
from sam3d_ros.geometry.measures import bounds, is_watertight, triangle_areas
from sam3d_ros.geometry.raycasting import NUM_THREADS, raycasting_scene
from sam3d_ros.structures import Bools, Floats, Ints, Mesh

# Samples nearer to the surface than this share of a cell are moved away from it: on a sample, the
# vertices of several edges would coincide, and whoever merges them would open the mesh.
MIN_SAMPLE_SHARE = 0.01
# Quadric collapse may tear a closed mesh at a thin place; it rarely does at a neighbouring size.
DECIMATION_TRIALS = (1.0, 0.93, 0.86, 0.75)


def to_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    """Return the same mesh for trimesh, vertices in the same order, with its colours."""
    return trimesh.Trimesh(
        vertices=mesh.vertices.astype(np.float64),
        faces=mesh.triangles,
        vertex_colors=mesh.colors,
        process=False,
    )


def sample_surface(mesh: Mesh, num: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Draw points uniformly over the area.

    Returns:
        points ``(num, 3)`` and the triangle that each lies on ``(num,)``.
    """
    cumulative = np.cumsum(triangle_areas(mesh))
    if not cumulative[-1] > 0:
        raise ReconstructionError(
            "cannot sample a mesh without area; check that its vertices are not all the same"
        )
    drawn = np.searchsorted(cumulative, rng.random(num) * cumulative[-1])
    face_index = np.minimum(drawn, len(mesh.triangles) - 1)
    # Square root makes barycentric weights uniform over the triangle (Osada et al. 2002, eq. 1).
    r1, r2 = np.sqrt(rng.random((num, 1))), rng.random((num, 1))
    a, b, c = np.moveaxis(mesh.vertices.astype(np.float64)[mesh.triangles[face_index]], 1, 0)
    return (1 - r1) * a + r1 * (1 - r2) * b + r1 * r2 * c, face_index


def signed_distance(mesh: Mesh, points: Floats) -> Floats:
    """Distance of points ``(N, 3)`` to the surface of a closed mesh, ``(N,)``, negative inside."""
    query = o3d.core.Tensor(np.ascontiguousarray(points, dtype=np.float32))
    scene = raycasting_scene([mesh])
    distance: Floats = scene.compute_signed_distance(query, NUM_THREADS, nsamples=3).numpy()
    return distance


def occupancy(mesh: Mesh, points: Floats) -> Bools:
    """Tell which of the points ``(N, 3)`` a closed mesh encloses, ``(N,)``."""
    query = o3d.core.Tensor(np.ascontiguousarray(points, dtype=np.float32))
    scene = raycasting_scene([mesh])
    inside: Bools = scene.compute_occupancy(query, NUM_THREADS, nsamples=3).numpy() > 0.5
    return inside


def isosurface(field: Floats, step_m: float) -> tuple[Floats, Ints]:
    """Extract the zero set of a grid of signed distances, negative inside (Lewiner et al. 2003).

    Returns:
        vertices ``(V, 3)`` in metres from the first sample, triangles ``(F, 3)`` wound outwards.
        The surface is closed when all samples on the border of the grid are positive.
    """
    marching_cubes: Any = measure.marching_cubes  # untyped upstream
    least = MIN_SAMPLE_SHARE * step_m
    distinct = np.where(np.abs(field) < least, np.copysign(least, field), field)
    vertices, triangles, _, _ = marching_cubes(distinct, 0.0, spacing=(step_m,) * 3)
    return vertices, triangles


def decimate(mesh: Mesh, max_triangles: int) -> Mesh:
    """Collapse edges until at most ``max_triangles`` are left; a closed mesh stays closed.

    Quadric error metrics (Garland and Heckbert 1997). Colours and ``observed`` come from the
    nearest old vertex. Where every collapse would tear a closed mesh it is sampled anew instead.
    """
    if len(mesh.triangles) <= max_triangles:
        return mesh
    closed = is_watertight(mesh)
    for share in DECIMATION_TRIALS:
        smaller = _collapsed(mesh, int(share * max_triangles))
        if 0 < len(smaller.triangles) <= max_triangles and (not closed or is_watertight(smaller)):
            return smaller
    return _remeshed(mesh, max_triangles)


def _collapsed(mesh: Mesh, num_triangles: int) -> Mesh:
    legacy = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(mesh.vertices.astype(np.float64)),
        o3d.utility.Vector3iVector(mesh.triangles.astype(np.int32)),
    )
    legacy = legacy.simplify_quadric_decimation(num_triangles)
    return _dressed(mesh, np.asarray(legacy.vertices), np.asarray(legacy.triangles))


def _remeshed(mesh: Mesh, max_triangles: int) -> Mesh:
    """Sample the signed distance coarsely enough for its zero set to have few triangles."""
    low, high = bounds(mesh)
    # The zero set of n^3 cells has some 12 n^2 triangles for a ball, fewer for most things.
    cells = max(4, int(np.sqrt(max_triangles / 12.0)))
    while cells >= 4:
        step = float((high - low).max()) / cells
        counts = np.ceil((high - low) / step).astype(int) + 5
        axes = [low[i] + step * (np.arange(counts[i]) - 2) for i in range(3)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        field = signed_distance(mesh, grid.reshape(-1, 3)).reshape(grid.shape[:3])
        if field.min() < 0:
            vertices, triangles = isosurface(field, step)
            dressed = _dressed(mesh, vertices + low - 2 * step, triangles)
            if len(triangles) <= max_triangles and is_watertight(dressed):
                return dressed
        cells -= max(1, cells // 8)
    raise ReconstructionError(
        f"a mesh of {len(mesh.triangles)} triangles cannot be closed with {max_triangles}; "
        "allow more triangles"
    )


def _dressed(source: Mesh, vertices: Floats, triangles: NDArray[np.integer]) -> Mesh:
    """Give new vertices the colour and ``observed`` of the nearest vertex of ``source``."""
    _, nearest = cKDTree(source.vertices).query(vertices)
    return replace(
        source,
        vertices=vertices.astype(np.float32),
        triangles=np.ascontiguousarray(triangles, dtype=np.int32),
        colors=source.colors[nearest],
        observed=source.observed[nearest],
    )
