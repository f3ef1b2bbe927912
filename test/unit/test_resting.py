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

"""What rests is where all viewpoints saw it; what is moved is where it was seen last."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.motion import turn_rad
from sam3d_ros.scene.resting import CARRIED_M, MAX_VIEWPOINTS, PUSHED_M, Estimate, RestingPlace
from sam3d_ros.structures import NS_PER_S, Floats, Similarity

UP = np.array([0.0, 0.0, 1.0])


def pose(*place_m: float, yaw_rad: float = 0.0) -> Similarity:
    return Similarity(rotation_from_axis_angle(UP, yaw_rad), np.array(place_m))


def camera_at(degrees: float) -> Floats:
    """Return a place on a circle of 1 m around the origin."""
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.5])


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A resting place, and what it says."""

    place: RestingPlace = field(default_factory=RestingPlace)

    def at(
        self,
        stamp_ns: int,
        pose_seen: Similarity,
        degrees: float,
        sigma_m: float = 5e-4,
        *,
        is_guess: bool = False,
    ) -> Similarity:
        measured = Estimate(pose=pose_seen, sigma_m=sigma_m, sigma_rad=10.0 * sigma_m)
        camera_m = camera_at(degrees)
        return self.place.take_in(measured, camera_m, stamp_ns, is_guess=is_guess)


def off_m(first: Similarity, second: Similarity) -> float:
    return float(np.linalg.norm(first.translation_m - second.translation_m))


def circled(num: int, bias_m: float = 0.006) -> tuple[Watched, Similarity]:
    """Return what is at the origin, seen from all around and each time too near to the camera."""
    place = Watched()
    for index in range(num):
        degrees = 360.0 * index / num
        towards = np.append(camera_at(degrees)[:2], 0.0)
        last = place.at(index, pose(*(bias_m * towards)), degrees)
    return place, last


def rested(num: int = 4, x_m: float = 0.0, since: float = 0.0) -> Watched:
    """Return what was seen from all around at the same place."""
    place = Watched()
    for index in range(num):
        place.at(index, pose(x_m, 0.0, 0.0), since + 360.0 * index / num)
    return place


def test_one_viewpoint_shows_it_where_it_is_measured() -> None:
    place = Watched()
    for index, x_m in enumerate((0.0, 0.002, -0.001)):
        at = pose(x_m, 0.0, 0.0, yaw_rad=x_m)
        found = place.at(index, at, degrees=index)
        assert off_m(found, at) == 0.0
        assert turn_rad(found, at) == pytest.approx(0.0, abs=1e-7)


def test_faults_of_viewpoints_cancel() -> None:
    _, found = circled(num=8)
    assert off_m(found, pose(0.0, 0.0, 0.0)) < 1e-6


def test_turns_are_averaged_the_short_way_round() -> None:
    place = Watched()
    for index, yaw_rad in enumerate((np.pi - 0.04, -np.pi + 0.04, np.pi, np.pi)):
        found = place.at(index, pose(0.0, 0.0, 0.0, yaw_rad=yaw_rad), 90.0 * index)
    assert turn_rad(found, pose(0.0, 0.0, 0.0, yaw_rad=np.pi)) < 1e-6


def test_what_is_uncertain_says_less_and_is_no_sign_of_a_move() -> None:
    place = rested(4)
    for index in range(3):
        found = place.at(4 + index, pose(0.02, 0.0, 0.0), degrees=45.0, sigma_m=0.02)
        assert 0.0 < off_m(found, pose(0.0, 0.0, 0.0)) < 0.001


def test_what_is_more_certain_takes_the_place_of_what_was_seen_from_there() -> None:
    place = Watched()
    place.at(0, pose(0.005, 0.0, 0.0), degrees=0.0, sigma_m=0.003)
    place.at(1, pose(0.0, 0.0, 0.0), degrees=90.0)
    found = place.at(2, pose(0.0, 0.0, 0.0), degrees=0.0)
    assert off_m(found, pose(0.0, 0.0, 0.0)) < 1e-9


def test_many_images_of_one_viewpoint_do_not_outvote_another() -> None:
    place = Watched()
    place.at(0, pose(0.006, 0.0, 0.0), degrees=90.0)
    for index in range(200):
        found = place.at(1 + index, pose(0.0, 0.0, 0.0), degrees=0.0)
    assert off_m(found, pose(0.003, 0.0, 0.0)) < 1e-4


def test_only_the_newest_viewpoints_count() -> None:
    place = rested(MAX_VIEWPOINTS, x_m=0.004)
    for index in range(MAX_VIEWPOINTS):
        degrees = 15.0 + 360.0 * index / MAX_VIEWPOINTS
        found = place.at(20 + index, pose(0.0, 0.0, 0.0), degrees)
    assert off_m(found, pose(0.0, 0.0, 0.0)) < 1e-9


