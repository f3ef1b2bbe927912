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

"""What users give, of whatever library, as what the rest of the package takes."""

import operator
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sam3d_ros.errors import ConfigError, EncodingError, ShapeError
from sam3d_ros.geometry.depth import metric_depth
from sam3d_ros.structures import Bools, Bytes, Camera, DepthImage, Frame, InstanceMask


class Image(Protocol):
    """What NumPy reads as an array: its own arrays, images of PIL."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Where the pixels are."""
        ...


def checked_seed(seed: int) -> int:
    """Return a seed as an integer that generators take."""
    try:
        number = operator.index(seed)
    except TypeError as error:
        raise ConfigError(f"seed must be an integer, got {seed!r}") from error
    if not 0 <= number < 2**63:
        raise ConfigError(f"seed must be from 0 to 2^63 - 1, got {number}")
    return number


def rgb_from(image: Image) -> Bytes:
    """Return an image as bytes ``(H, W, 3)``."""
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] not in {3, 4}:
        raise ShapeError(
            f"image must have shape (H, W, 3), got {pixels.shape}; convert others to RGB first"
        )
    pixels = pixels[..., :3]
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = np.round(255.0 * pixels)
        if not ((pixels >= 0) & (pixels <= 255)).all():
            raise EncodingError(
                "image of floats must be in [0, 1] everywhere, is not; divide by 255 what has the "
                "range of bytes, and clip the rest"
            )
    elif pixels.dtype != np.uint8:
        raise EncodingError(f"image must be of bytes or of floats in [0, 1], got {pixels.dtype}")
    return np.ascontiguousarray(pixels.astype(np.uint8))


def mask_from(mask: Image) -> Bools:
    """Return which pixels ``(H, W)`` of a mask are not zero."""
    pixels = np.asarray(mask)
    if pixels.ndim != 2:
        raise ShapeError(
            f"mask must have shape (H, W), got {pixels.shape}; several masks go into a list"
        )
    return np.asarray(pixels > 0)


def camera_of(rgb: Bytes, intrinsics: NDArray[Any]) -> Camera:
    """Return the camera of an image."""
    height, width = rgb.shape[:2]
    return Camera(width=width, height=height, matrix_px=np.asarray(intrinsics, dtype=np.float64))


def frame_of(
    rgb: Bytes, camera: Camera, masks: Sequence[Image], depth: Image | None = None
) -> Frame:
    """Return one exposure; masks are numbered from 1 on."""
    instances = tuple(
        InstanceMask(instance_id=number, mask=mask_from(mask))
        for number, mask in enumerate(masks, start=1)
    )
    depth_image = None
    if depth is not None:
        depth_image = DepthImage(depth_m=metric_depth(np.asarray(depth)), camera=camera)
    return Frame(rgb=rgb, camera=camera, masks=instances, depth=depth_image)
