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

"""How a body stands on a plane: its height, what it rests on, and the tilt at which it is stable.

On a plane a body rolls about where it touches until its centre of mass is over what it stands on:
over a face of its convex hull, which then lies flat.
"""

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from sam3d_ros.geometry.settling.body import Placed
from sam3d_ros.structures import Floats, SupportPlane

CONTACT_M = 0.001  # points this near to the plane carry the body
MAX_STEPS = 8  # faces over which a body rolls
# Directions around down in which a lowest point is looked up: whatever a small tilt brings down.
NUM_DIRECTIONS = 96
WIDEST = 0.5  # sine of their angle to down
UPRIGHT = 1e-6  # radians: a face that lies flat


def height_m(placed: Placed, support: SupportPlane | None) -> float:
    """Return the height of the lowest point over the support, negative below it; NaN without."""
    if support is None:
        return float("nan")
    # The plane is moved instead of all vertices.
    normal = placed.now_from_start.rotation.T @ support.normal_camera
    offset_m = support.height_m(placed.now_from_start.translation_m)
    return float((placed.body.vertices @ normal).min() + offset_m)


def balance_m(placed: Placed, support: SupportPlane | None) -> float:
    """Return how far the centre of mass is over what carries the body, from its edge.

    Negative: it would topple. NaN where nothing is known of what carries it.
    """
    if support is None:
        return float("nan")
    pose = placed.now_from_start
    normal = pose.rotation.T @ support.normal_camera  # the plane is moved, see ``height_m``
    heights_m = placed.body.vertices @ normal + support.height_m(pose.translation_m)
    lowest_m = float(heights_m.min())
    if abs(lowest_m) > CONTACT_M:
        return float("nan")
    axes = _axes(normal)[:2]
    carrying = placed.body.vertices[heights_m < lowest_m + CONTACT_M] @ axes.T
    center = axes @ placed.body.center_of_mass
    try:
        edges = ConvexHull(carrying).equations if len(carrying) > 2 else None
    except QhullError:
        edges = None
    if edges is None:  # a point or a line carries it
        return -float(np.linalg.norm(carrying.mean(axis=0) - center))
    return -float((edges[:, :2] @ center + edges[:, 2]).max())


def at_rest(placed: Placed, support: SupportPlane) -> Placed:
    """Return the body as it lies after rolling to where it is stable, its lowest point as before.

    It may have rolled far; a body that does not come to rest is returned as it is.
    """
    before_m = height_m(placed, support)
    down = -support.normal_camera
    lowest = placed.body.vertices[_lowest(placed, support)]
    center = placed.body.center_of_mass
    rolled = placed
    for _ in range(MAX_STEPS):
        points = rolled.now_from_start.apply(lowest)
        face = _face_below(points, rolled.now_from_start.apply(center), support)
        if face is None:
            return placed
        turn = _rotation_between(face, down)
        if np.arccos(np.clip(face @ down, -1.0, 1.0)) < UPRIGHT:
            return rolled
        rolled = rolled.turned(turn, rolled.now_from_start.apply(center))
        rolled = rolled.shifted((before_m - height_m(rolled, support)) * support.normal_camera)
    return placed


def _lowest(placed: Placed, support: SupportPlane) -> Floats:
    """Return the vertices that are lowest now or after a small tilt."""
    index = np.arange(NUM_DIRECTIONS)
    sine = WIDEST * np.sqrt((index + 0.5) / NUM_DIRECTIONS)
    angle = np.pi * (1.0 + np.sqrt(5.0)) * index
    cosine = np.sqrt(1.0 - sine**2)
    local = np.stack((sine * np.cos(angle), sine * np.sin(angle), -cosine), axis=1)
    directions = local @ _axes(support.normal_camera) @ placed.now_from_start.rotation
    heights = placed.body.vertices.astype(np.float32) @ directions.T.astype(np.float32)
    lowest: Floats = np.unique(heights.argmax(axis=0))
    return lowest


def _face_below(points: Floats, center: Floats, support: SupportPlane) -> Floats | None:
    """Return the outward normal of the face of the hull that is right below the centre of mass."""
    # The centre closes the hull above, so that any three points on the plane make a face.
    try:
        hull = ConvexHull(np.concatenate((points, center[None])))
    except QhullError:
        return None
    normals, offsets = hull.equations[:, :3], hull.equations[:, 3]
    down = -support.normal_camera
    facing = normals @ down > 1e-9
    if not facing.any():
        return None
    # Inside a convex hull a ray leaves by the nearest of the faces that it approaches.
    reach_m = -(normals[facing] @ center + offsets[facing]) / (normals[facing] @ down)
    face: Floats = normals[facing][reach_m.argmin()]
    return face


def _axes(normal: Floats) -> Floats:
    """Return unit axes as rows, ``(3, 3)``: two along the plane, then its normal."""
    across = np.eye(3)[np.abs(normal).argmin()]
    first = np.cross(normal, across)
    first /= np.linalg.norm(first)
    return np.stack((first, np.cross(normal, first), normal))


def _rotation_between(start: Floats, end: Floats) -> Floats:
    """Return the smallest rotation that takes one unit vector to another, not opposite one."""
    axis = np.cross(start, end)
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: Floats = np.eye(3) + cross + cross @ cross / (1.0 + start @ end)
    return rotation
