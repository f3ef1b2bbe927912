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

"""Which pixels of a mask file are the object, whatever the program was that wrote it.

Transparency says so where it varies, else every value but 0. One value of a file, the most
frequent besides 0, is that of the object; others occur at its edge, where they were mixed with 0
(antialiasing) and fill no square of 3x3 pixels. Where one does, the file is a label image of
several objects. A picture that is cut out has more colours than any palette: those are no labels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sam3d_ros.errors import DatasetError
from sam3d_ros.structures import Bools

MAX_LABELS = 256  # colours of a palette
MAX_LISTED = 8  # values in a message
SQUARE = np.ones((3, 3), dtype=np.uint8)


def mask_of(image: NDArray[Any], path: Path) -> Bools:
    """Return the pixels ``(H, W)`` of the object in a decoded file ``(H, W)`` or ``(H, W, C)``.

    Raises:
        DatasetError: The file is a label image of several objects.
    """
    values = _values(image)
    if values.ndim == 2:
        _check_single(values, path)
        return values != 0
    packed = _packed(values)
    if len(np.unique(packed)) <= MAX_LABELS:
        digits = 6 * image.dtype.itemsize
        _check_single(packed, path, lambda color: f"#{color:0{digits}x}")
    return packed != 0


def _values(image: NDArray[Any]) -> NDArray[Any]:
    """Return the channel ``(H, W)`` that has the mask, or the colours ``(H, W, 3)``."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 4 and np.ptp(image[..., 3]):
        return np.asarray(image[..., 3])
    colors = image[..., :3]
    is_grey = (colors == colors[..., :1]).all()
    return np.asarray(colors[..., 0] if is_grey else colors)


def _packed(bgr: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number ``(H, W)`` that ``#rrggbb`` is, with more digits of deeper images."""
    wide = bgr.astype(np.int64)
    base = 1 << (8 * bgr.dtype.itemsize)
    return np.asarray((wide[..., 2] * base + wide[..., 1]) * base + wide[..., 0])


def _check_single(values: NDArray[Any], path: Path, written: Callable[[int], str] = str) -> None:
    """Refuse several values ``(H, W)`` that are not one object with a soft edge."""
    found, counts = np.unique(values[values != 0], return_counts=True)
    if len(found) < 2:
        return
    main = found[np.argmax(counts)]
    areas = np.setdiff1d(values[_is_level(values)], (0, main))
    if len(areas):
        listed = ", ".join(written(value) for value in found[:MAX_LISTED])
        more = f" and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
        raise DatasetError(
            f"{path}: expected the mask of one object, got areas of {len(found)} values ({listed}"
            f"{more}); of a label image write a file for each object, 255 where it is and 0 "
            "elsewhere; a soft mask needs a threshold"
        )


def _is_level(values: NDArray[Any]) -> Bools:
    """Tell which pixels ``(H, W)`` are the middle of a square of one value."""
    exact = values.astype(np.float64)  # integers of 48 bits are exact in it, OpenCV has no int64
    least, most = (
        grown(exact, SQUARE, borderType=cv2.BORDER_CONSTANT, borderValue=-1.0)
        for grown in (cv2.erode, cv2.dilate)
    )
    return np.asarray((least == exact) & (most == exact))
