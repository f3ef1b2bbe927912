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


"""What can be said of a mesh without a mesh library: closedness, volume, normals.

Apart from ``meshes``, because the node needs only this, and Open3D takes seconds to import.
"""

import numpy as np

from sam3d_ros.structures import Floats, Ints, Mesh


def is_watertight(mesh: Mesh) -> bool:
    """Tell whether every edge has two triangles with one winding and the volume is positive."""
    return is_closed(mesh.triangles) and volume_m3(mesh) > 0


def is_closed(triangles: Ints) -> bool:
    """Tell whether every edge of triangles ``(F, 3)`` has two of them with one winding.

    So it is when each directed edge occurs once, and so does the opposite one: the numbers 2e and
    2e + 1 of the two directions of edge e come in pairs.
    """
    start = triangles.astype(np.int64)
    end = start[:, [1, 2, 0]]
    num = int(start.max(initial=0)) + 1
    edges = np.minimum(start, end) * num + np.maximum(start, end)
    numbers = np.sort((2 * edges + (start > end)).ravel())
    one_way, other_way = numbers[::2], numbers[1::2]
    return bool(
        len(one_way) == len(other_way)
        and (one_way % 2 == 0).all()
        and (other_way == one_way + 1).all()
        and (np.diff(one_way) > 0).all()
    )


def volume_m3(mesh: Mesh) -> float:
    """Volume that a closed mesh encloses (divergence theorem); negative when it is inside out."""
    corners = mesh.vertices.astype(np.float64)[mesh.triangles]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6.0)


def enclosed_volume_m3(mesh: Mesh) -> float:
    """Volume of a mesh; NaN unless it is watertight."""
    volume = volume_m3(mesh)
    return volume if volume > 0 and is_closed(mesh.triangles) else float("nan")


def vertex_normals(mesh: Mesh) -> Floats:
    """Area-weighted outward unit normals of the vertices, ``(V, 3)``; zero where undefined."""
    corners = mesh.vertices.astype(np.float64)[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = mesh.triangles.ravel()
    sums = np.stack(
        [
            np.bincount(flat, np.repeat(normals[:, axis], 3), minlength=len(mesh.vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    unit: Floats = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
    return unit


def bounds(mesh: Mesh) -> Floats:
    """Lower and upper corner of the axis-parallel box around the vertices, ``(2, 3)``."""
    return np.stack((mesh.vertices.min(axis=0), mesh.vertices.max(axis=0))).astype(np.float64)


def triangle_areas(mesh: Mesh) -> Floats:
    """Area of each triangle, ``(F,)``."""
    corners = mesh.vertices.astype(np.float64)[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas: Floats = 0.5 * np.linalg.norm(normals, axis=1)
    return areas
