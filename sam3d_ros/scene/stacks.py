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

"""What an object stands on: the support of the scene, or another object that stands on it.

An object whose lowest points are in the air, at the height where another mask ends beside them,
either stands on that other object or stands behind it, and its foot is hidden. The other's top goes
on beside and behind the foot of what it carries, or its front goes straight down below it; in front
of a hidden foot it ends.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial import cKDTree

from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.structures import Bools, Floats, SupportPlane, window_of

RING_PX = 6  # so far around a silhouette is looked for what carries it
NUM_FOOT_POINTS = 2000
FOOT_PERCENTILE = 2  # of the heights of an object: below is noise
FOOT_M = 0.010  # points so little above the lowest are its foot
REACH_M = 0.020  # so near to the foot, what carries it is seen
TOP_PERCENTILE = 90  # of the heights around the foot: above is noise
MIN_TOP_M = 0.008  # lower tops are within the noise of the support
MAX_GAP_M = 0.015  # between top and foot
EDGE_M = 0.005  # so far behind the foot, or below the top, ...
EDGE_SIGMAS = 2.0  # ... or so many standard deviations of depth, is no noise any more
MIN_POINTS = 10
# Of the points around the foot: a top beside it shows 4 % to 16 % behind it, a front below it 18 %
# to 58 %, and what only hides it at most 1 % of either (rendered scenes, noise up to threefold).
MIN_BEHIND, MIN_BELOW = 0.025, 0.10


@dataclass(frozen=True, slots=True, eq=False)
class _Around:
    """What other objects show around the foot of one, ``(N,)`` metres each."""

    heights_m: Floats  # above the support
    behind_m: Floats  # than the nearest point of the foot, away from the camera
    edge_m: float  # what is no noise


def carried(
    support: SupportPlane | None,
    points_camera: Floats,
    mask: Bools,
    silhouette: Bools,
    others: Bools,
) -> SupportPlane | None:
    """Return the plane that an object stands on: that of the scene, lifted if it is on another one.

    Args:
        support: Of the scene.
        points_camera: ``(H, W, 3)``, metres, NaN where unknown.
        mask: ``(H, W)``, pixels whose point belongs to the object.
        silhouette: ``(H, W)``, all pixels that show it.
        others: ``(H, W)``, pixels that show other objects.
    """
    window = window_of(silhouette, RING_PX)
    # What two masks claim may be a leak of one onto the other: it is not looked at as its own.
    alone = silhouette[window] & ~others[window]
    own = points_camera[window][mask[window] & alone].astype(np.float64)
    if support is None or not len(own):
        return support
    own_m = support.height_m(own)
    lowest_m = float(np.percentile(own_m, FOOT_PERCENTILE))
    beside = _beside(points_camera[window], alone, others[window])
    if lowest_m < MIN_TOP_M or not len(beside):
        return support
    around = _around(support, own[own_m < lowest_m + FOOT_M], beside)
    if len(around.heights_m) < MIN_POINTS:
        return support
    top_m = float(np.percentile(around.heights_m, TOP_PERCENTILE))
    if top_m < MIN_TOP_M or abs(top_m - lowest_m) > MAX_GAP_M or not _carries(around, top_m):
        return support
    return replace(support, offset_m=support.offset_m - top_m)


def _beside(points: Floats, alone: Bools, others: Bools) -> Floats:
    """Return the points ``(N, 3)`` of others right beside the pixels of an object."""
    kernel = np.ones((2 * RING_PX + 1,) * 2, dtype=np.uint8)
    ring = (cv2.dilate(alone.astype(np.uint8), kernel) > 0) & others
    beside: Floats = points[ring & np.isfinite(points).all(axis=-1)].astype(np.float64)
    return beside


def _around(support: SupportPlane, foot: Floats, beside: Floats) -> _Around:
    """Describe the points ``(N, 3)`` of others that are near the foot ``(M, 3)``."""
    foot = foot[:: max(1, len(foot) // NUM_FOOT_POINTS)]
    distance_m, nearest = cKDTree(foot).query(beside, distance_upper_bound=REACH_M)
    near = np.isfinite(distance_m)
    middle, up = np.median(foot, axis=0), np.asarray(support.normal_camera, dtype=np.float64)
    away = middle - (middle @ up) * up
    away /= max(float(np.linalg.norm(away)), 1e-9)
    edge_m = max(EDGE_M, EDGE_SIGMAS * float(depth_noise_m(middle[2])))
    behind_m = (beside[near] - foot[nearest[near]]) @ away
    return _Around(support.height_m(beside[near]), behind_m, edge_m)


def _carries(around: _Around, top_m: float) -> bool:
    """Tell whether others go on behind the foot, or straight below it."""
    level = np.abs(around.heights_m - top_m) < MAX_GAP_M
    behind = level & (around.behind_m > around.edge_m)
    lower = around.heights_m < top_m - around.edge_m
    below = lower & (np.abs(around.behind_m) < around.edge_m)
    return bool(behind.mean() > MIN_BEHIND or below.mean() > MIN_BELOW)
