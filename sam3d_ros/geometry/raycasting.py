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

"""Ray casting with Open3D: meshes into a scene, for distances, occupancy and pictures."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import open3d as o3d

from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Floats, Ints

NUM_THREADS = 1  # callers share the machine with drivers and planners


class MeshLike(Protocol):
    """Anything with vertices and triangles, such as ``structures.Mesh``."""

    @property
    def vertices(self) -> Floats:
        """Positions in metres, ``(V, 3)``."""
        ...

    @property
    def triangles(self) -> Ints:
        """Vertex indices, ``(F, 3)``, counter-clockwise seen from outside."""
        ...


def raycasting_scene(meshes: Sequence[MeshLike]) -> o3d.t.geometry.RaycastingScene:
    """Return a scene of meshes whose geometry ids are their positions in the list."""
    scene = o3d.t.geometry.RaycastingScene(nthreads=NUM_THREADS)
    for mesh in meshes:
        check_shape(mesh.vertices, "V 3", "vertices")
        check_shape(mesh.triangles, "F 3", "triangles")
        scene.add_triangles(
            o3d.core.Tensor(np.ascontiguousarray(mesh.vertices, dtype=np.float32)),
            o3d.core.Tensor(np.ascontiguousarray(mesh.triangles, dtype=np.uint32)),
        )
    return scene


def hit_distances(
    scene: o3d.t.geometry.RaycastingScene, origin: Floats, directions: Floats
) -> Floats:
    """Return how many of its directions ``(N, 3)`` a ray from ``origin`` ``(3,)`` goes, ``(N,)``.

    Directions with z = 1 give the depth below the origin; NaN where nothing is hit.
    """
    check_shape(origin, "3", "origin")
    check_shape(directions, "N 3", "directions")
    rays = np.empty((len(directions), 6), dtype=np.float32)
    rays[:, :3], rays[:, 3:] = origin, directions
    distances = scene.cast_rays(o3d.core.Tensor(rays), nthreads=NUM_THREADS)["t_hit"].numpy()
    return np.where(np.isfinite(distances), distances, np.nan)
