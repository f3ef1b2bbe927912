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

"""What the model sees of a person or of a hand: squares of the image around boxes."""

import cv2
import numpy as np

from sam3d_ros.errors import MaskEmptyError, SelectionError
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.arrays import Bools, Bytes, Floats, window_of
from sam3d_ros.structures.sensing import Camera

BODY_PADDING = 1.25
HAND_PADDING = 0.9
MIN_EXTENT_PX = 1.0  # of a box: less shows nobody
ASPECT = 0.75  # width over height that a box is grown to before it becomes a square


def box_of_mask(mask: Bools) -> Floats:
    """Return the box ``(4,)`` x1 y1 x2 y2 in pixels of a mask ``(H, W)``; x2, y2 lie outside.

    Raises:
        MaskEmptyError: The mask marks no pixel.
    """
    check_shape(mask, "H W", "mask")
    if not mask.any():
        raise MaskEmptyError(
            f"mask must mark a person, has no pixel set among {mask.shape[1]}x{mask.shape[0]}; "
            "check that the mask provider found the person and that the mask is not inverted"
        )
    rows, columns = window_of(mask)
    return np.array([columns.start, rows.start, columns.stop, rows.stop], dtype=np.float64)


def check_box(box_px: Floats, camera: Camera) -> None:
    """Check that a box ``(4,)`` has an extent and lies at least in part in the image.

    Raises:
        SelectionError: It does not.
    """
    x1, y1, x2, y2 = box_px
    finite = bool(np.isfinite(box_px).all())
    if not finite or x2 - x1 < MIN_EXTENT_PX or y2 - y1 < MIN_EXTENT_PX:
        raise SelectionError(
            "box must be x1 y1 x2 y2 in pixels with x1 < x2 and y1 < y2, at least "
            f"{MIN_EXTENT_PX:g} apart, got {_listed(box_px)}; check the order of its numbers, and "
            "that they are not shares of the image"
        )
    if x2 <= 0 or y2 <= 0 or x1 >= camera.width or y1 >= camera.height:
        raise SelectionError(
            f"box {_listed(box_px)} lies outside the image of {camera.width}x{camera.height} "
            "pixels; check that detections belong to this image and are in pixels"
        )


def crop_squares(boxes_px: Floats, padding: float) -> tuple[Floats, Floats]:
    """Return centres ``(N, 2)`` and sides ``(N,)`` of the squares to crop for boxes, in pixels.

    A box ``(N, 4)`` x1 y1 x2 y2 is padded and grown to the aspect of a standing person, then to a
    square, each time about its centre.
    """
    check_shape(boxes_px, "N 4", "boxes_px")
    corners = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 2, 2)
    width, height = (corners[:, 1] - corners[:, 0]).T
    return corners.mean(axis=1), padding * np.maximum(height, width / ASPECT)


def mirrored_boxes(boxes_px: Floats, width: int) -> Floats:
    """Return where boxes ``(N, 4)`` x1 y1 x2 y2 are in the mirrored image of that width.

    As the release mirrors them, pixel by pixel: x2 is taken for a pixel of the box.
    """
    x1, y1, x2, y2 = np.asarray(boxes_px).T
    return np.stack((width - x2 - 1, y1, width - x1 - 1, y2), axis=-1)


def crop_affines(centers_px: Floats, sides_px: Floats, size: int) -> Floats:
    """Return ``crop_from_image`` ``(N, 2, 3)`` for squares that become ``size`` pixels wide.

    Coordinates, not pixel centres, are scaled: the middle of the square comes to ``size / 2``.
    """
    scales = size / np.asarray(sides_px, dtype=np.float64)
    affines = np.zeros((len(scales), 2, 3))
    affines[:, 0, 0] = affines[:, 1, 1] = scales
    affines[:, :, 2] = size / 2 - scales[:, None] * centers_px
    return affines


def cut(image: Bytes, crop_from_image: Floats, size: int) -> Bytes:
    """Return crops ``(N, S, S, ...)`` of an image ``(H, W)`` or ``(H, W, 3)``; 0 lies around it.

    Values are interpolated linearly and rounded, those of a mask of 0 and 1 as well.
    """
    check_shape(crop_from_image, "N 2 3", "crop_from_image")
    crops = np.zeros((len(crop_from_image), size, size, *image.shape[2:]), dtype=np.uint8)
    for crop, affine in zip(crops, crop_from_image, strict=True):
        cv2.warpAffine(image, affine, (size, size), dst=crop, flags=cv2.INTER_LINEAR)
    return crops


def default_camera(width: int, height: int) -> Camera:
    """Guess the camera of an image as the model's authors do: as long as its diagonal."""
    focal = float(np.hypot(width, height))
    matrix = np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
    return Camera(width=width, height=height, matrix_px=matrix)


def _listed(box_px: Floats) -> str:
    return " ".join(f"{value:g}" for value in box_px)
