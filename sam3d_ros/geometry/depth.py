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
    rectify_image,
    resized,
)
from sam3d_ros.geometry.zbuffer import nearest_depth_m, step_limit_m, visible_points
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Camera, DepthImage, Floats, Ints

DepthUnit = Literal["auto", "m", "mm"]
IMPLAUSIBLE = 50.0  # metres are rarely more, millimetres rarely less, for the median of a scene
MAX_UPSAMPLING = 8  # of depth before it is registered
ROUNDING_PX = 0.01  # a lattice of exactly 2 pixels needs 2 samples, not 3
SPACING_STRIDE = 4  # pixels between those at which the spacing of registered samples is measured
SEARCH_RADIUS_PX = 3  # how far a neighbour may be; depth that was splatted has holes
MAX_THICKNESS = 2  # readings across what hangs in the air; aligned depth repeats readings
MIN_CONTRADICTIONS = 3  # of 8 directions, from which a reading without support is an outlier
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))


def metric_depth(raw: NDArray[Any], unit: DepthUnit = "auto") -> Floats:
    """Return depth ``(h, w)`` as float32 metres, NaN where ``raw`` is 0, negative or not finite.

    ``auto`` follows REP 118: integers are millimetres, floats are metres.

    Raises:
        DepthUnitError: With ``auto``, the values contradict that rule.
    """
    check_shape(raw, "h w", "depth")
    integral = np.issubdtype(raw.dtype, np.integer)
    depth = raw.astype(np.float32)
    depth[~((depth > 0) & np.isfinite(depth))] = np.nan
    if unit == "auto":
        _check_unit(depth, integral)
    millimetres = integral if unit == "auto" else unit == "mm"
    return depth * np.float32(0.001) if millimetres else depth


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
    depth_m = depth_m.astype(np.float32, copy=False)
    if camera.is_distorted:
        return pixel_rays(camera) * depth_m[..., None]
    inverse = np.linalg.inv(checked_matrix_px(camera)).astype(np.float32)
    columns = np.arange(camera.width, dtype=np.float32)
    rows = np.arange(camera.height, dtype=np.float32)[:, None]
    points = np.empty((camera.height, camera.width, 3), dtype=np.float32)
    points[..., 0] = (inverse[0, 0] * columns + inverse[0, 2] + inverse[0, 1] * rows) * depth_m
    points[..., 1] = (inverse[1, 1] * rows + inverse[1, 2]) * depth_m
    points[..., 2] = depth_m
    return points


def rectify_depth(depth_m: Floats, camera: Camera) -> Floats:
    """Return the depth that the rectified camera would have measured; never mixes two surfaces."""
    return rectify_image(depth_m, camera, "nearest")


def register_depth(depth: DepthImage, color: Camera) -> Floats:
    """Return depth ``(H, W)`` as the color camera would have measured it, NaN where unknown.

    Each reading is moved to the color camera as a small patch of its surface, fine enough that no
    background shows between two of them; then the nearest surface wins.

    Raises:
        DepthAlignError: The depth camera's intrinsics or pose cannot be right.
    """
    if _same_view(depth, color):
        return depth.depth_m
    _check_registration(depth)
    factor = _upsampling(depth, color)
    points_color = _points_color(_upsampled(depth.depth_m, depth.camera, factor), depth, factor)
    depths_m, indices = visible_points(points_color, color)
    if len(points_color) and not len(depths_m):
        raise DepthAlignError(
            f"none of {len(points_color)} depth readings falls into the color image; check that "
            "the transform maps depth to color coordinates and both frames are optical"
        )
    return nearest_depth_m(depths_m, indices, color)


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


def _check_unit(depth: Floats, integral: bool) -> None:
    known = depth[np.isfinite(depth)]
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


