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

"""The square around an object, and what the models see of it where it leaves the image."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.errors import MaskEmptyError

BOX_SIZE_FACTOR = 1.2  # of the longer side of the object's tight box
MIN_EXTENT_PX = 2  # between the outermost pixels of a mask, both ways


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels ``x1 <= x < x2``, ``y1 <= y < y2``; may reach beyond the image."""

    x1: int
    y1: int
    x2: int
    y2: int


def object_box(mask: Tensor) -> Box:
    """Return the box to crop for a mask ``(1, H, W)``, whose object is where it is not zero.

    Rounding goes towards zero, not down: a box that begins beyond the image by a fraction of a
    pixel loses one row or column. The released models were trained on such crops.

    Raises:
        MaskEmptyError: The mask is empty, or its object is thinner than three pixels.
    """
    rows, columns = mask[0].nonzero(as_tuple=True)
    if not len(rows):
        raise MaskEmptyError(
            f"mask must mark an object, has no pixel set among {mask.shape[2]}x{mask.shape[1]}; "
            "check that the mask provider found the object and that the mask is not inverted"
        )
    x1, x2 = int(columns.min()), int(columns.max())
    y1, y2 = int(rows.min()), int(rows.max())
    longer, shorter = max(x2 - x1, y2 - y1), min(x2 - x1, y2 - y1)
    if shorter < MIN_EXTENT_PX:
        raise MaskEmptyError(
            f"mask must be at least {MIN_EXTENT_PX + 1} pixels wide and high, its {len(rows)} "
            f"pixels span {x2 - x1 + 1}x{y2 - y1 + 1}; check the mask, move closer or use a "
            "camera of higher resolution"
        )
    half = int(longer * BOX_SIZE_FACTOR) // 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return Box(int(x - half), int(y - half), int(x + half), int(y + half))


def cropped(image: Tensor, box: Box, square_fill: float = 0.0) -> Tensor:
    """Return the square ``(C, S, S)`` of an image ``(C, H, W)`` around a box.

    Beyond the image there is 0, for point maps too, where it reads as a point at the normalised
    origin: what the released models were trained on. Where rounding left the box without the last
    row or column of a square, that line is ``square_fill``.
    """
    height, width = image.shape[1:]
    inside = image[:, max(box.y1, 0) : box.y2, max(box.x1, 0) : box.x2]
    beyond = (max(-box.x1, 0), max(box.x2 - width, 0), max(-box.y1, 0), max(box.y2 - height, 0))
    return squared(F.pad(inside, beyond), square_fill)


def squared(image: Tensor, fill: float = 0.0) -> Tensor:
    """Return ``(C, S, S)`` with an image ``(C, H, W)`` in the middle, padded after if uneven."""
    height, width = image.shape[1:]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    return F.pad(image, (left, side - width - left, top, side - height - top), value=fill)
