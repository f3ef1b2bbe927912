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

"""Which masks of a frame somebody asks for: by their values, by known objects, by place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.errors import MaskEmptyError, SelectionError, UnknownObjectError
from sam3d_ros.geometry.cameras import falls_on
from sam3d_ros.scene.names import object_name
from sam3d_ros.structures import Frame, InstanceMask, SceneObject

MAX_LISTED = 20  # in the text of an error
MIN_INSIDE = 0.5  # of a mask's pixels, or of an object's vertices


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is asked for; at most one of these, nothing is everything."""

    instances: tuple[int, ...] | None = None  # values of the mask image
    track_ids: tuple[int, ...] | None = None  # of known objects
    box_px: tuple[float, ...] | None = None  # left, top, right, bottom
    pixel_px: tuple[float, ...] | None = None  # column, row


EVERYTHING = Selection()


def find_object(name: str, objects: Sequence[SceneObject], prefix: str = "sam3d") -> SceneObject:
    """Return the object of a name as ``object_name`` makes it, or of a track id in digits.

    Raises:
        UnknownObjectError: There is none.
    """
    for known in objects:
        full = object_name(known.track_id, known.class_id, prefix)
        if name in (full, str(known.track_id)):
            return known
    names = [object_name(known.track_id, known.class_id, prefix) for known in objects[:MAX_LISTED]]
    more = ", ..." if len(objects) > MAX_LISTED else ""
    there = f"there are {', '.join(names)}{more}" if names else "no object is known"
    raise UnknownObjectError(f"no object has the id {name[:80]!r}: {there}")


def selected(frame: Frame, selection: Selection, objects: Sequence[SceneObject]) -> Frame:
    """Return a frame of which only the masks are asked for that a selection names.

    Args:
        frame: With all masks.
        selection: Names some.
        objects: All that are known.

    Raises:
        SelectionError: What is asked for is no place in the image.
        MaskEmptyError: No mask is there.
    """
    if selection.instances is not None:
        chosen = _by_value(frame.masks, selection.instances)
    elif selection.track_ids is not None:
        asked = [known for known in objects if known.track_id in selection.track_ids]
        chosen = [_showing(known, frame) for known in asked]
    elif selection.box_px is not None:
        chosen = _in_box(frame, selection.box_px)
    elif selection.pixel_px is not None:
        chosen = _at_pixel(frame, selection.pixel_px)
    else:
        return frame
    return replace(frame, chosen=tuple(dict.fromkeys(chosen)))


def _by_value(masks: Sequence[InstanceMask], wanted: Sequence[int]) -> list[int]:
    there = [mask.instance_id for mask in masks]
    if not wanted:
        raise SelectionError("masks are to be chosen by their values, and none is given")
    if missing := [value for value in wanted if value not in there]:
        raise MaskEmptyError(
            f"the mask image has no pixel of value {_listed(missing)}; it has {_listed(there)}"
        )
    return list(wanted)


def _showing(known: SceneObject, frame: Frame) -> int:
    """Return the mask onto which most of a known mesh falls."""
    name = object_name(known.track_id, known.class_id)
    vertices = known.reconstruction.mesh_object.vertices.astype(np.float64)
    points_camera = known.camera_from_object(frame.fixed_from_camera).apply(vertices)
    inside = [falls_on(mask.mask, points_camera, frame.camera).mean() for mask in frame.masks]
    if not inside or max(inside) < MIN_INSIDE:
        raise MaskEmptyError(
            f"no mask of the frame shows {name} where it is expected; choose by box or pixel"
        )
    return frame.masks[int(np.argmax(inside))].instance_id


def _in_box(frame: Frame, box_px: Sequence[float]) -> list[int]:
    left, top, right, bottom = box_px
    width, height = frame.camera.width, frame.camera.height
    is_finite = bool(np.isfinite(box_px).all())
    is_inside = (
        is_finite and max(left, 0.0) < min(right, width) and max(top, 0) < min(bottom, height)
    )
    if not is_inside:
        raise SelectionError(
            f"the box must have left < right and top < bottom and overlap the image of "
            f"{width}x{height}, got {_listed(box_px)}"
        )
    box = np.zeros((height, width), dtype=bool)
    first = [int(np.ceil(max(edge, 0.0))) for edge in (top, left)]
    last = [int(np.floor(min(*each))) for each in ((bottom, height - 1), (right, width - 1))]
    box[first[0] : last[0] + 1, first[1] : last[1] + 1] = True
    chosen = [
        mask.instance_id
        for mask in frame.masks
        if (mask.mask & box).sum() >= MIN_INSIDE * max(mask.mask.sum(), 1)
    ]
    if not chosen:
        raise MaskEmptyError(
            f"no mask has half of its pixels in the box {_listed(box_px)}; it has to enclose one"
        )
    return chosen


def _at_pixel(frame: Frame, pixel_px: Sequence[float]) -> list[int]:
    camera = frame.camera
    column, row = pixel_px
    if not (0 <= column <= camera.width - 1 and 0 <= row <= camera.height - 1):  # NaN is not
        raise SelectionError(
            f"the pixel must lie in the image of {camera.width}x{camera.height}, got "
            f"{_listed(pixel_px)}"
        )
    for mask in frame.masks:
        if mask.mask[round(row), round(column)]:
            return [mask.instance_id]
    raise MaskEmptyError(f"no mask covers the pixel {_listed(pixel_px)}")


def _listed(values: Sequence[float]) -> str:
    shown = [f"{value:g}" for value in values[:MAX_LISTED]]
    return ", ".join(shown) + (", ..." if len(values) > MAX_LISTED else "") or "none"
