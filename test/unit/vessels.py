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

"""Things with and without a hollow, as closed meshes of known shape."""

from collections.abc import Callable

import numpy as np

from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.structures import Floats, Mesh

MUG_RADIUS_M, MUG_HEIGHT_M, MUG_WALL_M = 0.04, 0.09, 0.005
BOWL_RADIUS_M, BOWL_WALL_M = 0.08, 0.005
CAN_RADIUS_M, CAN_HEIGHT_M = 0.033, 0.12


def mesh_of(vertices: Floats, triangles: Floats) -> Mesh:
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=np.ascontiguousarray(triangles, dtype=np.int32),
        colors=np.full((len(vertices), 3), 128, dtype=np.uint8),
        observed=np.ones(len(vertices), dtype=np.float32),
    )


def mug(step_m: float = 0.0025) -> Mesh:
    """Return a mug around the origin, open at the top (z), its handle at +x."""
    return _meshed(_mug, (0.08, 0.05, 0.05), step_m)


def bowl(step_m: float = 0.0035) -> Mesh:
    """Return the lower half of a hollow ball around the origin."""
    return _meshed(_bowl, (0.09, 0.09, 0.09), step_m)


def can(step_m: float = 0.0035) -> Mesh:
    """Return a full cylinder around the origin, its axis along z."""
    return _meshed(_can, (0.04, 0.04, 0.07), step_m)


def _mug(x: Floats, y: Floats, z: Floats) -> Floats:
    radius = np.hypot(x, y)
    body = np.maximum(radius - MUG_RADIUS_M, np.abs(z) - MUG_HEIGHT_M / 2)
    above_floor = MUG_WALL_M - MUG_HEIGHT_M / 2 - z
    hollow = np.maximum(radius - (MUG_RADIUS_M - MUG_WALL_M), above_floor)
    ring = np.hypot(np.hypot(x - MUG_RADIUS_M - 0.01, z) - 0.024, y) - 0.006
    handle = np.maximum(ring, MUG_RADIUS_M - MUG_WALL_M - radius)
    return np.minimum(np.maximum(body, -hollow), handle)


def _bowl(x: Floats, y: Floats, z: Floats) -> Floats:
    radius = np.sqrt(x**2 + y**2 + z**2)
    return np.maximum(np.abs(radius - BOWL_RADIUS_M) - BOWL_WALL_M / 2, z)


def _can(x: Floats, y: Floats, z: Floats) -> Floats:
    return np.maximum(np.hypot(x, y) - CAN_RADIUS_M, np.abs(z) - CAN_HEIGHT_M / 2)


def _meshed(
    field: Callable[[Floats, Floats, Floats], Floats], half_m: tuple[float, ...], step_m: float
) -> Mesh:
    axes = [np.arange(-half - 2 * step_m, half + 2 * step_m, step_m) for half in half_m]
    vertices, triangles = isosurface(field(*np.meshgrid(*axes, indexing="ij")), step_m)
    return mesh_of(vertices + np.array([axis[0] for axis in axes]), triangles)
