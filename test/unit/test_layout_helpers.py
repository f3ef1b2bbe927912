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

"""Helpers of pose refinement: what hides an object, and what lays it over measured points."""

import numpy as np
import pytest

from sam3d_ros.errors import DepthSparseError, ShapeError
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.objects.layout import about, alignment, is_partly_hidden, mask_iou, target_points
from sam3d_ros.structures import Bools, Floats, Similarity

SIZE = 60
WALL_M: Floats = np.full((SIZE, SIZE), 2.0)


def square(first: int = 20, last: int = 40) -> Bools:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[first:last, first:last] = True
    return mask


def test_a_whole_object_before_its_background_is_not_hidden() -> None:
    assert not is_partly_hidden(square(), np.where(square(), 1.0, WALL_M))


@pytest.mark.parametrize(("first", "hidden"), [(4, True), (5, False)])
def test_an_object_is_cut_off_within_five_pixels_of_the_border(first: int, hidden: bool) -> None:
    assert is_partly_hidden(square(first, 30), WALL_M) == hidden
    assert is_partly_hidden(square(first, 30)[::-1, ::-1], WALL_M) == hidden


@pytest.mark.parametrize(("nearer_m", "hidden"), [(0.25, False), (0.35, True)])
def test_a_neighbour_covers_when_it_is_much_nearer(nearer_m: float, hidden: bool) -> None:
    depth_m = WALL_M.copy()
    depth_m[:, 40:] -= nearer_m

    assert is_partly_hidden(square(), depth_m) == hidden


def test_a_nearer_thing_that_does_not_touch_covers_nothing() -> None:
    depth_m = WALL_M.copy()
    depth_m[:, 43:] = 1.0

    assert not is_partly_hidden(square(), depth_m)


@pytest.mark.parametrize(("side", "hidden"), [(9, False), (11, True)])
def test_holes_count_from_a_hundred_pixels(side: int, hidden: bool) -> None:
    mask = square()
    mask[25 : 25 + side, 25 : 25 + side] = False

    assert is_partly_hidden(mask, WALL_M) == hidden


@pytest.mark.parametrize(("side", "hidden"), [(4, False), (5, True)])
def test_parts_count_from_twenty_five_pixels(side: int, hidden: bool) -> None:
    mask = square()
    mask[45 : 45 + side, 45 : 45 + side] = True

    assert is_partly_hidden(mask, WALL_M) == hidden


def test_depth_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match="depth_m must have shape"):
        is_partly_hidden(square(), WALL_M[:-1])


def test_alignment_gives_height_and_middle_of_the_target() -> None:
    vertices, target = np.random.default_rng(0).normal(size=(2, 50, 3))

    aligned = alignment(vertices, target).apply(vertices)

    np.testing.assert_allclose(aligned.mean(axis=0), target.mean(axis=0), atol=1e-12)
    assert np.ptp(aligned[:, 1]) == pytest.approx(np.ptp(target[:, 1]))


def test_the_target_leaves_out_the_farthest_tenth_and_the_unknown() -> None:
    points = np.zeros((SIZE, SIZE, 3))
    points[..., 2] = np.arange(SIZE)
    points[30] = np.nan

    target = target_points(points, square())

    assert np.isfinite(target).all()
    assert target[:, 2].max() == 37
    assert len(target) == 19 * 18


def test_a_target_without_points_says_what_to_do() -> None:
    with pytest.raises(DepthSparseError, match="none at its 400 pixels; check that depth"):
        target_points(np.full((SIZE, SIZE, 3), np.nan), square())


def test_a_change_about_a_centre_moves_the_centre_by_its_translation_alone() -> None:
    centre, moved_by = np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, -0.3])
    change = Similarity(rotation_from_axis_angle(np.array([1.0, 1.0, 0.0]), 0.7), moved_by, 1.5)

    np.testing.assert_allclose(about(centre, change).apply(centre), centre + moved_by)


def test_masks_overlap_by_their_common_share() -> None:
    assert mask_iou(square(20, 40), square(30, 40)) == pytest.approx(0.25)
    assert mask_iou(square(0, 0), square(0, 0)) == 0.0
