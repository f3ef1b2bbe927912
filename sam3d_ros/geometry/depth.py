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

"""Depth images: units, point maps, registration to another camera, rejection of flying pixels."""

from dataclasses import dataclass, fields
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sam3d_ros.errors import DepthAlignError, DepthUnitError, IntrinsicsError
from sam3d_ros.geometry.cameras import (
    checked_matrix_px,
    cropped,
    pixel_rays,
    project,
)
from sam3d_ros.geometry.zbuffer import nearest_depth_m, step_limit_m, visible_points
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Camera, DepthImage, Floats, Ints, Similarity

DepthUnit = Literal["auto", "m", "mm"]
UNIT_STEP = 5  # pixels from one that is looked at for its unit to the next
IMPLAUSIBLE = 50.0  # metres are rarely more, millimetres rarely less, for the median of a scene
MEASURABLE_M = 1e-4, 1e5
MAX_UPSAMPLING = 8  # parts along a side of a reading that is registered
ROUNDING_PX = 0.01  # a lattice of exactly 2 pixels needs 2 samples, not 3
SPACING_STRIDE = 16  # readings per one at which the spacing of samples is measured
SEARCH_RADIUS_PX = 3  # how far a neighbour may be; depth that was splatted has holes
MAX_THICKNESS = 2  # readings across what hangs in the air; aligned depth repeats readings
MIN_CONTRADICTIONS = 3  # of 8 directions, from which a reading without support is an outlier
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))


def metric_depth(raw: NDArray[Any], unit: DepthUnit = "auto") -> Floats:
    """Return depth ``(h, w)`` as float32 metres, NaN where no sensor measures as little or as much.

    That holds for 0, what is negative or not finite, and for values that a broken driver leaves,
    whose squares would be beyond all numbers.

    ``auto`` follows REP 118: integers are millimetres, floats are metres.

    Raises:
        DepthUnitError: With ``auto``, the values contradict that rule.
    """
    check_shape(raw, "h w", "depth")
    integral = np.issubdtype(raw.dtype, np.integer)
    if unit == "auto":
        _check_unit(raw, integral)
    depth_m = raw.astype(np.float32)
    millimetres = integral if unit == "auto" else unit == "mm"
    if millimetres:
        depth_m *= np.float32(0.001)
    measured = (depth_m >= MEASURABLE_M[0]) & (depth_m <= MEASURABLE_M[1])
    # Not by an index: that holds the interpreter lock for milliseconds.
    np.copyto(depth_m, np.float32(np.nan), where=~measured)
    return depth_m


def clip_depth(depth_m: Floats, min_m: float, max_m: float) -> Floats:
    """Return depth with NaN for everything outside ``[min_m, max_m]``."""
    within = (depth_m >= min_m) & (depth_m <= max_m)
    return np.where(within, depth_m, np.float32(np.nan))


def unproject(depth_m: Floats, camera: Camera) -> Floats:
    """Return the points ``(H, W, 3)`` float32 in the camera frame, NaN where depth is NaN.

    Raises:
        IntrinsicsError: The camera has no usable intrinsics.
        DistortionError: The distortion model is not known.
    """
    check_shape(depth_m, f"{camera.height} {camera.width}", "depth_m")
    return np.asarray(pixel_rays(camera) * depth_m[..., None].astype(np.float32))


def register_depth(depth: DepthImage, color: Camera) -> Floats:
    """Return depth ``(H, W)`` as the color camera would have measured it, NaN where unknown.

    Each reading is moved to the color camera as a small patch of its surface, fine enough that no
    background shows between two of them; then the nearest surface wins.

    Raises:
        DepthAlignError: The depth camera's intrinsics or pose cannot be right.
    """
    if is_registered(depth, color):
        return depth.depth_m
    _check_registration(depth)
    patches = _patches(depth)
    offsets_px = _offsets_px(_upsampling(patches, depth.color_from_depth, color))
    samples = [
        visible_points(patches.points(right, down, depth.color_from_depth), color)
        for right in offsets_px
        for down in offsets_px
    ]
    depths_m, indices = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    num_readings = len(patches.depth_m)
    if num_readings and not len(depths_m):
        raise DepthAlignError(
            f"none of {num_readings} depth readings falls into the color image; check that the "
            "transform maps depth to color coordinates and that both frames are optical"
        )
    return nearest_depth_m(depths_m, indices, color)


def is_registered(depth: DepthImage, color: Camera) -> bool:
    """Tell whether each pixel of depth and color looks in the same direction already."""
    own, pose = depth.camera, depth.color_from_depth
    lenses = [
        (camera.distortion_model, camera.distortion) if camera.is_distorted else None
        for camera in (own, color)
    ]
    return (
        (own.width, own.height) == (color.width, color.height)
        and np.allclose(own.matrix_px, color.matrix_px, rtol=1e-6)
        and lenses[0] == lenses[1]
        and np.allclose(pose.matrix, np.eye(4), atol=1e-6)
    )


