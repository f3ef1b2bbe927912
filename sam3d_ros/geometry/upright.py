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

"""Where the object frame stands: upright, along the footprint, x away from the camera.

``work`` is any upright frame with x horizontally away from the camera.
"""

import numpy as np

from sam3d_ros.geometry.hulls import convex_hull
from sam3d_ros.structures import Floats, Mesh, Similarity

# The rectangle of a round footprint has no direction; the view's is kept unless another
# rectangle is smaller by this share.
MIN_GAIN = 0.02


def object_from_work(mesh_work: Mesh) -> tuple[Mesh, Similarity]:
    """Return the mesh in the canonical cube [-0.5, 0.5]^3 and ``work_from_object``.

    z stays up, yaw is that of the smallest rectangle around the footprint, x the side of it that
    points most away from the camera; the origin is the middle of the box, the scale its longest
    side.
    """
    vertices = mesh_work.vertices.astype(np.float64)
    yaw_rad = _yaw_rad(vertices[:, :2])
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    turned = vertices @ rotation
    low, high = turned.min(axis=0), turned.max(axis=0)
    pose = Similarity(rotation, rotation @ ((low + high) / 2), float((high - low).max()))
    return mesh_work.transformed(pose.inverse()), pose


def _yaw_rad(footprint: Floats) -> float:
    """Return the yaw of the smallest rectangle around ``(N, 2)``, within a quarter turn of 0."""
    corners = footprint[convex_hull(footprint).vertices]
    edges = np.roll(corners, -1, axis=0) - corners
    # One side of the smallest rectangle lies on an edge of the hull (Freeman and Shapira, 1975).
    yaws = np.concatenate(([0.0], np.arctan2(edges[:, 1], edges[:, 0])))
    yaws = np.mod(yaws + np.pi / 4, np.pi / 2) - np.pi / 4
    x = np.cos(yaws)[:, None] * corners[:, 0] + np.sin(yaws)[:, None] * corners[:, 1]
    y = np.cos(yaws)[:, None] * corners[:, 1] - np.sin(yaws)[:, None] * corners[:, 0]
    areas = np.ptp(x, axis=1) * np.ptp(y, axis=1)
    best = int(np.argmin(areas))
    return float(yaws[best]) if areas[best] < (1.0 - MIN_GAIN) * areas[0] else 0.0
