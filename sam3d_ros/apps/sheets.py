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

"""Contact sheets: input, masks, result and shapes from sides that no camera saw, on one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.apps.drawing import (
    ALERT,
    FAINT_INK,
    INK,
    PAPER,
    Color,
    beside,
    blank,
    fitted,
    outlined,
    shortened,
    stacked,
    tinted,
    with_text,
)
from sam3d_ros.apps.pictures import Pictured, draw_labels, draw_silhouettes, enlarged, enlargement
from sam3d_ros.apps.shading import VIEWS, shaded, viewpoints
from sam3d_ros.structures import Bools, Bytes, Camera, Floats, Mesh

CELL_PX = 216
GAP_PX = 8
MARGIN_PX = 20
TITLE_PX, HEADING_PX, TEXT_PX = 19.0, 13.0, 11.5
CROP_MARGIN = 0.18  # of the mask's size, around it
MASK_OPACITY = 0.55
NUMBER_PARTS = 26  # of the image's height is the height of an object's number in the overview
LEGEND = "hatched: never seen by the camera, closed by a hypothesis"
RULE: Color = (205, 209, 216)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """One object as several backends made it, beside the truth."""

    pictured: Pictured  # with its mask; the mesh is not used
    rgb: Bytes  # (H, W, 3) of the mask
    truth_camera: Mesh | None
    meshes_camera: Mapping[str, Mesh]  # by backend
    captions: Mapping[str, str]  # by backend: numbers, or why there is no mesh
    up_camera: Floats | None = None  # (3,), upwards, for the view from above


def contact_sheet(
    rgb: Bytes,
    pictured: Sequence[Pictured],
    camera: Camera,
    title: str,
    up_camera: Floats | None = None,
) -> Bytes:
    """Show a scene and each of its objects: crop, mask, overlay, and the mesh from three sides.

    Args:
        rgb: ``(H, W, 3)``.
        pictured: Objects of the scene; failures appear with their reason.
        camera: Of the image.
        title: Headline.
        up_camera: ``(3,)``, upwards, for the view from above; ``None`` takes the camera's own.
    """
    width = 6 * CELL_PX + 5 * GAP_PX
    masks = draw_masks(rgb, pictured)
    overlay, regions = draw_silhouettes(rgb, pictured, camera)
    numbers = [(str(item.number),) for item in pictured]
    numbered = draw_labels(overlay, pictured, regions, numbers, overlay.shape[0] / NUMBER_PARTS)
    parts = [
        _line(title, width, TITLE_PX),
        _line(LEGEND, width, TEXT_PX, FAINT_INK),
        _overview(("input", rgb), ("masks", masks), ("result", numbered), width=width),
    ]
    for item in pictured:
        parts.append(_object_title(item, width))
        cells = [
            *(_crop(image, item.mask) for image in (rgb, masks, overlay)),
            *_views(item.mesh_camera, item.failure, up_camera),
        ]
        names = ("input", "mask", "result", *VIEWS)
        parts.append(beside([_captioned(c, n) for c, n in zip(cells, names, strict=True)], GAP_PX))
    return _page(parts)


def comparison_sheet(compared: Sequence[Compared], title: str) -> Bytes:
    """Show each object's crop, its truth and what each backend made of it, at one scale a row."""
    backends = list(dict.fromkeys(name for item in compared for name in item.captions))
    columns = 1 + len(VIEWS) * (1 + len(backends))
    width = columns * CELL_PX + (columns - 1) * GAP_PX
    parts = [_line(title, width, TITLE_PX)]
    for item in compared:
        parts.append(_object_title(item.pictured, width))
        parts.append(_compared_row(item, backends))
    return _page(parts)


def _compared_row(item: Compared, backends: Sequence[str]) -> Bytes:
    """Put input, truth and results side by side, each from all views."""
    meshes = {"truth": item.truth_camera, **{n: item.meshes_camera.get(n) for n in backends}}
    known = [mesh for mesh in meshes.values() if mesh is not None]
    points = viewpoints(known, item.up_camera) if known else {}
    crop = _crop(draw_masks(item.rgb, [item.pictured]), item.pictured.mask)
    cells = [_captioned(crop, "input and mask")]
    for name, mesh in meshes.items():
        caption = f"{name}  {item.captions.get(name, '')}"
        if mesh is None:
            cells.append(_captioned(_empty("not known", VIEWS), caption))
            continue
        plain = name == "truth"
        views = [shaded(mesh, points[view], CELL_PX, plain=plain) for view in VIEWS]
        cells.append(_captioned(beside(views, GAP_PX), caption))
    return beside(cells, GAP_PX)


