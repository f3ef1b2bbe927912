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

"""Where a mask and the depth below it contradict each other.

Segmenters cut off and add on: a mask that lost a piece of its object says that the piece is free
space, one that leaks says that the object must reach as far. Depth knows better than either where
the surface of the object goes on, and where what is seen is the table or far behind. Which of the
two is wrong is not told, so such pixels should count for nothing.
"""

import cv2
import numpy as np

from sam3d_ros.geometry.nearest import nearest_pixels
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.patches import numbered, touching
from sam3d_ros.structures import Bools, Floats, Ints, SupportPlane

SUPPORT_SIGMAS = 2.0  # points this close to the support may belong to it
BEHIND_SIGMAS, STEEPEST = 4.0, 8.0  # noise, and metres of depth to one across, of one surface
# What goes on beside a mask: steeper surfaces may be two, and what is low may be the support.
JOINED_SIGMAS, JOINED_SLOPE = 4.0, 4.0
ABOVE_SIGMAS, ABOVE_M = 3.0, 0.004
MIN_JOINED = 0.02  # of the object's points in a part that goes on: less is noise
# At the outlines of whatever is seen depth is off by up to four pixels, masks or no masks.
MIN_THICK_PX = 5
MAX_LEAK = 0.3  # of a mask; where more shows something else, one looks through: glass, a fence


def contradicted(
    points_camera: Floats,
    mask: Bools,
    silhouette: Bools,
    others: Bools,
    support: SupportPlane | None,
    focal_px: float,
) -> Bools:
    """Return the pixels ``(h, w)`` in which mask and depth contradict each other.

    Args:
        points_camera: ``(h, w, 3)`` in metres, NaN where unknown; dense, with room around the mask.
        mask: ``(h, w)`` pixels whose point belongs to the object.
        silhouette: ``(h, w)`` pixels that show the object, as far as the mask says.
        others: ``(h, w)`` pixels of other objects.
        support: What the object stands on. Without it nothing goes on beside a mask: it might be
            the table.
        focal_px: Of the camera.
    """
    if not mask.any() or silhouette.all():
        return np.zeros_like(mask)
    beside = continued(points_camera, mask, ~silhouette & ~others, support, focal_px)
    return beside | _leaks(points_camera, mask, silhouette, support)


def is_elsewhere(points: Floats, own: Bools, support: SupportPlane | None) -> Bools:
    """Tell which points ``(h, w, 3)`` are of the support, or behind what is nearest and own."""
    rows, columns = nearest_pixels(own)
    near, depth_m = points[rows, columns], points[..., 2]
    noise_m = depth_noise_m(depth_m)
    rays, near_rays = points[..., :2] / depth_m[..., None], near[..., :2] / near[..., 2:]
    across_m = np.linalg.norm(rays - near_rays, axis=-1) * near[..., 2]
    is_behind: Bools = depth_m - near[..., 2] > STEEPEST * across_m + BEHIND_SIGMAS * noise_m
    if support is None:
        return is_behind
    return is_behind | (support.height_m(points) < SUPPORT_SIGMAS * noise_m)


def continued(
    points: Floats, own: Bools, beside: Bools, support: SupportPlane | None, focal_px: float
) -> Bools:
    """Tell which pixels beside a mask ``(h, w)`` continue the surface of what it shows.

    Nothing does without a support: it might be the table. ``own`` are the object's, all known.
    """
    if support is None or not own.any():
        return np.zeros_like(own)
    above_m = np.maximum(ABOVE_SIGMAS * depth_noise_m(points[..., 2]), ABOVE_M)
    rest = beside & (support.height_m(points) > above_m)  # not so where a point is unknown
    parts = _surfaces(points[..., 2], own | rest, focal_px)
    sizes = np.bincount(parts[own])
    main = np.flatnonzero(sizes >= MIN_JOINED * own.sum())
    goes_on: Bools = rest & np.isin(parts, main[main > 0])
    return goes_on


def _surfaces(depth_m: Floats, chosen: Bools, focal_px: float) -> Ints:
    """Number the connected surfaces of the chosen pixels ``(h, w)`` from 1 on, 0 elsewhere.

    In an image of twice the size the pixels between two are set where the depth does not jump.
    """
    joined = np.zeros((2 * len(chosen) - 1, 2 * chosen.shape[1] - 1), dtype=bool)
    joined[::2, ::2] = chosen
    joined[::2, 1::2] = _is_one_surface(depth_m[:, :-1], depth_m[:, 1:], focal_px)
    joined[1::2, ::2] = _is_one_surface(depth_m[:-1], depth_m[1:], focal_px)
    joined[::2, 1::2] &= chosen[:, :-1] & chosen[:, 1:]
    joined[1::2, ::2] &= chosen[:-1] & chosen[1:]
    return numbered(joined)[::2, ::2]


def _is_one_surface(first_m: Floats, second_m: Floats, focal_px: float) -> Bools:
    nearer_m = np.minimum(first_m, second_m)
    limit_m = nearer_m * (JOINED_SLOPE / focal_px) + JOINED_SIGMAS * depth_noise_m(nearer_m)
    is_one: Bools = np.abs(first_m - second_m) < limit_m
    return is_one


def _leaks(points: Floats, own: Bools, silhouette: Bools, support: SupportPlane | None) -> Bools:
    """Tell which pixels at the outline of a mask show the support or what is behind."""
    known = np.isfinite(points).all(axis=-1)
    other = _thick(silhouette & known & ~own)
    if not other.any():  # most masks are right, and the rest takes longer
        return other
    thick = _thick(other & is_elsewhere(points, own, support))
    # The outlines of what is seen are full of pixels without a reading.
    leaks = thick & touching(thick | (silhouette & ~known), ~silhouette)
    return leaks if leaks.sum() <= MAX_LEAK * silhouette.sum() else np.zeros_like(leaks)


def _thick(pixels: Bools) -> Bools:
    kernel = np.ones((MIN_THICK_PX,) * 2, dtype=np.uint8)
    thick: Bools = cv2.morphologyEx(pixels.view(np.uint8), cv2.MORPH_OPEN, kernel) > 0
    return thick