@pytest.mark.parametrize(("seconds", "most_m"), [(100, 0.007), (300, 0.002)])
def test_a_small_move_that_nobody_saw_is_not_denied_for_ever(seconds: int, most_m: float) -> None:
    place, moved = rested(11), pose(0.010, 0.0, 0.0)
    assert off_m(place.at(NS_PER_S, moved, degrees=16.0), moved) > 0.005
    found = place.at((1 + seconds) * NS_PER_S, moved, degrees=16.0)
    assert off_m(found, moved) < most_m


def test_what_is_pushed_is_at_once_where_it_is_measured() -> None:
    place, _ = circled(num=4)
    pushed = pose(0.006 + 0.008, 0.0, 0.0)
    assert off_m(place.at(10, pushed, degrees=2.0), pushed) == 0.0
    assert off_m(place.at(11, pushed, degrees=2.0), pushed) == 0.0
    on = pose(0.022, 0.0, 0.0)
    assert off_m(place.at(12, on, degrees=2.0), on) == 0.0


def test_one_image_that_is_wrong_is_forgotten_with_the_next() -> None:
    place, before = circled(num=4)
    place.at(10, pose(0.006 + 0.008, 0.0, 0.0), degrees=0.0)
    found = place.at(11, pose(0.006, 0.0, 0.0), degrees=0.0)
    assert place.place.is_mean
    assert off_m(found, before) < 1e-6


def test_the_fault_of_one_viewpoint_is_shown_by_none() -> None:
    place = rested(3)
    place.at(10, pose(0.0115, 0.0, 0.0), degrees=60.0)  # a side of which the mesh is wrong
    wandered = pose(0.0154, 0.0, 0.0)  # as it was seen from there before, and far from the mean
    assert off_m(place.at(11, wandered, degrees=60.0), wandered) > 0.008


def test_what_is_pushed_slowly_is_never_left_far_behind() -> None:
    place = rested(4)
    for step in range(1, 60):
        at = pose(0.0005 * step, 0.0, 0.0)
        found = place.at(10 + step, at, degrees=2.0)
        assert off_m(found, at) <= PUSHED_M
    assert off_m(found, at) == 0.0


def test_what_leaves_the_mean_of_all_was_moved_though_its_own_side_had_seen_it_aside() -> None:
    place = rested(11)
    aside = pose(CARRIED_M - 0.001, 0.0, 0.0)
    place.at(20, aside, degrees=16.0)
    moved = pose(CARRIED_M + 0.004, 0.0, 0.0)  # less than PUSHED_M from there
    place.at(21, moved, degrees=16.0)
    assert off_m(place.at(22, moved, degrees=16.0), moved) == 0.0


def test_what_was_carried_elsewhere_unseen_is_where_it_is_measured() -> None:
    place, _ = circled(num=4)
    carried = pose(0.0, 0.05, 0.0)
    assert off_m(place.at(10, carried, degrees=45.0), carried) == 0.0


def test_what_was_turned_unseen_is_where_it_is_measured() -> None:
    turned = pose(0.0, 0.0, 0.0, yaw_rad=1.0)
    found = rested(4).at(10, turned, degrees=45.0)
    assert turn_rad(found, turned) == pytest.approx(0.0, abs=1e-7)


def test_one_viewpoint_alone_is_doubted_and_two_are_believed() -> None:
    place, before = rested(4), pose(0.0, 0.0, 0.0)
    elsewhere = pose(0.0, 0.03, 0.0)
    assert off_m(place.at(10, elsewhere, degrees=30.0), before) < 1e-9
    assert off_m(place.at(11, elsewhere, degrees=30.5), before) < 1e-9
    assert off_m(place.at(12, before, degrees=60.0), before) < 1e-9
    assert off_m(place.at(13, elsewhere, degrees=120.0), before) < 1e-9
    assert off_m(place.at(14, elsewhere, degrees=150.0), elsewhere) == 0.0


def test_two_viewpoints_that_are_off_each_in_its_own_way_are_not_believed() -> None:
    place = rested(4)
    place.at(NS_PER_S, pose(0.013, 0.006, 0.0), 130.0)
    found = place.at(2 * NS_PER_S, pose(0.013, -0.006, 0.0), 220.0)
    assert place.place.is_mean
    assert off_m(found, pose(0.0, 0.0, 0.0)) < 1e-3
    found = place.at(3 * NS_PER_S, pose(0.013, -0.006, 0.0), 310.0)  # and this one says it again
    assert off_m(found, pose(0.013, -0.006, 0.0)) < 1e-3


