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

"""Pinhole cameras with lens distortion: projection, rays, rectification, scaled intrinsics.

Pixel centres are integers: the image covers ``[-0.5, width - 0.5]``. Scaling an image by ``s``
therefore moves the principal point to ``(c + 0.5) * s - 0.5``.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sam3d_ros.errors import IntrinsicsError
from sam3d_ros.geometry.lenses import lens_of
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bools, Camera, Floats, Ints

Interpolation = Literal["linear", "nearest"]
MAX_OFF_AXIS = 1.8  # focal lengths: of the middle of an image from the optical axis, 60 degrees
OUTSIDE_PX = -10.0  # where cv2.remap is sent for what lies outside the image


def camera_from_fov(width: int, height: int, horizontal_fov_deg: float) -> Camera:
    """Return an ideal camera with square pixels that sees ``horizontal_fov_deg`` from side to side.

    Raises:
        IntrinsicsError: The field of view is not between 0 and 180 degrees.
    """
    if not 0.0 < horizontal_fov_deg < 180.0:
        raise IntrinsicsError(f"field of view must be within (0, 180), got {horizontal_fov_deg}")
    focal_px = width / (2.0 * np.tan(np.radians(horizontal_fov_deg) / 2.0))
    matrix_px = np.array(
        [[focal_px, 0.0, (width - 1) / 2], [0.0, focal_px, (height - 1) / 2], [0.0, 0.0, 1.0]]
    )
    return Camera(width=width, height=height, matrix_px=matrix_px)


def checked_matrix_px(camera: Camera) -> Floats:
    """Return the camera matrix ``(3, 3)`` as float64.

    Raises:
        IntrinsicsError: It cannot be the matrix of a camera; all zeros is how drivers say
            "not calibrated".
    """
    matrix_px = np.asarray(camera.matrix_px, dtype=np.float64)
    focal_px = matrix_px[[0, 1], [0, 1]]
    if not np.isfinite(matrix_px).all() or not (focal_px > 0).all() or matrix_px[2, 2] != 1.0:
        raise IntrinsicsError(
            f"K must be finite with positive focal lengths and K[2, 2] = 1, got "
            f"{matrix_px.tolist()}; check that the driver is calibrated and fills camera_info"
        )
    return matrix_px


def check_principal_point(camera: Camera) -> None:
    """Refuse a principal point that no image has, not even one that is cut out of a corner.

    Far outside the image it is that of a crop, whose pixels still look no farther to the side than
    those of a lens do.

    Raises:
        IntrinsicsError: It is more than a side of the image outside, and too far off for a crop.
    """
    matrix_px = checked_matrix_px(camera)
    center_px, focal_px = matrix_px[:2, 2], matrix_px[[0, 1], [0, 1]]
    size_px = np.array([camera.width, camera.height])
    outside = (center_px < -size_px) | (center_px > 2 * size_px)
    off_axis = np.abs((size_px - 1) / 2 - center_px) / focal_px
    if (outside & (off_axis > MAX_OFF_AXIS)).any():
        raise IntrinsicsError(
            f"cx and cy must be in the image of {camera.width}x{camera.height}, or not far outside "
            f"where it is a crop, got {center_px[0]:g} and {center_px[1]:g} with focal lengths of "
            f"{focal_px[0]:g} and {focal_px[1]:g}; check the calibration"
        )


def resized(camera: Camera, width: int, height: int) -> Camera:
    """Return the camera of the same image scaled to ``width`` x ``height`` pixels."""
    scaled = _scaled_matrix_px(camera, width / camera.width, height / camera.height)
    return replace(camera, width=width, height=height, matrix_px=scaled)


def cropped(camera: Camera, x: int, y: int, width: int, height: int) -> Camera:
    """Return the camera of the part of the image whose first pixel is ``(x, y)``."""
    matrix_px = np.array(camera.matrix_px, dtype=np.float64)
    matrix_px[:2, 2] -= (x, y)
    return replace(camera, width=width, height=height, matrix_px=matrix_px)


def binned(camera: Camera, binning_x: int, binning_y: int) -> Camera:
    """Return the camera whose pixels each join ``binning_x`` x ``binning_y`` pixels of this one.

    As in ``sensor_msgs/CameraInfo``, 0 means 1; pixels that fill no whole bin are lost.
    """
    x, y = max(binning_x, 1), max(binning_y, 1)
    scaled = _scaled_matrix_px(camera, 1.0 / x, 1.0 / y)
    return replace(camera, width=camera.width // x, height=camera.height // y, matrix_px=scaled)


def same_aspect(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Tell whether one size (width, height) is the other one scaled, up to rounding of one side."""
    (width, height), (other_width, other_height) = sorted((first, second))
    return (
        abs(width - other_width * height / other_height) < 1
        or abs(height - other_height * width / other_width) < 1
    )


def rectified(camera: Camera) -> Camera:
    """Return the camera of the rectified image: same matrix and size, no distortion."""
    return replace(camera, distortion_model="none", distortion=())


def project(camera: Camera, points_camera: Floats) -> Floats:
    """Return the pixels ``(..., 2)`` at which the camera sees ``points_camera`` ``(..., 3)``.

    NaN for points that are NaN, behind the camera or beyond where the lens model holds. Pixels
    outside the image are returned as they are. float32 points give float32 pixels, good to 1e-3.

    Raises:
        IntrinsicsError: The camera has no usable intrinsics.
        DistortionError: The distortion model is not known.
    """
    check_shape(points_camera, "... 3", "points_camera")
    points = np.asarray(points_camera, dtype=np.result_type(points_camera, np.float32))
    depth_m = np.where(points[..., 2:] > 0, points[..., 2:], points.dtype.type(np.nan))
    ideal = points[..., :2] / depth_m
    return _pixels(camera, lens_of(camera).distort(ideal) if camera.is_distorted else ideal)


