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


"""Errors over time, drawn: one strip per object, with what was hidden, lost or wrong."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import cv2
import numpy as np

from sam3d_ros.apps.drawing import (
    ALERT,
    FAINT_INK,
    INK,
    PANEL,
    Color,
    blank,
    color_of,
    stacked,
    with_text,
)
from sam3d_ros.evaluation.tracking import SEEN_SHARE, Row
from sam3d_ros.scene.following import FollowStatus
from sam3d_ros.structures import Bytes, Floats

WIDTH_PX, STRIP_PX, LEFT_PX, GAP_PX = 1200, 120, 130, 10
TEXT_PX, TITLE_PX = 11.5, 16.0
SCALE = 10.0  # mm and degrees at the top of a strip
HIDDEN: Color = (216, 220, 228)
LOST: Color = (246, 214, 170)
WRONG: Color = ALERT
TURN: Color = FAINT_INK


def error_strips(
    tracks: Mapping[str, Sequence[Row]], title: str, limit_mm: float, limit_deg: float
) -> Bytes:
    """Draw the errors of each object over the frames.

    Bold is the error of the surface in mm, thin the turn in degrees, both cut at 10; ticks are
    drawn at the limits.
    """
    head = with_text(blank(WIDTH_PX, 54), title, (GAP_PX, 22), TITLE_PX)
    legend = (
        "bold: surface off by 0 to 10 mm   thin: turned by 0 to 10 degrees   grey: hidden   "
        "yellow: said to be lost   red: wrong"
    )
    parts = [with_text(head, legend, (GAP_PX, 45), TEXT_PX, FAINT_INK)]
    for index, (name, rows) in enumerate(tracks.items()):
        strip = _strip(rows, color_of(index + 1), (limit_mm, limit_deg))
        strip = with_text(strip, name, (GAP_PX, 24), TITLE_PX)
        parts += [_summary(strip, rows), blank(WIDTH_PX, GAP_PX)]
    return stacked(parts)


def _summary(strip: Bytes, rows: Sequence[Row]) -> Bytes:
    errors = [row.error for row in rows if row.is_right and row.is_seen and row.error is not None]
    if not errors:
        return with_text(strip, "never followed", (GAP_PX, 48), TEXT_PX, ALERT)
    middle_mm = float(np.median([error.surface_mm for error in errors]))
    middle_deg = float(np.median([error.turn_deg for error in errors]))
    strip = with_text(strip, f"{middle_mm:.1f} mm", (GAP_PX, 48), TEXT_PX, FAINT_INK)
    return with_text(strip, f"{middle_deg:.1f} deg", (GAP_PX, 68), TEXT_PX, FAINT_INK)


def _strip(rows: Sequence[Row], color: Color, limits: tuple[float, float]) -> Bytes:
    strip = blank(WIDTH_PX, STRIP_PX)
    strip[:, LEFT_PX:] = PANEL
    columns = _columns(len(rows))
    for row, (left, right) in zip(rows, columns, strict=True):
        if (background := _background(row)) is not None:
            strip[:, left:right] = background
    for limit in limits:
        height = _height(np.array([limit]))[0]
        cv2.line(strip, (LEFT_PX - 8, int(height)), (LEFT_PX, int(height)), INK, 1)
    turns = [row.error.turn_deg if row.error is not None else np.nan for row in rows]
    shifts = [row.error.surface_mm if row.error is not None else np.nan for row in rows]
    middles = columns.mean(axis=1)
    _draw_line(strip, middles, np.array(turns), TURN, 1)
    _draw_line(strip, middles, np.array(shifts), color, 2)
    return strip


def _background(row: Row) -> Color | None:
    if row.is_wrong:
        return WRONG
    if row.status is FollowStatus.LOST or row.status is None:
        return LOST
    return HIDDEN if row.visible < SEEN_SHARE else None


def _columns(num: int) -> Floats:
    """Return where each frame begins and ends, ``(num, 2)`` pixels."""
    edges = np.linspace(LEFT_PX, WIDTH_PX, num + 1).astype(int)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _height(values: Floats) -> Floats:
    """Return rows of a strip for values of 0 to 10."""
    return (STRIP_PX - 4) - np.clip(values / SCALE, 0.0, 1.0) * (STRIP_PX - 8)


def _draw_line(strip: Bytes, x: Floats, values: Floats, color: Color, width_px: int) -> None:
    """Draw a line in place, with gaps where a value is not known."""
    points = np.stack([x, _height(values)], axis=1)
    for first, second in pairwise(points):
        if np.isfinite(first[1]) and np.isfinite(second[1]):
            ends = [(round(float(u)), round(float(v))) for u, v in (first, second)]
            cv2.line(strip, ends[0], ends[1], color, width_px, cv2.LINE_AA)
