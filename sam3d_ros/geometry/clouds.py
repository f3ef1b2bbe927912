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

"""Point clouds of any range sensor as a point map of the camera, without hidden points.

A sparse cloud leaks: the sensor looks past a near surface from elsewhere, and what it saw behind
appears between the near points. A grey-scale closing of inverse depth, as wide as the usual gap
between points, is the nearest surface with its gaps filled and its outline kept: a point farther
than that is hidden. Gaps differ with distance (evenly spread points look denser far away), so each
octave of depth has its own.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from sam3d_ros.geometry.depth import unproject
from sam3d_ros.geometry.zbuffer import nearest_depth_m, step_limit_m, visible_points
from sam3d_ros.structures import Bools, Bytes, Camera, Floats, Ints, PointCloud

RANGE_NOISE_M = 0.02  # two sigmas of common LiDARs, whatever the distance
GAP_PERCENTILE = 75.0  # of the distances between neighbours; closes regular and random patterns
MAX_GAP_FRACTION = 0.1  # of the image's width; points farther apart are not neighbours
SPACINGS_PX = (1, 2, 4, 8, 16, 32)
NOWHERE = np.float32(1e-6)  # inverse depth of what is farther than anything
MIN_NEIGHBOURS = 30  # pairs in an octave, below which it shows no surface


def point_map_from_cloud(cloud: PointCloud, camera: Camera, splat_radius_px: int) -> Floats:
    """Return the points ``(H, W, 3)`` float32 that the camera sees of a cloud, NaN where none.

    Args:
        cloud: Points in the sensor's frame; those that are not finite are left out.
        camera: May be distorted.
        splat_radius_px: A pixel without a point takes the depth of the closest one within this
            radius; 0 leaves it unknown.

    Raises:
        IntrinsicsError: The camera has no usable intrinsics.
        DistortionError: The distortion model is not known.
    """
    points = cloud.points[np.isfinite(cloud.points).all(axis=-1)]
    points_camera = cloud.camera_from_sensor.apply(points)
    depth_m = nearest_depth_m(*visible_points(points_camera, camera), camera)
    _forget_hidden(depth_m, camera)
    return unproject(_splatted(depth_m, splat_radius_px), camera)


def _forget_hidden(depth_m: Floats, camera: Camera) -> None:
    """Set the readings of a sparse depth image ``(H, W)`` to NaN that lie behind a surface.

    The last point on a surface lies on average half a gap within its outline, so the surface is
    taken to end there; so far out it may have sloped away from the reading it is compared with.
    """
    rows, columns = np.nonzero(np.isfinite(depth_m))
    own_m = depth_m[rows, columns]
    hidden = np.zeros(len(rows), dtype=bool)
    for surface, gap in _surfaces(depth_m, camera):
        for margin in ((0, 0), (gap[0] // 2, gap[1] // 2)):
            inverse = cv2.dilate(surface, _box(*margin))[rows, columns]
            surface_m = 1.0 / np.maximum(inverse, NOWHERE)
            limit_m = step_limit_m(surface_m, camera, 1 + max(margin)) + RANGE_NOISE_M
            hidden |= own_m > surface_m + limit_m
    depth_m[rows[hidden], columns[hidden]] = np.nan


def _surfaces(depth_m: Floats, camera: Camera) -> Iterator[tuple[Floats, tuple[int, int]]]:
    """Yield surfaces ``(H, W)``, as inverse depth or 0, and the gap (down, across) closed in them.

    One per octave, of all readings that are no farther, with the gaps that are usual in it.
    """
    rows, columns = np.nonzero(np.isfinite(depth_m))
    octaves = np.floor(np.log2(depth_m[rows, columns]))
    for octave in np.unique(octaves):
        members = octaves == octave
        gap = _usual_gap_px(rows[members], columns[members], depth_m, camera)
        if gap is not None:
            nearer = depth_m < 2.0 ** (octave + 1)
            inverse = np.divide(1.0, depth_m, out=np.zeros_like(depth_m), where=nearer)
            yield _closed(inverse, gap), gap


def _usual_gap_px(
    rows: Ints, columns: Ints, depth_m: Floats, camera: Camera
) -> tuple[int, int] | None:
    """Return the usual distance between neighbours (down, across), None where there are too few.

    Points of a pattern seldom share a column. So those in strips as wide as their spacing do.
    """
    occupied = np.zeros(depth_m.shape, dtype=bool)
    occupied[rows, columns] = True
    strip = 2 * _spacing_px(occupied)
    gaps = [
        _gaps_px(lines // strip, positions, depth_m[rows, columns], camera)
        for lines, positions in ((columns, rows), (rows, columns))
    ]
    if min(len(gap) for gap in gaps) < MIN_NEIGHBOURS:
        return None
    down, across = (int(np.percentile(gap, GAP_PERCENTILE)) for gap in gaps)
    return down, across


def _spacing_px(occupied: Bools) -> int:
    """Return the smallest power of two within which most points have another point."""
    image = occupied.astype(np.float32)
    for radius in SPACINGS_PX:
        counts = cv2.boxFilter(image, -1, (2 * radius + 1,) * 2, normalize=False)
        if np.median(counts[occupied]) > 1.5:
            return radius
    return SPACINGS_PX[-1]


def _gaps_px(lines: Ints, positions: Ints, depths_m: Floats, camera: Camera) -> Ints:
    """Return the distances of points to the next one on their line that is on one surface."""
    order = np.lexsort((positions, lines))
    distances_px = np.diff(positions[order])
    rise_m = np.abs(np.diff(depths_m[order]))
    joined = (np.diff(lines[order]) == 0) & (distances_px > 0)
    joined &= distances_px <= MAX_GAP_FRACTION * camera.width
    joined &= rise_m <= step_limit_m(depths_m[order[1:]], camera, distances_px) + RANGE_NOISE_M
    return np.asarray(distances_px[joined])


def _closed(inverse_depth: Floats, gap: tuple[int, int]) -> Floats:
    """Close gaps up to the given size, plus a pixel, as points are rounded to pixels.

    The border of the image is no surface.
    """
    down, across = ((length + 1) // 2 for length in gap)
    padded = cv2.copyMakeBorder(inverse_depth, down, down, across, across, cv2.BORDER_CONSTANT)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _box(down, across))
    height, width = inverse_depth.shape
    return np.asarray(closed[down : down + height, across : across + width])


def _box(down: int, across: int) -> Bytes:
    """Return a kernel that reaches so far from its middle; an even one would shift the image."""
    return np.ones((2 * down + 1, 2 * across + 1), dtype=np.uint8)


def _splatted(depth_m: Floats, radius_px: int) -> Floats:
    """Give each unknown pixel the depth of the closest known one within the radius."""
    unknown = np.isnan(depth_m)
    if radius_px == 0 or unknown.all():
        return depth_m
    distance_px, labels = cv2.distanceTransformWithLabels(
        unknown.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    depth_of_label = np.full(labels.max() + 1, np.nan, dtype=np.float32)
    depth_of_label[labels[~unknown]] = depth_m[~unknown]
    return np.where(distance_px < radius_px + 0.5, depth_of_label[labels], np.float32(np.nan))