def reject_flying_pixels(depth_m: Floats, camera: Camera) -> Floats:
    """Return depth with NaN for readings that hang in the air between two surfaces.

    A reading goes when a line through it leads to something nearer on one side and something
    farther on the other, both by more than any surface rises, and it has at most one companion
    on that line; or when all readings around contradict it. Where readings are sparse the next
    may be some pixels away, and a reading with none in reach stays.

    Args:
        depth_m: ``(H, W)``, NaN where unknown.
        camera: Of this depth image; its focal length tells slopes from steps.
    """
    check_shape(depth_m, f"{camera.height} {camera.width}", "depth_m")
    rows, columns = np.nonzero(_near_a_step(depth_m, camera))
    step, num_supports = _surroundings(depth_m, camera, rows, columns)
    opposite_step, opposite_supports = (np.roll(what, 4, axis=1) for what in (step, num_supports))
    thin = num_supports + opposite_supports < MAX_THICKNESS
    between = ((step * opposite_step < 0) & thin).any(axis=1)
    contradicted = (step != 0).sum(axis=1) >= MIN_CONTRADICTIONS
    flying = between | (contradicted & (num_supports == 0).all(axis=1))
    result = depth_m.copy()
    result[rows[flying], columns[flying]] = np.nan
    return result


def _check_unit(raw: NDArray[Any], integral: bool) -> None:
    # Of every pixel, the median alone would take longer than all else that is done with an image.
    known = _known(raw[::UNIT_STEP, ::UNIT_STEP])
    if not known.size:
        known = _known(raw)
    median = float(np.median(known)) if known.size else np.nan
    if integral and median < IMPLAUSIBLE:
        raise DepthUnitError(
            f"integer depth is read as millimetres, but its median is {median:g}; "
            "set depth.unit to m if the driver sends metres"
        )
    if not integral and median > IMPLAUSIBLE:
        raise DepthUnitError(
            f"float depth is read as metres, but its median is {median:g}; "
            "set depth.unit to mm if the driver sends millimetres"
        )


def _known(raw: NDArray[Any]) -> NDArray[Any]:
    return raw[(raw > 0) & (raw < np.inf)]