def rounded(pixels: Floats, camera: Camera) -> tuple[Bools, Ints, Ints]:
    """Return whether pixels ``(..., 2)`` are in the image, their columns and rows, 0 outside."""
    x, y = np.rint(pixels[..., 0]), np.rint(pixels[..., 1])
    inside: Bools = np.asarray((x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height))
    columns, rows = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
    return inside, columns.astype(np.intp), rows.astype(np.intp)


def falls_on(mask: Bools, points_camera: Floats, camera: Camera) -> Bools:
    """Tell which points ``(N, 3)`` the camera sees in pixels of a mask ``(H, W)``, ``(N,)``."""
    inside, columns, rows = rounded(project(camera, points_camera), camera)
    on_mask: Bools = inside & mask[rows, columns]
    return on_mask


def undistort_pixels(camera: Camera, pixels: Floats) -> Floats:
    """Return where ``pixels`` ``(..., 2)`` of the camera lie in its rectified image.

    NaN where the lens model maps nothing to a pixel.
    """
    check_shape(pixels, "... 2", "pixels")
    return _pixels(camera, _ideal(camera, np.asarray(pixels, dtype=np.float64)))


def pixel_rays(camera: Camera) -> Floats:
    """Return the direction in which each pixel looks, ``(H, W, 3)`` float32 with z = 1.

    NaN where the lens model maps nothing to a pixel. Times the depth it is the point.
    """
    rays = np.ones((camera.height, camera.width, 3), dtype=np.float32)
    if camera.is_distorted:
        rays[..., :2] = _ideal(camera, _pixel_grid(camera))
        return rays
    inverse = np.linalg.inv(checked_matrix_px(camera))
    columns, rows = np.arange(camera.width), np.arange(camera.height)[:, None]
    rays[..., 0] = inverse[0, 0] * columns + (inverse[0, 1] * rows + inverse[0, 2])
    rays[..., 1] = inverse[1, 1] * rows + inverse[1, 2]
    return rays


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rectification:
    """From images of a camera to images of its rectified camera; good for many images."""

    camera: Camera
    source_px: Floats | None  # (H, W, 2) where each pixel comes from; None where nothing moves

    def image(self, image: NDArray[Any], interpolation: Interpolation = "linear") -> NDArray[Any]:
        """Return ``image`` (H, W) or (H, W, C) as the rectified camera would have taken it.

        Masks, labels and depth want ``nearest``, which never mixes two surfaces. What the camera
        did not see, or where the lens model ends, becomes 0, or NaN in an image of floats.
        """
        size = f"{self.camera.height} {self.camera.width}"
        check_shape(image, size if image.ndim == 2 else f"{size} C", "image")
        return image if self.source_px is None else _sampled(image, self.source_px, interpolation)


def rectification_of(camera: Camera) -> Rectification:
    """Prepare to rectify images of a camera.

    Raises:
        IntrinsicsError: The camera has no usable intrinsics.
        DistortionError: The distortion model is not known.
    """
    checked_matrix_px(camera)
    if not camera.is_distorted:
        return Rectification(camera=camera, source_px=None)
    ideal = _ideal(rectified(camera), _pixel_grid(camera))
    source_px = np.nan_to_num(_pixels(camera, lens_of(camera).distort(ideal)), nan=OUTSIDE_PX)
    return Rectification(camera=camera, source_px=source_px)


def _sampled(image: NDArray[Any], source_px: Floats, interpolation: Interpolation) -> NDArray[Any]:
    """Return the image read at pixels ``(H, W, 2)``, 0 or NaN outside."""
    border = np.nan if np.issubdtype(image.dtype, np.floating) else 0
    if interpolation == "nearest":
        framed = np.pad(
            image, ((1, 1), (1, 1), *[(0, 0)] * (image.ndim - 2)), constant_values=border
        )
        limits = np.array([image.shape[1], image.shape[0]])
        columns, rows = np.moveaxis(np.clip(np.rint(source_px), -1, limits).astype(np.intp), -1, 0)
        return np.asarray(framed[rows + 1, columns + 1])
    columns, rows = np.moveaxis(source_px.astype(np.float32), -1, 0)
    mapped = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderValue=(border,) * 4)
    return np.asarray(mapped).reshape(image.shape)


def _scaled_matrix_px(camera: Camera, scale_x: float, scale_y: float) -> Floats:
    scaling = np.array(
        [
            [scale_x, 0.0, 0.5 * scale_x - 0.5],
            [0.0, scale_y, 0.5 * scale_y - 0.5],
            [0.0, 0.0, 1.0],
        ]
    )
    return scaling @ camera.matrix_px


def _pixels(camera: Camera, normalised: Floats) -> Floats:
    matrix_px = checked_matrix_px(camera).astype(normalised.dtype)
    return normalised @ matrix_px[:2, :2].T + matrix_px[:2, 2]


def _ideal(camera: Camera, pixels: Floats) -> Floats:
    """Return the normalised coordinates without distortion of ``pixels`` ``(..., 2)``."""
    matrix_px = checked_matrix_px(camera)
    distorted = (pixels - matrix_px[:2, 2]) @ np.linalg.inv(matrix_px[:2, :2]).T
    return lens_of(camera).undistort(distorted) if camera.is_distorted else distorted


def _pixel_grid(camera: Camera) -> Floats:
    """Return the coordinates of every pixel, ``(H, W, 2)`` as (column, row)."""
    columns, rows = np.arange(float(camera.width)), np.arange(float(camera.height))
    return np.stack(np.meshgrid(columns, rows), axis=-1)
