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

"""Convex polytopes of few corners that contain all of a set of points.

A hull that is simplified by leaving out corners is smaller than what it stands for, and a robot
would touch what it plans to pass. Here planes are left out instead: every plane touches the
points, grown by the padding, from outside, so that what is left contains them whatever is left out.
"""

import numpy as np
import open3d as o3d
from scipy.spatial import ConvexHull, HalfspaceIntersection

from sam3d_ros.errors import ReconstructionError
from sam3d_ros.geometry.hulls import convex_hull
from sam3d_ros.geometry.raycasting import NUM_THREADS, raycasting_scene
from sam3d_ros.structures import CollisionPart, Floats, Ints

MAX_CORNERS = 64
TOLERANCE = 0.002  # of the diameter: no more planes where corners stand off by less
MITRE = 1.75  # times the padding may corners stand off: those of a box do 1.73 times
MERGED_M = 1e-6  # corners nearer than this are one
THICKNESS_M = 1e-4  # that points in a plane are given


def enclosing_polytope(
    points: Floats, padding_m: float = 0.0, max_corners: int = MAX_CORNERS
) -> CollisionPart:
    """Return a convex polytope from which all points ``(N, 3)`` are ``padding_m`` away, inside.

    It begins as their box. As long as there may be more corners, those that stand off most are
    cut off by planes that touch the grown points.

    Raises:
        ReconstructionError: The points are fewer than four, or not finite.
    """
    hull = _solid_hull(np.asarray(points, dtype=np.float64))
    touched = hull.points[hull.vertices]
    middle = touched.mean(axis=0)
    normals = np.concatenate([np.eye(3), -np.eye(3)])
    corners = _corners(normals, touched, padding_m, middle)
    while len(better := _better_normals(corners, hull, padding_m)):
        num_new = max(1, (max_corners - len(corners)) // 4)
        normals = np.concatenate([normals, better[:num_new]])
        fewer_off = _corners(normals, touched, padding_m, middle)
        if len(fewer_off) > max_corners:
            break
        corners = fewer_off
    return convex_part(corners)


def _better_normals(corners: Floats, hull: ConvexHull, padding_m: float) -> Floats:
    """Return the normals ``(N, 3)`` of planes that cut corners off, the farthest one first.

    That of the side which the corner lies farthest before; where all sides have a plane of their
    own, as at a blade, the direction away from what is nearest.
    """
    tolerance_m = TOLERANCE * float(np.linalg.norm(np.ptp(hull.points[hull.vertices], axis=0)))
    surface = CollisionPart(vertices=hull.points, triangles=hull.simplices)
    away = corners - _closest(surface, corners)
    stands_off_m = np.linalg.norm(away, axis=1)
    before_m = corners @ hull.equations[:, :3].T + hull.equations[:, 3]
    side = before_m.argmax(axis=1)
    is_new = before_m.max(axis=1) > padding_m + tolerance_m
    normals = np.where(
        is_new[:, None], hull.equations[side, :3], away / np.maximum(stands_off_m, 1e-9)[:, None]
    )
    is_far = is_new | (stands_off_m > MITRE * padding_m + tolerance_m)
    order = np.argsort(-stands_off_m)
    order = order[is_far[order]]
    _, first = np.unique(normals[order].round(6), axis=0, return_index=True)
    better: Floats = normals[order][np.sort(first)]
    return better


def convex_part(points: Floats) -> CollisionPart:
    """Return the convex hull of points ``(N, 3)``, wound outwards, of its corners alone."""
    hull = convex_hull(points)
    number = np.full(len(points), -1)
    number[hull.vertices] = np.arange(len(hull.vertices))
    return CollisionPart(
        vertices=points[hull.vertices], triangles=number[_outwards(hull)].astype(np.int32)
    )


def planes_of(points: Floats) -> Floats:
    """Return the planes of the hull of points as ``(F, 4)``: ``n . x + d > 0`` is outside."""
    planes: Floats = np.unique(_solid_hull(points).equations.round(12), axis=0)
    return planes


def outside_m(points: Floats, planes: Floats) -> Floats:
    """Return how far points ``(N, 3)`` are outside of planes ``(F, 4)``; negative is inside."""
    farthest: Floats = (points @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    return farthest


def _solid_hull(points: Floats) -> ConvexHull:
    """Return the hull of points, which are given a thickness where they have none."""
    if len(points) < 4 or not np.isfinite(points).all():
        raise ReconstructionError(
            f"a solid needs four finite points at least, got {len(points)}; check the mesh"
        )
    try:
        return convex_hull(points)
    except ReconstructionError:
        shifts = THICKNESS_M * np.concatenate([np.eye(3), -np.eye(3)])
        return convex_hull((points[:, None] + shifts).reshape(-1, 3))


def _corners(normals: Floats, touched: Floats, padding_m: float, middle: Floats) -> Floats:
    """Return the corners of what all planes leave that touch the grown points."""
    offsets = (touched @ normals.T).max(axis=0) + padding_m
    halfspaces = np.column_stack([normals, -offsets])
    found = HalfspaceIntersection(halfspaces, middle).intersections
    corners: Floats = np.unique(np.round(found / MERGED_M), axis=0) * MERGED_M
    return corners


def _closest(surface: CollisionPart, points: Floats) -> Floats:
    """Return the points of a surface that are nearest to others ``(N, 3)``."""
    # Around their middle: float32 is good for a micrometre there, wherever the frame's origin is.
    middle = surface.vertices.mean(axis=0)
    near = CollisionPart(vertices=surface.vertices - middle, triangles=surface.triangles)
    query = o3d.core.Tensor(np.ascontiguousarray(points - middle, dtype=np.float32))
    answer = raycasting_scene([near]).compute_closest_points(query, NUM_THREADS)
    closest: Floats = answer["points"].numpy().astype(np.float64) + middle
    return closest


def _outwards(hull: ConvexHull) -> Ints:
    """Return the triangles of a hull, counter-clockwise seen from outside."""
    a, b, c = np.moveaxis(hull.points[hull.simplices], 1, 0)
    is_inwards = np.einsum("fi,fi->f", np.cross(b - a, c - a), hull.equations[:, :3]) < 0
    triangles: Ints = np.where(is_inwards[:, None], hull.simplices[:, ::-1], hull.simplices)
    return triangles