def _check_registration(depth: DepthImage) -> None:
    try:
        checked_matrix_px(depth.camera)
    except IntrinsicsError as error:
        raise DepthAlignError(f"depth cannot be registered to color: {error}") from error
    pose = depth.color_from_depth
    if not np.isfinite(pose.matrix).all() or abs(pose.scale - 1.0) > 1e-6:
        raise DepthAlignError(
            f"color_from_depth must be rigid, got {pose.matrix.tolist()}; check the transform "
            "between the two cameras"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Patches:
    """N depth readings, each a plane patch of one pixel; steps and slopes are per pixel."""

    depth_m: Floats  # (N,)
    rays: Floats  # (2, N), x and y where z = 1
    step_right: Floats  # (2, N), of the rays
    step_down: Floats  # (2, N)
    slope_right_m: Floats  # (2, N), of the left and of the right half
    slope_down_m: Floats  # (2, N), of the upper and of the lower half

    def thinned(self, stride: int) -> "_Patches":
        """Return every so many-th patch."""
        return _Patches(
            **{entry.name: getattr(self, entry.name)[..., ::stride] for entry in fields(self)}
        )

    def points(self, right_px: float, down_px: float, a_from_depth: Similarity) -> Floats:
        """Return the point of each patch that far from its middle, ``(N, 3)`` in frame a."""
        depth_m = self.depth_m + right_px * self.slope_right_m[int(right_px > 0)]
        depth_m += down_px * self.slope_down_m[int(down_px > 0)]
        points = np.empty((3, len(depth_m)), dtype=np.float32)
        points[:2] = self.rays + right_px * self.step_right + down_px * self.step_down
        points[:2] *= depth_m
        points[2] = depth_m
        moved = a_from_depth.rotation.astype(np.float32) @ points
        return np.asarray(moved.T) + a_from_depth.translation_m.astype(np.float32)


def _patches(depth: DepthImage) -> _Patches:
    depth_m, camera = depth.depth_m.astype(np.float32, copy=False), depth.camera
    framed = cropped(camera, -1, -1, camera.width + 2, camera.height + 2)
    rays = np.ascontiguousarray(np.moveaxis(pixel_rays(framed)[..., :2], -1, 0))
    rows, columns = np.nonzero(np.isfinite(depth_m) & np.isfinite(rays[0, 1:-1, 1:-1]))
    middle = (rows + 1) * framed.width + columns + 1
    left, right, above, below = (
        rays.reshape(2, -1).take(middle + step, axis=1)
        for step in (-1, 1, -framed.width, framed.width)
    )
    return _Patches(
        depth_m=depth_m[rows, columns],
        rays=rays.reshape(2, -1).take(middle, axis=1),
        step_right=0.5 * (right - left),
        step_down=0.5 * (below - above),
        slope_right_m=_slopes_m(depth_m, camera, rows, columns),
        slope_down_m=_slopes_m(depth_m.T, camera, columns, rows),
    )


def _slopes_m(depth_m: Floats, camera: Camera, rows: Ints, columns: Ints) -> Floats:
    """Return the rise per column before and after each reading, ``(2, N)``.

    Beside a step or a gap the slope goes on from the other side; a lone reading is level.
    """
    rise_m = np.diff(depth_m, axis=1)
    rise_m[~(np.abs(rise_m) <= step_limit_m(depth_m[:, 1:], camera))] = np.nan
    rise_m = np.pad(rise_m, ((0, 0), (1, 1)), constant_values=np.nan)
    before_m, after_m = rise_m[rows, columns], rise_m[rows, columns + 1]
    slopes_m = np.stack([before_m, after_m])
    slopes_m = np.where(np.isnan(slopes_m), slopes_m[::-1], slopes_m)
    return np.asarray(np.where(np.isnan(slopes_m), np.float32(0.0), slopes_m))


def _offsets_px(factor: int) -> list[float]:
    """Return where the middles of ``factor`` equal parts of a pixel are."""
    return [(part + 0.5) / factor - 0.5 for part in range(factor)]


def _upsampling(patches: _Patches, color_from_depth: Similarity, color: Camera) -> int:
    """Return in how many parts to divide each patch so that every color pixel gets a sample.

    The samples form a lattice in the color image. Each unit square holds one when the cell of the
    lattice is at most 1 pixel wide and high, that is ``|a_x| + |b_x| <= 1`` with its sides a, b.
    """
    some = patches.thinned(SPACING_STRIDE)
    middle, right, below = (
        project(color, some.points(*offset_px, color_from_depth))
        for offset_px in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    cells_px = (np.abs(right - middle) + np.abs(below - middle)).max(axis=-1)
    known_px = cells_px[np.isfinite(cells_px)]
    largest_px = np.percentile(known_px, 95) if known_px.size else 1.0
    return int(np.clip(np.ceil(largest_px - ROUNDING_PX), 1, MAX_UPSAMPLING))


def _near_a_step(depth_m: Floats, camera: Camera) -> NDArray[np.bool_]:
    """Return where neighbours within reach may contradict a reading, ``(H, W)``."""
    kernel = np.ones((2 * SEARCH_RADIUS_PX + 1,) * 2, dtype=np.uint8)
    known = np.isfinite(depth_m)
    nearest_m = cv2.erode(np.where(known, depth_m, np.float32(np.inf)), kernel)
    farthest_m = cv2.dilate(np.where(known, depth_m, np.float32(-np.inf)), kernel)
    limit_m = step_limit_m(depth_m, camera)
    near: NDArray[np.bool_] = (depth_m - nearest_m > limit_m) | (farthest_m - depth_m > limit_m)
    return near


def _surroundings(depth_m: Floats, camera: Camera, rows: Ints, columns: Ints) -> tuple[Ints, Ints]:
    """Return what stands around N readings in each of 8 directions, both ``(N, 8)``.

    First whether the next other surface is nearer (-1) or farther (1), 0 where none is in reach;
    then how many readings come before it that are on one surface with the reading.
    """
    padded = np.pad(depth_m, SEARCH_RADIUS_PX, constant_values=np.nan)
    own_m = depth_m[rows, columns]
    step = np.zeros((len(rows), len(DIRECTIONS)), dtype=np.int8)
    num_supports = np.zeros_like(step)
    for index, (down, right) in enumerate(DIRECTIONS):
        for distance in range(1, SEARCH_RADIUS_PX + 1):
            limit_m = step_limit_m(own_m, camera, distance * float(np.hypot(down, right)))
            reach_down, reach_right = (SEARCH_RADIUS_PX + distance * way for way in (down, right))
            rise_m = padded[rows + reach_down, columns + reach_right] - own_m
            searching = (step[:, index] == 0) & np.isfinite(rise_m)
            contradicts = np.abs(rise_m) > limit_m
            num_supports[:, index] += searching & ~contradicts
            found = searching & contradicts
            step[found, index] = np.sign(rise_m[found])
    return step, num_supports