def test_where_one_viewpoint_only_says_where_it_is_the_next_is_believed_at_once() -> None:
    place, moved = Watched(), pose(0.012, 0.0, 0.0)
    place.at(0, pose(0.0, 0.0, 0.0), degrees=0.0)
    assert off_m(place.at(1, moved, degrees=2.0), moved) == 0.0
    assert off_m(place.at(2, pose(0.012, 0.004, 0.0), degrees=90.0), moved) == pytest.approx(0.002)


def test_one_viewpoint_that_goes_on_saying_it_is_believed() -> None:
    place, elsewhere = rested(4), pose(0.0, 0.03, 0.0)
    place.at(10, elsewhere, degrees=30.0)
    found = place.at(10 + NS_PER_S, elsewhere, degrees=30.5)
    assert off_m(found, elsewhere) == 0.0


def test_a_late_measurement_from_before_a_push_changes_nothing() -> None:
    place = rested(4)
    pushed, late = pose(0.1, 0.0, 0.0), pose(0.001, 0.0, 0.0)
    place.at(20, pushed, degrees=0.0)
    place.at(21, pose(0.1, 0.004, 0.0), degrees=90.0)
    assert off_m(place.at(15, late, degrees=90.0), late) == 0.0
    assert off_m(place.at(22, pushed, degrees=0.0), pose(0.1, 0.002, 0.0)) < 1e-6


def test_a_guess_that_agrees_is_shown_by_all_and_says_nothing_itself() -> None:
    place, before = rested(4), pose(0.0, 0.0, 0.0)
    guess = pose(0.008, 0.0, 0.0)
    assert off_m(place.at(10, guess, degrees=45.0, is_guess=True), before) < 1e-9
    assert off_m(place.at(11, before, degrees=0.0), before) < 1e-9


def test_a_guess_elsewhere_is_shown_and_forgets_nothing() -> None:
    place, before = rested(4), pose(0.0, 0.0, 0.0)
    guess = pose(0.3, 0.0, 0.0)
    assert off_m(place.at(10, guess, degrees=45.0, is_guess=True), guess) == 0.0
    assert off_m(place.at(11, pose(0.004, 0.0, 0.0), degrees=135.0), before) < 0.001


def test_a_guess_alone_is_where_it_is_measured_and_begins_nothing() -> None:
    place = Watched()
    guess, sure = pose(0.008, 0.0, 0.0), pose(0.0, 0.0, 0.0)
    assert off_m(place.at(0, guess, degrees=0.0, is_guess=True), guess) == 0.0
    assert off_m(place.at(1, sure, degrees=90.0), sure) == 0.0


def slid(speed_m_per_s: float, hz: float = 30.0) -> list[float]:
    """Return how far behind a thing is shown that begins to slide, seen by a camera that flies."""
    place = rested(4)
    shown_behind_m = []
    for index in range(1, 40):
        since_s = index / hz
        true = pose(speed_m_per_s * max(0.0, since_s - 0.5), 0.0, 0.0)
        shown = place.at(int(since_s * NS_PER_S), true, degrees=30.0 * since_s, sigma_m=0.003)
        shown_behind_m.append(off_m(shown, true))
    return shown_behind_m


@pytest.mark.parametrize("speed_m_per_s", [0.05, 0.2, 0.5])
def test_what_begins_to_move_is_soon_shown_where_it_is(speed_m_per_s: float) -> None:
    behind_m = slid(speed_m_per_s)
    # In two images, and by no more than the uncertainty of what was measured.
    assert max(behind_m) <= max(0.011, 2 * speed_m_per_s / 30.0) + 1e-9
    assert max(behind_m[-10:]) == 0.0


def test_one_wrong_image_is_no_motion() -> None:
    place = rested(4)
    for index in range(1, 12):
        x_m = 0.02 if index == 6 else 0.0
        shown = place.at(index * NS_PER_S // 30, pose(x_m, 0.0, 0.0), degrees=5.0 + 6.0 * index)
        assert off_m(shown, pose(0.0, 0.0, 0.0)) < 1e-9


def test_what_the_way_of_a_camera_explains_is_no_motion() -> None:
    place = rested(4)
    # A fault of 8 mm, of this side, that shows while the side comes into view.
    for index in range(1, 10):
        drift_m = 0.008 * index / 10
        found = place.at(index * NS_PER_S // 30, pose(drift_m, 0.0, 0.0), 10.0 + 4.0 * index)
    assert place.place.is_mean
    assert off_m(found, pose(0.0, 0.0, 0.0)) < 0.5 * drift_m