def _same_view(depth: DepthImage, color: Camera) -> bool:
    own, pose = depth.camera, depth.color_from_depth
    return (
        (own.width, own.height) == (color.width, color.height)
        and np.allclose(own.matrix_px, color.matrix_px, rtol=1e-6)
        and own.is_distorted == color.is_distorted
        and (not own.is_distorted or own.distortion_model == color.distortion_model)
        and (not own.is_distorted or own.distortion == color.distortion)
        and np.allclose(pose.matrix, np.eye(4), atol=1e-6)
    )


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


def _points_color(depth_m: Floats, depth: DepthImage, factor: int) -> Floats:
    """Return the known points ``(N, 3)`` of depth upsampled by ``factor``, in color coordinates."""
    points = _upsampled_points(depth_m, depth.camera, factor)[np.isfinite(depth_m)]
    pose = depth.color_from_depth
    return points @ pose.rotation.T.astype(np.float32) + pose.translation_m.astype(np.float32)


def _upsampled_points(depth_m: Floats, camera: Camera, factor: int) -> Floats:
    """Unproject upsampled depth; between pixels, rays of a lens are interpolated to save time."""
    if not camera.is_distorted or factor == 1:
        return unproject(depth_m, resized(camera, factor * camera.width, factor * camera.height))
    framed = cropped(camera, -1, -1, camera.width + 2, camera.height + 2)
    rays = cv2.resize(pixel_rays(framed), None, fx=factor, fy=factor)
    return np.asarray(rays[factor:-factor, factor:-factor] * depth_m[..., None])


def _upsampling(depth: DepthImage, color: Camera) -> int:
    """Return by how much depth must be upsampled so that each color pixel gets a sample.

    The samples form a lattice in the color image. Each unit square holds one when the cell of the
    lattice is at most 1 pixel wide and high, that is ``|a_x| + |b_x| <= 1`` with its sides a, b.
    """
    rays, stride = pixel_rays(depth.camera), SPACING_STRIDE
    depth_m = depth.depth_m[:-1:stride, :-1:stride, None]
    corner, right, below = (
        project(color, depth.color_from_depth.apply(neighbour * depth_m))
        for neighbour in (
            rays[:-1:stride, :-1:stride],
            rays[:-1:stride, 1::stride],
            rays[1::stride, :-1:stride],
        )
    )
    cells_px = (np.abs(right - corner) + np.abs(below - corner)).max(axis=-1)
    known_px = cells_px[np.isfinite(cells_px)]
    largest_px = np.percentile(known_px, 95) if known_px.size else 1.0
    return int(np.clip(np.ceil(largest_px - ROUNDING_PX), 1, MAX_UPSAMPLING))


def _upsampled(depth_m: Floats, camera: Camera, factor: int) -> Floats:
    """Return depth ``(factor H, factor W)``: linear on surfaces, never across steps."""
    rows = _upsampled_rows(depth_m, camera, factor)
    return _upsampled_rows(rows.T, camera, factor).T


def _upsampled_rows(depth_m: Floats, camera: Camera, factor: int) -> Floats:
    if factor == 1:
        return depth_m
    rise_m = np.diff(depth_m, axis=1)
    rise_m[~(np.abs(rise_m) < step_limit_m(depth_m[:, 1:], camera))] = np.nan
    rise_m = np.pad(rise_m, ((0, 0), (1, 1)), constant_values=np.nan)
    before_m, after_m = rise_m[:, :-1], rise_m[:, 1:]
    slopes_m = {  # towards the neighbour on that side, or on from the other one, or level
        -1: np.nan_to_num(np.where(np.isnan(before_m), after_m, before_m)),
        1: np.nan_to_num(np.where(np.isnan(after_m), before_m, after_m)),
    }
    offsets = (np.arange(factor, dtype=np.float32) + 0.5) / factor - 0.5
    samples = [depth_m + offset * slopes_m[1 if offset > 0 else -1] for offset in offsets]
    return np.stack(samples, axis=-1).reshape(len(depth_m), -1)


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
