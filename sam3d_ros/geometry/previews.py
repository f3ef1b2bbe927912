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

"""Meshes to look at: quick to make, with few triangles, not always closed."""

import numpy as np
from scipy.spatial import cKDTree

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.measures import triangle_areas
from sam3d_ros.structures import Floats, Ints, Mesh

MIN_TRIANGLES = 12  # a box
GROWTH = 1.1  # of the cells, from one trial to the next


def clustered(mesh: Mesh, max_triangles: int) -> Mesh:
    """Merge the vertices within each cell of a grid until at most ``max_triangles`` are left.

    Vertex clustering (Rossignac and Borrel 1993): some thirty times faster than collapsing edges,
    and good enough for a marker. Position, colour and ``observed`` are means over a cell.

    Raises:
        ShapeError: When fewer triangles are wanted than a box has.
    """
    if len(mesh.triangles) <= max_triangles:
        return mesh
    if max_triangles < MIN_TRIANGLES:
        raise ShapeError(f"a preview needs {MIN_TRIANGLES} triangles or more, got {max_triangles}")
    # A surface of area A crosses some A / s^2 cells of size s and leaves two triangles in each.
    size_m = float(np.sqrt(2.0 * triangle_areas(mesh).sum() / max_triangles))
    while True:
        cell_of_vertex = _cells(mesh.vertices, size_m)
        triangles = _distinct(cell_of_vertex[mesh.triangles])
        if len(triangles) <= max_triangles:
            return _merged(mesh, cell_of_vertex, triangles)
        size_m *= GROWTH


def thinned(vertices: Floats, triangles: Ints, max_triangles: int) -> tuple[Ints, Ints]:
    """Choose vertices that stand for those around them, and the triangles between them.

    As ``clustered``, for surfaces that move: the choice of one pose holds for every other.

    Args:
        vertices: ``(V, 3)`` of one pose.
        triangles: ``(F, 3)``.
        max_triangles: How many are wanted at most.

    Returns:
        Rows of ``vertices``, ``(K,)``, and triangles of these, ``(T, 3)``.
    """
    num = len(vertices)
    mesh = Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles,
        colors=np.zeros((num, 3), dtype=np.uint8),
        observed=np.zeros(num, dtype=np.float32),
    )
    few = clustered(mesh, max_triangles)
    rows = cKDTree(vertices).query(few.vertices)[1]
    return rows, few.triangles


def _cells(vertices: Floats, size_m: float) -> Ints:
    """Number the cells in use, and return the number of each vertex's cell, ``(V,)``."""
    index = np.floor((vertices - vertices.min(axis=0)) / size_m).astype(np.int64)
    nx, ny, _ = index.max(axis=0) + 1
    _, numbers = np.unique((index[:, 2] * ny + index[:, 1]) * nx + index[:, 0], return_inverse=True)
    return numbers.ravel()


def _distinct(triangles: Ints) -> Ints:
    """Drop triangles that have collapsed, and all but one of those that fell together."""
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    # The smallest corner first, so that equal triangles look equal; the winding stays.
    first = triangles.argmin(axis=1)[:, None]
    rolled = np.take_along_axis(triangles, (first + np.arange(3)) % 3, axis=1)
    distinct: Ints = np.unique(rolled, axis=0)
    return distinct


def _merged(mesh: Mesh, cell_of_vertex: Ints, triangles: Ints) -> Mesh:
    """Return the mesh of the cells that ``triangles`` use."""
    used, renumbered = np.unique(triangles, return_inverse=True)
    counts = np.bincount(cell_of_vertex)
    values = np.column_stack((mesh.vertices, mesh.colors, mesh.observed)).astype(np.float64)
    means = np.column_stack(
        [np.bincount(cell_of_vertex, column)[used] / counts[used] for column in values.T]
    )
    return Mesh(
        vertices=means[:, :3].astype(np.float32),
        triangles=renumbered.reshape(-1, 3).astype(np.int32),
        colors=np.round(means[:, 3:6]).astype(np.uint8),
        observed=means[:, 6].astype(np.float32),
    )
