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

"""Masks that are too wide: what they show all around an object, and is none of it."""

import cv2
import numpy as np

from sam3d_ros.geometry.contradictions import is_elsewhere
from sam3d_ros.structures import Bools, Floats, SupportPlane, window_of

# Of the known pixels so far inside an outline, that show something else: so far the mask is too
# wide. Depth that bleeds, is noisy, or three pixels beside the image leaves 0.7 at most in the
# first ring; of a mask three pixels too wide the first two have 0.95 and more.
MARGIN_SHARE = 0.75
MIN_KNOWN_SHARE, MIN_RING_PX = 0.5, 20  # of a ring: fewer known pixels decide nothing
# Sides of a square of the mask's area. What is wider is no matter of outlines: one looks through
# glass, and past what gives no reading.
MAX_WIDTH = 0.1
NARROWED = "mask narrowed: its outline showed what is below or behind"


def without_margin(
    silhouette: Bools, mask: Bools, points_camera: Floats, support: SupportPlane | None
) -> Bools:
    """Take off a silhouette what surrounds the object in it: masks that are too wide.

    Ring after ring from the outline inwards, as long as almost all that is known in it is not of
    the object. A mask that leaks at one side only loses nothing, nor one beside a depth image that
    is shifted: what is free space there is decided elsewhere.

    Args:
        silhouette: ``(H, W)``, the mask as it was given.
        mask: ``(H, W)``, the pixels of it whose point belongs to the object.
        points_camera: ``(H, W, 3)``, dense, NaN where unknown.
        support: What the object stands on, if that is known.
    """
    window = window_of(silhouette, 1)
    inside, own, points = silhouette[window], mask[window], points_camera[window]
    if inside.all() or not own.any():  # no outline, or nothing to tell the rest from
        return silhouette
    known = inside & np.isfinite(points).all(axis=-1)
    other = known & ~own & is_elsewhere(points, own, support)
    ring = np.rint(cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_C, 3)).astype(int)
    width_px = _width_px(ring[inside], ring[known], ring[other])
    if not 0 < width_px <= MAX_WIDTH * np.sqrt(inside.sum()):
        return silhouette
    rest = silhouette.copy()
    rest[window] &= (known & ~other) | (ring > width_px)
    return rest


def _width_px(rings: Floats, of_known: Floats, of_other: Floats) -> int:
    """Return how many rings from the outline on are margin.

    Args:
        rings: Of all pixels, from 1 at the outline.
        of_known: Of those with a reading.
        of_other: Of those that show something else.
    """
    num = np.bincount(rings)
    num_known, num_other = (np.bincount(each, minlength=len(num)) for each in (of_known, of_other))
    is_decided = num_known >= np.maximum(MIN_KNOWN_SHARE * num, MIN_RING_PX)
    is_margin = is_decided & (num_other > MARGIN_SHARE * num_known)
    return int(np.argmin(np.append(is_margin[1:], False)))
