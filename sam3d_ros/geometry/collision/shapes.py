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

"""What planners are told of a mesh: several convex solids, one, a box, or the mesh made lighter."""

import time
from collections.abc import Callable

import numpy as np

from sam3d_ros.errors import Sam3dError
from sam3d_ros.geometry.collision.agreement import agreement, surface_samples
from sam3d_ros.geometry.collision.decomposition import convex_pieces
from sam3d_ros.geometry.collision.polytopes import enclosing_polytope, outside_m, planes_of
from sam3d_ros.geometry.measures import bounds, is_closed, vertex_normals
from sam3d_ros.geometry.meshes import decimate
from sam3d_ros.structures import CollisionPart, CollisionShape, Floats, Mesh, ShapeOrder

DECIMATED_TRIANGLES = 300
# What is tried, in this order, where the one before fails.
FALL_BACKS = {
    "convex_decomposition": ("convex_decomposition", "convex_hull", "box"),
    "convex_hull": ("convex_hull", "box"),
    "decimated": ("decimated", "convex_hull", "box"),
    "box": ("box",),
}


def collision_shape(mesh: Mesh, order: ShapeOrder) -> CollisionShape:
    """Return solids that enclose a mesh; where those that are asked for cannot be made, others.

    All but ``decimated`` contain the mesh, ``padding_m`` away from their surfaces.
    """
    started_s = time.perf_counter()
    why: list[str] = []
    for geometry in FALL_BACKS[order.geometry]:
        try:
            parts = MAKERS[geometry](mesh, order)
            break
        except Sam3dError as error:
            why.append(f"no {geometry}: {error}")
    measured = agreement(mesh, parts)
    return CollisionShape(
        parts=tuple(parts),
        geometry=geometry,
        bounds=bounds(mesh),
        padding_m=order.padding_m,
        is_watertight=all(is_closed(part.triangles) for part in parts),
        volume_m3=measured.volume_m3,
        uncovered_m=measured.uncovered_m,
        hausdorff_m=measured.hausdorff_m,
        seconds=time.perf_counter() - started_s,
        why="; ".join(why),
    )


def _decomposition(mesh: Mesh, order: ShapeOrder) -> list[CollisionPart]:
    pieces = covering(convex_pieces(mesh, order.max_hulls), surface_samples(mesh))
    return [enclosing_polytope(piece, order.padding_m) for piece in pieces]


def _hull(mesh: Mesh, order: ShapeOrder) -> list[CollisionPart]:
    return [enclosing_polytope(mesh.vertices, order.padding_m)]


def _decimated(mesh: Mesh, order: ShapeOrder) -> list[CollisionPart]:
    """Return the mesh with few triangles, its vertices moved outwards."""
    light = decimate(mesh, DECIMATED_TRIANGLES)
    grown = light.vertices + order.padding_m * vertex_normals(light)
    return [CollisionPart(vertices=grown, triangles=light.triangles)]


def _box(mesh: Mesh, order: ShapeOrder) -> list[CollisionPart]:
    low, high = bounds(mesh) + order.padding_m * np.array([[-1.0], [1.0]])
    return [box_part(low, high)]


MAKERS: dict[str, Callable[[Mesh, ShapeOrder], list[CollisionPart]]] = {
    "convex_decomposition": _decomposition,
    "convex_hull": _hull,
    "decimated": _decimated,
    "box": _box,
}
# Corner number 4 x + 2 y + z; two triangles per side, counter-clockwise seen from outside.
BOX_TRIANGLES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ],
    dtype=np.int32,
)  # fmt: skip


def box_part(low: Floats, high: Floats) -> CollisionPart:
    """Return the box between two corners ``(3,)``."""
    numbers = np.arange(8)[:, None] >> np.array([2, 1, 0]) & 1
    return CollisionPart(vertices=np.where(numbers, high, low), triangles=BOX_TRIANGLES)


def covering(pieces: list[Floats], samples: Floats) -> list[Floats]:
    """Let each sample ``(N, 3)`` that is in no piece belong to the one that it sticks out of least.

    A decomposition is one of a mesh that was made lighter, and cuts are not exact.
    """
    beyond_m = np.stack([outside_m(samples, planes_of(piece)) for piece in pieces])
    nearest = beyond_m.argmin(axis=0)
    is_out = beyond_m.min(axis=0) > 0
    return [
        np.concatenate([piece, samples[is_out & (nearest == number)]])
        for number, piece in enumerate(pieces)
    ]
