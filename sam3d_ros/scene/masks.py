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

"""Which pixels of a mask really show the object: masks leak, depth bleeds and punches through."""

import cv2
import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from sam3d_ros.geometry.contradictions import SUPPORT_SIGMAS
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.patches import numbered, touching
from sam3d_ros.structures import Bools, Floats, Ints, SupportPlane, window_of

MIN_LINK_M = 0.015  # parts of one object closer than this are one part
LINK_PER_SIZE = 0.10  # ... or than this share of its size: big objects are scanned coarsely
MIN_PART = 0.02  # smaller parts (share of points) are noise
RIM_SIGMAS = 3.0  # a rim point farther from the rest than this mixes two surfaces
LEAK_SIGMAS = 1.0  # ... and do where the middle one is lower: the top of a thin plate is not
MAX_FOOT_SHARE = 0.1  # the foot of a tall object looks like a leak, and is not missed
MAX_SUPPORT_SHARE = 0.5  # an object that would lose more is flat itself and keeps them
DENSE = 0.5  # share of known pixels; of fewer, those between say nothing of what hangs together


def object_pixels(points_camera: Floats, silhouette: Bools, erode_px: int) -> Bools:
    """Return the pixels ``(H, W)`` of a mask whose point is known and belongs to the object.

    Rim pixels, where depth mixes two surfaces, are left out. Of the rest the largest connected
    part in space stays, with the parts beside it (an occluder may divide an object), without
    those behind it (background through holes and past the rim).
    """
    pixels = np.zeros_like(silhouette)
    window = window_of(silhouette, 1)
    pixels[window] = _object_pixels(points_camera[window], silhouette[window], erode_px)
    return pixels


def _object_pixels(points_camera: Floats, silhouette: Bools, erode_px: int) -> Bools:
    known = silhouette & np.isfinite(points_camera).all(axis=-1)
    core = known & _eroded(silhouette, erode_px)
    if not core.any():
        core = known
    kept = core.copy()
    kept[core] = _belongs(points_camera[core].astype(np.float64))
    return _with_rim(kept, known & ~core, points_camera)


def without_support(
    mask: Bools, silhouette: Bools, points_camera: Floats, support: SupportPlane | None
) -> Bools:
    """Take pixels off a mask that show the support: leaks of the mask onto the table.

    They hang together with the outside, be it by pixels without a reading, of which the outlines of
    objects are full; the low bottom of a plate is enclosed by its rim.
    """
    if support is None or not mask.any():
        return mask
    window = window_of(silhouette, 1)
    points, inside, rest = points_camera[window], silhouette[window], mask.copy()
    height_sigmas = support.height_m(points) / depth_noise_m(points[..., 2])
    low = inside & (height_sigmas < SUPPORT_SIGMAS)
    unknown = inside & ~np.isfinite(height_sigmas)
    joined = low | unknown if unknown.sum() < (1 - DENSE) * inside.sum() else low
    patches = np.where(mask[window] & touching(joined, ~inside), numbered(low), 0)
    leaks = patches > 0
    if leaks.sum() > MAX_FOOT_SHARE * mask.sum():
        leaks = _on_support(patches, height_sigmas)
    rest[window] &= ~leaks
    return mask if leaks.sum() > MAX_SUPPORT_SHARE * mask.sum() else rest


def _on_support(patches: Ints, height_sigmas: Floats) -> Bools:
    """Keep the numbered patches whose middle height is that of the support.

    Half of the top of a thin plate is lower than ``SUPPORT_SIGMAS`` too, but not that low.
    """
    numbers = np.unique(patches[patches > 0])
    low = patches > 0  # the median sorts all that it gets
    heights = np.asarray(ndimage.median(height_sigmas[low], patches[low], numbers))
    return np.isin(patches, numbers[heights < LEAK_SIGMAS])


def border_fraction(silhouette: Bools) -> float:
    """Return the share of a mask's outline that lies on the border of the image."""
    window = window_of(silhouette, 1)
    inner = cv2.erode(
        silhouette[window].astype(np.uint8),
        np.ones((3, 3), dtype=np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    outline = silhouette.copy()
    outline[window] &= inner == 0
    on_border = outline.copy()
    on_border[1:-1, 1:-1] = False
    return float(on_border.sum() / max(1, outline.sum()))


def _with_rim(kept: Bools, rim: Bools, points_camera: Floats) -> Bools:
    """Take back the rim pixels whose point continues the object: thin faces are all rim."""
    if not kept.any() or not rim.any():
        return kept
    points = points_camera[rim].astype(np.float64)
    distance_m, _ = cKDTree(points_camera[kept].astype(np.float64)).query(points)
    result = kept.copy()
    result[rim] = distance_m < RIM_SIGMAS * depth_noise_m(points[:, 2])
    return result


def _eroded(silhouette: Bools, erode_px: int) -> Bools:
    """Take ``erode_px`` off the rim, but less where little would be left of a thin object."""
    for radius in range(erode_px, 0, -1):
        kernel = np.ones((2 * radius + 1,) * 2, dtype=np.uint8)
        core = cv2.erode(silhouette.astype(np.uint8), kernel) > 0
        if core.sum() > 0.5 * silhouette.sum():
            return core
    return silhouette


def _belongs(points: Floats) -> Bools:
    """Tell which points ``(N, 3)`` are of the main part or beside it, ``(N,)``."""
    size_m = float(np.linalg.norm(np.ptp(np.percentile(points, (10, 90), axis=0), axis=0)))
    link_m = max(MIN_LINK_M, LINK_PER_SIZE * size_m)
    part = _parts(points, link_m)
    counts = np.bincount(part)
    main = points[part == int(np.argmax(counts))]
    low, high = main.min(axis=0) - size_m / 2, main.max(axis=0) + size_m / 2
    high[2] = main[:, 2].max() + link_m  # behind the main part is background
    belongs = np.zeros(len(counts), dtype=bool)
    for index in np.flatnonzero(counts >= MIN_PART * len(points)):
        middle = np.median(points[part == index], axis=0)
        belongs[index] = bool(((middle >= low) & (middle <= high)).all())
    return belongs[part]


def _parts(points: Floats, link_m: float) -> Ints:
    """Number the parts that are more than ``link_m`` apart, ``(N,)``."""
    place = np.floor(points / (link_m / 2)).astype(np.int64)
    place -= place.min(axis=0)
    # One number per cell: rows take ten times as long to sort.
    sizes = tuple(int(each) + 1 for each in place.max(axis=0))
    numbers, cell_of_point = np.unique(np.ravel_multi_index(place.T, sizes), return_inverse=True)
    cells = np.column_stack(np.unravel_index(numbers, sizes))
    pairs = cKDTree(cells).query_pairs(2.0, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs), dtype=bool), pairs.T), shape=(len(cells),) * 2)
    _, part_of_cell = connected_components(graph, directed=False)
    parts: Ints = part_of_cell[cell_of_point]
    return parts
