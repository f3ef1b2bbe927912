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

"""Drawing on images with OpenCV: palette, text, fills, outlines; every function returns a copy.

Images are ``(H, W, 3)`` uint8 in RGB order.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sam3d_ros.structures import Bools, Bytes

Color = tuple[int, int, int]

# Distinct in hue and in lightness, after Okabe and Ito (2008) for colour-blind readers.
PALETTE: tuple[Color, ...] = (
    (0, 158, 225),
    (240, 150, 0),
    (0, 170, 120),
    (225, 80, 60),
    (190, 110, 200),
    (225, 205, 40),
    (90, 110, 230),
    (140, 195, 70),
    (230, 120, 160),
    (120, 190, 200),
)
INK: Color = (34, 38, 46)
FAINT_INK: Color = (112, 118, 130)
PAPER: Color = (255, 255, 255)
PANEL: Color = (240, 242, 245)
FAILED: Color = (120, 120, 120)
ALERT: Color = (196, 52, 40)

FONT = cv2.FONT_HERSHEY_DUPLEX
PIXELS_PER_SCALE = 22.0  # height of a capital letter at font scale 1
HATCH_PERIOD_PX = 8


def color_of(number: int) -> Color:
    """Return the colour of an object id; ids ten apart share one."""
    return PALETTE[(number - 1) % len(PALETTE)]


def blank(width: int, height: int, color: Color = PAPER) -> Bytes:
    """Return an image of one colour."""
    return np.full((height, width, 3), color, dtype=np.uint8)


def text_size(text: str, height_px: float) -> tuple[int, int, int]:
    """Return width, height above and depth below the base line of ``text`` in pixels."""
    (width, ascent), descent = cv2.getTextSize(text, FONT, height_px / PIXELS_PER_SCALE, 1)
    return width, ascent, descent


def with_text(
    image: Bytes, text: str, at: tuple[int, int], height_px: float, color: Color = INK
) -> Bytes:
    """Write ``text``; ``at`` is the left end of its base line (column, row)."""
    written = image.copy()
    scale = height_px / PIXELS_PER_SCALE
    cv2.putText(written, printable(text), at, FONT, scale, color, 1, cv2.LINE_AA)
    return written


def printable(text: str) -> str:
    """Replace what OpenCV's fonts lack."""
    return text.encode("ascii", "replace").decode("ascii")


def shortened(text: str, width_px: int, height_px: float) -> str:
    """Return ``text``, cut with an ellipsis where it is wider than ``width_px``."""
    if text_size(text, height_px)[0] <= width_px:
        return text
    while text and text_size(text + "...", height_px)[0] > width_px:
        text = text[:-1]
    return text.rstrip() + "..."


def tinted(image: Bytes, mask: Bools, color: Color, opacity: float) -> Bytes:
    """Lay a colour over the pixels of a mask."""
    result = image.copy()
    mixed = (1.0 - opacity) * image[mask] + opacity * np.array(color, dtype=np.float64)
    result[mask] = np.round(mixed).astype(np.uint8)
    return result


def outlined(image: Bytes, mask: Bools, color: Color, thickness_px: int = 2) -> Bytes:
    """Draw the outline of a mask, with a thin dark rim so that it shows on any background."""
    result = image.copy()
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    cv2.polylines(result, contours, True, INK, thickness_px + 2, cv2.LINE_AA)
    cv2.polylines(result, contours, True, color, thickness_px, cv2.LINE_AA)
    return result


def hatch(height: int, width: int) -> Bools:
    """Return diagonal stripes, ``(height, width)``."""
    rows, columns = np.indices((height, width))
    stripes: Bools = (rows + columns) % HATCH_PERIOD_PX < HATCH_PERIOD_PX // 4
    return stripes


def fitted(image: Bytes, width: int, height: int, background: Color = PANEL) -> Bytes:
    """Scale an image to fit into ``width`` x ``height`` and centre it there."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    canvas = blank(width, height, background)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    canvas[y : y + size[1], x : x + size[0]] = cv2.resize(image, size, interpolation=method)
    return canvas


def beside(images: Sequence[Bytes], gap_px: int, color: Color = PAPER) -> Bytes:
    """Put images of one height side by side."""
    gap = blank(gap_px, images[0].shape[0], color)
    parts = [part for image in images for part in (image, gap)][:-1]
    return np.concatenate(parts, axis=1)


def stacked(images: Sequence[Bytes], color: Color = PAPER) -> Bytes:
    """Put images under one another, narrower ones filled up at the right."""
    width = max(image.shape[1] for image in images)
    return np.concatenate(
        [beside([i, blank(width - i.shape[1], i.shape[0], color)], 0) for i in images], axis=0
    )


def write_image(rgb: Bytes, path: Path) -> None:
    """Write an RGB image as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    path.write_bytes(encoded.tobytes())
