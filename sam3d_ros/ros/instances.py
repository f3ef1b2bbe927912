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

"""Instance masks from what their providers send: label images, polygons and boxes.

Which it is shows in the message itself: an Image has an encoding, a ``yolo_msgs/DetectionArray``
and a ``vision_msgs/Detection2DArray`` have detections. Names and scores come with those, with a
Detection2DArray beside a label image, or with the names of ``vision_msgs/LabelInfo``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np

from sam3d_ros.errors import EncodingError, MaskSizeError
from sam3d_ros.geometry.cameras import same_aspect
from sam3d_ros.ros.decode import labels_from_msg
from sam3d_ros.structures import Bools, Floats, InstanceMask, Ints, window_of

DetectionMsg: TypeAlias = Any  # of vision_msgs or of yolo_msgs, of rclpy or of rosbags
Size: TypeAlias = tuple[int, int]  # width, height

MAX_INSTANCES = 255  # as many as the smallest label image can tell apart
MAX_ID = 2**31 - 1  # as large as the pixels of a label image
MAX_DIGITS = 10
MAX_NAME = 64  # letters of a class
MIN_BOX_IOU = 0.3  # of a detection and the box around its mask: boxes are drawn loosely
SIGNS = ((-1, -1), (1, -1), (1, 1), (-1, 1))  # of the corners of a box
HALF_PX = 0.5  # from the edge of a box to the middles of the pixels that it covers
NO_CORNERS = np.zeros((0, 2))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Provided:
    """What says where the objects of an image are, and what they are."""

    masks: Any  # Image, yolo_msgs/DetectionArray or vision_msgs/Detection2DArray
    detections: Any = None  # vision_msgs/Detection2DArray beside an Image
    label_info: Any = None  # vision_msgs/LabelInfo

    @property
    def is_image(self) -> bool:
        """Whether it is a label image; calls may bring one whatever ``masks.mode`` is."""
        return hasattr(self.masks, "encoding")


def instances_from(provided: Provided, size: Size, mode: str) -> tuple[InstanceMask, ...]:
    """Return the masks of a frame, of the size of its image; boxes are filled rectangles.

    Raises:
        MaskSizeError: The aspect ratio is another than that of the image.
        EncodingError: The message cannot be read, or has more instances than any scene.
    """
    names = _names(provided.label_info)
    if provided.is_image:
        found = masks_from_labels(labels_from_msg(provided.masks), *size, mode)
        return described(found, provided.detections, names)
    if mode == "yolo":
        return masks_from_polygons(provided.masks.detections, size)
    return masks_from_boxes(provided.masks.detections, size, names)


def masks_from_labels(
    labels: Ints, width: int, height: int, mode: str = "label_image"
) -> tuple[InstanceMask, ...]:
    """Split a label image ``(h, w)`` into one mask per id, of the size of the image.

    What is below 0 is background like 0: -1 is what many providers call unknown.
    Labels of another size but the same aspect ratio are resized to the nearest and flagged.

    Raises:
        MaskSizeError: The aspect ratio differs.
        EncodingError: There are more ids than any scene has objects.
    """
    mask_height, mask_width = labels.shape
    is_resized = _is_resized((mask_width, mask_height), (width, height))
    if is_resized:
        labels = np.asarray(
            cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        ).astype(np.int32)
    if mode == "binary":
        labels = (labels != 0).astype(np.int32)
    ids = np.unique(labels[labels > 0])  # most of an image is background
    if len(ids) > MAX_INSTANCES:
        raise EncodingError(
            f"the mask image must have at most {MAX_INSTANCES} ids, has {len(ids)} from {ids[0]} "
            f"to {ids[-1]}; check that it is a label image, and that no depth or colour image is "
            "remapped to its topic"
        )
    return tuple(
        InstanceMask(instance_id=int(label), mask=labels == label, resized=is_resized)
        for label in ids
    )


def masks_from_polygons(detections: Sequence[DetectionMsg], size: Size) -> tuple[InstanceMask, ...]:
    """Fill the polygons of ``yolo_msgs/Detection``; one without becomes an empty mask.

    Raises:
        MaskSizeError: They were drawn in an image of another aspect ratio.
        EncodingError: No detection has a polygon, or there are too many.
    """
    _check_number(detections)
    if detections and not any(len(each.mask.data) for each in detections):
        raise EncodingError(
            f"none of {len(detections)} detections has a polygon in its mask; let the detector "
            "use a model that segments (yolo...-seg), or set masks.mode to detections"
        )
    return tuple(
        replace(
            _filled(_polygon(each), number, size),
            class_id=_class(each.class_name) or "object",
            score=float(each.score),
        )
        for number, each in zip(_numbers(detections), detections, strict=True)
    )


def masks_from_boxes(
    detections: Sequence[DetectionMsg], size: Size, names: Mapping[int, str]
) -> tuple[InstanceMask, ...]:
    """Fill the boxes of ``vision_msgs/Detection2D``.

    Raises:
        EncodingError: There are too many.
    """
    _check_number(detections)
    return tuple(
        _described(_boxed(number, each, size), each, names)
        for number, each in zip(_numbers(detections), detections, strict=True)
    )


def described(
    masks: Sequence[InstanceMask], detections: Any, names: Mapping[int, str]
) -> tuple[InstanceMask, ...]:
    """Give masks of a label image the class and score of their detections, where there are any.

    Those belong together by id, where the ids of the detections are values of the image; else by
    their boxes; without boxes, in their order. A mask without has the name of its value.
    """
    named = [replace(mask, class_id=names.get(mask.instance_id, mask.class_id)) for mask in masks]
    if detections is None:
        return tuple(named)
    of_mask = _partners(named, detections.detections)
    return tuple(
        _described(mask, of_mask[place], names) if place in of_mask else mask
        for place, mask in enumerate(named)
    )


def _partners(
    masks: Sequence[InstanceMask], detections: Sequence[DetectionMsg]
) -> dict[int, DetectionMsg]:
    """Return the detection of each mask that has one, by the place of the mask."""
    places = {mask.instance_id: place for place, mask in enumerate(masks)}
    numbers = _given_numbers(detections)
    if numbers and set(numbers) <= places.keys():
        return {places[number]: each for number, each in zip(numbers, detections, strict=True)}
    if not any(each.bbox.size_x > 0 for each in detections):
        is_complete = len(masks) == len(detections)
        return dict(enumerate(detections)) if is_complete else {}
    pairs = [
        (-_box_iou(mask.mask, each), abs(place - order), place, order)
        for place, mask in enumerate(masks)
        for order, each in enumerate(detections)
    ]
    found: dict[int, int] = {}
    for negative_iou, _, place, order in sorted(pairs):
        if -negative_iou >= MIN_BOX_IOU and place not in found and order not in found.values():
            found[place] = order
    return {place: detections[order] for place, order in found.items()}


def _described(
    mask: InstanceMask, detection: DetectionMsg, names: Mapping[int, str]
) -> InstanceMask:
    """Take over class and score of the likeliest hypothesis of a ``vision_msgs/Detection2D``."""
    hypotheses = [result.hypothesis for result in detection.results]
    if not hypotheses:
        return mask
    best = max(hypotheses, key=lambda each: each.score)
    number = _number(best.class_id)
    name = best.class_id if number is None else names.get(number, best.class_id)
    return replace(mask, class_id=_class(name) or mask.class_id, score=float(best.score))


def _names(label_info: Any) -> dict[int, str]:
    """Return the names of ``vision_msgs/LabelInfo`` by their number."""
    if label_info is None:
        return {}
    named = {int(each.class_id): _class(each.class_name) for each in label_info.class_map}
    return {number: name for number, name in named.items() if name}


def _class(name: str) -> str:
    """Return the name of a class as frames and files can have it in theirs."""
    return name.strip()[:MAX_NAME]


def _numbers(detections: Sequence[DetectionMsg]) -> list[int]:
    """Return the ids that a tracker gave where all are numbers, else 1, 2, 3."""
    return _given_numbers(detections) or list(range(1, len(detections) + 1))


def _given_numbers(detections: Sequence[DetectionMsg]) -> list[int]:
    ids = [_number(each.id) for each in detections]
    given = [each for each in ids if each is not None and 0 < each <= MAX_ID]
    return given if len(set(given)) == len(detections) else []


def _number(text: str) -> int | None:
    """Return the number that a text is; None for all others."""
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def _check_number(detections: Sequence[DetectionMsg]) -> None:
    if len(detections) > MAX_INSTANCES:
        raise EncodingError(
            f"there must be at most {MAX_INSTANCES} detections, got {len(detections)}; raise the "
            "detector's threshold"
        )


def _polygon(detection: DetectionMsg) -> tuple[Floats, Size]:
    """Return the corners ``(N, 2)`` of a ``yolo_msgs/Mask`` and the size of its image."""
    mask = detection.mask
    corners = np.array([(point.x, point.y) for point in mask.data], dtype=np.float64)
    return corners.reshape(-1, 2), (int(mask.width), int(mask.height))


def _filled(polygon: tuple[Floats, Size], number: int, size: Size) -> InstanceMask:
    corners, drawn_in = polygon
    is_resized = min(drawn_in) > 0 and _is_resized(drawn_in, size)
    if is_resized:
        corners = (corners + 0.5) * (np.array(size) / drawn_in) - 0.5
    return replace(_instance(number, _drawn(corners, size)), resized=is_resized)


def _instance(number: int, mask: Bools) -> InstanceMask:
    return InstanceMask(instance_id=number, mask=mask)


def _boxed(number: int, detection: DetectionMsg, size: Size) -> InstanceMask:
    """Return a filled box; what is outside the image or no box has neither a pixel nor a box."""
    instance = _instance(number, _drawn(_corners(detection, HALF_PX), size))
    if not instance.mask.any():
        return instance
    # Corners are where middles of pixels have integers, boxes where their edges have.
    edges = np.clip(_corners(detection) + HALF_PX, 0.0, np.array(size, dtype=np.float64))
    box_px = np.concatenate((edges.min(axis=0), edges.max(axis=0)))
    return replace(instance, box_px=box_px, is_box=True)


def _corners(detection: DetectionMsg, margin_px: float = 0.0) -> Floats:
    """Return the corners ``(4, 2)`` of a ``vision_msgs/BoundingBox2D``; none if it has no size."""
    box = detection.bbox
    if not (box.size_x > 0 and box.size_y > 0):
        return NO_CORNERS
    turn = np.array([np.cos(box.center.theta), np.sin(box.center.theta)])
    right = turn * max(box.size_x / 2 - margin_px, 0.0)
    down = np.array([-turn[1], turn[0]]) * max(box.size_y / 2 - margin_px, 0.0)
    middle = np.array([box.center.position.x, box.center.position.y]) - 0.5
    return np.array(
        [middle + x * right + y * down for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    )


def _drawn(corners: Floats, size: Size) -> Bools:
    """Fill a polygon ``(N, 2)`` of pixels; empty where it is none."""
    width, height = size
    canvas = np.zeros((height, width), dtype=np.uint8)
    if len(corners) >= 3 and np.isfinite(corners).all():
        # OpenCV overflows far outside the image; nothing there is drawn anyway.
        limits = 4.0 * np.array(size)
        cv2.fillPoly(canvas, [np.rint(np.clip(corners, -limits, limits)).astype(np.int32)], 1)
    return canvas > 0


def _box_iou(mask: Bools, detection: DetectionMsg) -> float:
    """Return the overlap of the boxes around a mask and a detection."""
    corners = _corners(detection)
    if not mask.any() or not len(corners) or not np.isfinite(corners).all():
        return 0.0
    rows, columns = window_of(mask)
    low = np.array([columns.start, rows.start]) - 0.5
    high = np.array([columns.stop, rows.stop]) - 0.5
    other_low, other_high = corners.min(axis=0), corners.max(axis=0)
    shared = np.prod(np.clip(np.minimum(high, other_high) - np.maximum(low, other_low), 0, None))
    return float(shared / (np.prod(high - low) + np.prod(other_high - other_low) - shared))


def _is_resized(drawn_in: Size, image: Size) -> bool:
    """Tell whether masks have another size than their image.

    Raises:
        MaskSizeError: The aspect ratio differs, too.
    """
    if not same_aspect(drawn_in, image):
        raise MaskSizeError(
            f"the mask of {drawn_in[0]}x{drawn_in[1]} differs in aspect ratio from the image of "
            f"{image[0]}x{image[1]}; send masks of the image that the node gets, without "
            "cropping or padding"
        )
    return drawn_in != image
