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

"""Boxes of people and the squares around them."""

import numpy as np
import pytest

from sam3d_ros.body.crop import (
    BODY_PADDING,
    box_of_mask,
    check_box,
    crop_affines,
    crop_squares,
    cut,
)
from sam3d_ros.errors import MaskEmptyError, SelectionError
from sam3d_ros.structures import Camera


def test_the_box_of_a_mask_ends_behind_its_last_pixel() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:9, 7] = mask[6, 7:11] = True

    np.testing.assert_array_equal(box_of_mask(mask), [7, 4, 11, 9])


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(MaskEmptyError, match="no pixel set among 30x20"):
        box_of_mask(np.zeros((20, 30), dtype=bool))


@pytest.mark.parametrize("box", [(640, 0, 700, 100), (0, -50, 10, 0), (-20, 5, -1, 50)])
def test_a_box_outside_the_image_is_refused(vga: Camera, box: tuple[float, ...]) -> None:
    with pytest.raises(SelectionError, match="outside the image of 640x480"):
        check_box(np.array(box, dtype=float), vga)


@pytest.mark.parametrize(
    "box",
    [(10, 10, 10, 20), (10, 20, 30, 20), (30, 0, 10, 9), (0, 0, 1, np.nan), (0.1, 0.2, 0.4, 0.9)],
)
def test_a_box_without_extent_is_refused(vga: Camera, box: tuple[float, ...]) -> None:
    with pytest.raises(SelectionError, match="x1 < x2"):
        check_box(np.array(box, dtype=float), vga)


def test_a_box_cut_by_the_border_is_none_to_refuse(vga: Camera) -> None:
    check_box(np.array([-100.0, 400.0, 10.0, 900.0]), vga)


@pytest.mark.parametrize(
    ("width", "height", "side"), [(30, 100, 125), (75, 100, 125), (90, 60, 150)]
)
def test_the_square_holds_the_padded_box_at_the_aspect_of_a_standing_person(
    width: float, height: float, side: float
) -> None:
    boxes = np.array([[5.0, 7.0, 5.0 + width, 7.0 + height]])

    centers, sides = crop_squares(boxes, BODY_PADDING)

    np.testing.assert_allclose(centers, [[5 + width / 2, 7 + height / 2]])
    np.testing.assert_allclose(sides, side)


def test_corners_of_the_square_become_corners_of_the_crop() -> None:
    centers, sides = np.array([[40.0, 30.0]]), np.array([20.0])

    (affine,) = crop_affines(centers, sides, 64)

    np.testing.assert_allclose(affine @ [30.0, 20.0, 1.0], [0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(affine @ [50.0, 40.0, 1.0], [64.0, 64.0])


def test_beyond_the_image_a_crop_is_black() -> None:
    image = np.full((10, 10, 3), 200, dtype=np.uint8)

    (crop,) = cut(image, crop_affines(np.array([[10.0, 5.0]]), np.array([10.0]), 10), 10)

    assert (crop[:, :4] == 200).all()
    assert (crop[:, 6:] == 0).all()


def test_crops_of_no_boxes_are_none() -> None:
    centers, sides = crop_squares(np.zeros((0, 4)), BODY_PADDING)

    assert cut(np.zeros((9, 9, 3), dtype=np.uint8), crop_affines(centers, sides, 8), 8).shape == (
        0,
        8,
        8,
        3,
    )