def draw_masks(rgb: Bytes, pictured: Sequence[Pictured]) -> Bytes:
    """Draw the masks as they were given on a paled image, enlarged like an overlay."""
    factor = enlargement(rgb.shape[1])
    image = fitted(rgb, factor * rgb.shape[1], factor * rgb.shape[0])
    image = tinted(image, np.ones(image.shape[:2], dtype=bool), PAPER, 0.35)
    for item in pictured:
        if item.mask is not None:
            mask = enlarged(item.mask, factor)
            image = outlined(tinted(image, mask, item.color, MASK_OPACITY), mask, item.color)
    return image


def _overview(*panels: tuple[str, Bytes], width: int) -> Bytes:
    """Put whole images side by side over the full width."""
    panel_width = (width - (len(panels) - 1) * GAP_PX) // len(panels)
    image = panels[0][1]
    height = round(panel_width * image.shape[0] / image.shape[1])
    return beside([_captioned(fitted(i, panel_width, height), n) for n, i in panels], GAP_PX)


def _object_title(item: Pictured, width: int) -> Bytes:
    """Return the rule and the line above an object's pictures."""
    rule = stacked([blank(width, GAP_PX), blank(width, 1, RULE), blank(width, GAP_PX // 2)])
    heading = f"{item.number}  {item.name}    {item.size_text}"
    if item.failure:
        line = _line(f"{heading}    {item.failure}", width, HEADING_PX, ALERT, item.color)
    else:
        line = _line(f"{heading}    {item.quality}", width, HEADING_PX, INK, item.color)
    return stacked([rule, line])


def _crop(image: Bytes, mask: Bools | None) -> Bytes:
    """Cut a square around a mask, with some of what surrounds it; the image may be enlarged."""
    if mask is None or not mask.any():
        return fitted(image, CELL_PX, CELL_PX)
    factor = image.shape[1] // mask.shape[1]
    pixels = factor * np.argwhere(mask)
    first, last = pixels.min(axis=0), pixels.max(axis=0) + factor
    centre, half = (first + last) / 2, (0.5 + CROP_MARGIN) * (last - first).max()
    low = np.maximum(np.floor(centre - half), 0).astype(int)
    high = np.minimum(np.ceil(centre + half), image.shape[:2]).astype(int)
    return fitted(image[low[0] : high[0], low[1] : high[1]], CELL_PX, CELL_PX)


def _views(mesh: Mesh | None, failure: str, up_camera: Floats | None) -> list[Bytes]:
    if mesh is None:
        return [_empty(failure.partition(":")[0] or "no result", (view,)) for view in VIEWS]
    points = viewpoints([mesh], up_camera)
    return [shaded(mesh, points[view], CELL_PX) for view in VIEWS]


def _empty(text: str, views: Sequence[str]) -> Bytes:
    """Return an empty cell, as wide as its views, that says why it is empty."""
    width = len(views) * CELL_PX + (len(views) - 1) * GAP_PX
    cell = fitted(blank(width, CELL_PX), width, CELL_PX)
    cell[:] = tinted(cell, np.ones(cell.shape[:2], dtype=bool), (235, 235, 238), 1.0)
    return with_text(
        cell, shortened(text, width - 24, TEXT_PX), (12, CELL_PX // 2), TEXT_PX, FAINT_INK
    )


def _captioned(cell: Bytes, caption: str) -> Bytes:
    """Put a caption under a cell."""
    return stacked([cell, _line(caption, cell.shape[1], TEXT_PX, FAINT_INK)])


def _line(
    text: str, width: int, height_px: float, color: Color = INK, bar: Color | None = None
) -> Bytes:
    """Return one line of text on paper, cut to ``width``; ``bar`` is a colour chip before it."""
    line = blank(width, int(2.1 * height_px))
    indent = 0
    if bar is not None:
        indent = int(1.6 * height_px)
        line[int(0.5 * height_px) : int(1.7 * height_px), : int(1.1 * height_px)] = bar
    base = (indent, int(1.5 * height_px))
    return with_text(line, shortened(text, width - indent, height_px), base, height_px, color)


def _page(parts: Sequence[Bytes]) -> Bytes:
    """Stack parts on paper with a margin around."""
    body = stacked(parts)
    height, width = body.shape[:2]
    page = blank(width + 2 * MARGIN_PX, height + 2 * MARGIN_PX)
    page[MARGIN_PX : MARGIN_PX + height, MARGIN_PX : MARGIN_PX + width] = body
    return page
