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

"""People as they are asked about, checked, and the squares of the image that show them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sam3d_ros.body.crop import (
    BODY_PADDING,
    HAND_PADDING,
    box_of_mask,
    check_box,
    crop_affines,
    crop_squares,
    cut,
    mirrored_boxes,
)
from sam3d_ros.body.views import CropViews
from sam3d_ros.errors import MaskEmptyError, SelectionError
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bools, Bytes, Camera, Floats
from sam3d_ros.structures.people import NUM_KEYPOINTS, PersonPrompt

MIN_MASK_PIXELS = 16  # fewer show nobody


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AskedPerson:
    """Somebody the model can be asked about."""

    box_px: Floats  # (4,)
    mask: Bools | None  # (H, W)
    prompts: Floats  # (K, 3) x and y in [0, 1] of the crop, which keypoint


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Squares:
    """Squares of an image, cut out."""

    centers_px: Floats  # (N, 2)
    sides_px: Floats  # (N,)
    crop_from_image: Floats  # (N, 2, 3)
    pixels: Bytes  # (N, S, S, 3)

    def views(self, camera: Camera, device: torch.device) -> CropViews:
        """Return where they lie, as tensors."""
        arrays = (self.crop_from_image, self.centers_px, self.sides_px, camera.matrix_px)
        affines, centers, sides, matrix = (
            torch.from_numpy(np.asarray(each, dtype=np.float32)).to(device) for each in arrays
        )
        return CropViews(
            crop_from_image=affines,
            centers_px=centers,
            sides_px=sides,
            matrix_px=matrix,
            size=self.pixels.shape[1],
        )


def asked_person(person: PersonPrompt, camera: Camera) -> AskedPerson:
    """Check what marks a person; unmarked ones fill the image.

    Raises:
        MaskEmptyError: The mask has (almost) no pixels.
        SelectionError: The box shows nothing of the image, or keypoints are not in its crop.
    """
    box_px = person.box_px
    # Masks of files and of OpenCV are 0 and 255: the mask encoder takes 0 and 1.
    mask = None if person.mask is None else np.asarray(person.mask) != 0
    if mask is not None:
        _check_mask(mask)
        box_px = box_of_mask(mask) if box_px is None else box_px
    if box_px is None:
        box_px = np.array([0.0, 0.0, camera.width, camera.height])
    check_box(box_px, camera)
    return AskedPerson(
        box_px=np.asarray(box_px, dtype=np.float64),
        mask=mask,
        prompts=_prompts(person.keypoints_px, box_px),
    )


def _check_mask(mask: Bools) -> None:
    num_pixels = int(mask.sum())
    if num_pixels < MIN_MASK_PIXELS:
        raise MaskEmptyError(
            f"the mask of a person must have at least {MIN_MASK_PIXELS} pixels, has {num_pixels}; "
            "check the mask provider"
        )


def _prompts(keypoints_px: Floats | None, box_px: Floats) -> Floats:
    """Return keypoints ``(K, 3)`` of the image in units of the crop, from 0 to 1."""
    if keypoints_px is None:
        return np.zeros((0, 3))
    check_shape(keypoints_px, "K 3", "keypoints_px")
    centers, sides = crop_squares(np.asarray(box_px)[None], BODY_PADDING)
    prompts = np.array(keypoints_px, dtype=np.float64)
    prompts[:, :2] = (prompts[:, :2] - centers[0]) / sides[0] + 0.5
    for (x, y, label), (across, down, _) in zip(keypoints_px, prompts, strict=True):
        if label not in range(NUM_KEYPOINTS):
            raise SelectionError(
                f"keypoints must be numbered from 0 to {NUM_KEYPOINTS - 1} (MHR70), got {label:g}"
            )
        if not (0 <= across <= 1 and 0 <= down <= 1):
            (left, top), (right, bottom) = (centers[0] + half * sides[0] for half in (-0.5, 0.5))
            raise SelectionError(
                f"keypoint {label:g} at ({x:g}, {y:g}) is not in the crop of its person, which is "
                f"from ({left:g}, {top:g}) to ({right:g}, {bottom:g}); leave it out, or give the "
                "box that it belongs to"
            )
    return prompts


def cut_bodies(rgb: Bytes, people: Sequence[AskedPerson], size: int) -> tuple[Squares, Bytes]:
    """Return the squares around people, and their masks ``(N, S, S)`` of 0 and 1 there."""
    squares = _cut(rgb, np.stack([person.box_px for person in people]), BODY_PADDING, size)
    masks = np.zeros((len(people), size, size), dtype=np.uint8)
    for place, person in enumerate(people):
        if person.mask is not None:
            affine = squares.crop_from_image[place : place + 1]
            masks[place] = cut(person.mask.astype(np.uint8), affine, size)[0]
    return squares, masks


def cut_hands(rgb: Bytes, boxes_px: Floats, size: int) -> Squares:
    """Return the squares of left hands in the mirrored image, then those of right hands.

    A quirk of the release that answers like its own need (body_spec 11.3): squares of the mirrored
    image go with the camera matrix of the image as it is. Its principal point is not mirrored, so
    that rays of left hands are aside by twice that point's distance from the middle of the image.

    Args:
        rgb: ``(H, W, 3)``.
        boxes_px: ``(N, 2, 4)`` around the left and the right hand of each person, in the image.
        size: Of the squares when they are cut, pixels.
    """
    mirrored = np.ascontiguousarray(rgb[:, ::-1])
    left = _cut(mirrored, mirrored_boxes(boxes_px[:, 0], rgb.shape[1]), HAND_PADDING, size)
    right = _cut(rgb, boxes_px[:, 1], HAND_PADDING, size)
    return Squares(
        centers_px=np.concatenate((left.centers_px, right.centers_px)),
        sides_px=np.concatenate((left.sides_px, right.sides_px)),
        crop_from_image=np.concatenate((left.crop_from_image, right.crop_from_image)),
        pixels=np.concatenate((left.pixels, right.pixels)),
    )


def _cut(rgb: Bytes, boxes_px: Floats, padding: float, size: int) -> Squares:
    centers, sides = crop_squares(boxes_px, padding)
    affines = crop_affines(centers, sides, size)
    return Squares(
        centers_px=centers,
        sides_px=sides,
        crop_from_image=affines,
        pixels=cut(rgb, affines, size),
    )
