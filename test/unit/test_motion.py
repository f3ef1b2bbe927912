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


"""What was measured is remembered, what lies between is interpolated, what is to come predicted."""

import numpy as np
import pytest

from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.motion import HISTORY_S, Trajectory, spread_after, turn_rad
from sam3d_ros.structures import NS_PER_S, Similarity

UP = np.array([0.0, 0.0, 1.0])


def pose(x_m: float, yaw_rad: float = 0.0) -> Similarity:
    return Similarity(rotation_from_axis_angle(UP, yaw_rad), np.array([x_m, 0.0, 1.0]))


def ns(seconds: float) -> int:
    return int(seconds * NS_PER_S)


def pushed(num: int, speed: float = 0.3, turning: float = 0.0) -> Trajectory:
    """Return the path of an object that moves along x, seen ten times a second."""
    path = Trajectory(0, pose(0.0))
    for index in range(1, num):
        path.add(ns(0.1 * index), pose(0.1 * index * speed, 0.1 * index * turning))
    return path


def x_at(path: Trajectory, seconds: float) -> float:
    return float(path.at(ns(seconds)).translation_m[0])


def test_between_two_images_the_pose_is_in_between() -> None:
    path = pushed(5, speed=0.3, turning=1.0)
    assert x_at(path, 0.25) == pytest.approx(0.075)
    assert turn_rad(path.at(ns(0.25)), pose(0.0, 0.25)) == pytest.approx(0.0, abs=1e-6)


def test_what_moves_is_expected_ahead_and_comes_to_rest_unseen() -> None:
    path = pushed(5, speed=0.3, turning=1.0)
    assert x_at(path, 0.44) == pytest.approx(0.3 * 0.44, abs=2e-3)
    assert turn_rad(path.at(ns(0.44)), pose(0.0, 0.44)) < 0.01
    assert x_at(path, 3.0) == pytest.approx(x_at(path, 60.0), abs=1e-4)
    assert x_at(path, 60.0) < 0.3 * 0.8


def test_noise_is_no_motion() -> None:
    rng = np.random.default_rng(0)
    path = Trajectory(0, pose(0.0))
    for index in range(1, 30):
        path.add(ns(index / 30), pose(float(rng.normal(0, 0.0008)), float(rng.normal(0, 0.004))))
    newest = path.at(path.newest_ns)
    ahead = path.at(path.newest_ns + ns(0.2))
    np.testing.assert_array_equal(ahead.translation_m, newest.translation_m)
    np.testing.assert_array_equal(ahead.rotation, newest.rotation)


def test_the_order_in_which_poses_come_does_not_matter() -> None:
    order = np.random.default_rng(1).permutation(np.arange(1, 10))
    shuffled = Trajectory(0, pose(0.0))
    for index in order:
        shuffled.add(ns(0.1 * index), pose(0.03 * index))
    for seconds in (0.05, 0.42, 0.9, 1.2):
        assert x_at(shuffled, seconds) == pytest.approx(x_at(pushed(10), seconds))


def test_a_second_pose_of_one_stamp_replaces_the_first() -> None:
    path = pushed(5)
    path.add(ns(0.4), pose(0.2))
    assert len(path) == 5
    assert x_at(path, 0.4) == pytest.approx(0.2)


def test_history_is_bounded_and_still_reaches_back() -> None:
    path = Trajectory(0, pose(0.0))
    for index in range(1, 60 * 30):
        path.add(ns(index / 30), pose(index / 30 * 0.1))
    assert len(path) < 250
    then_s = 59.0 - 0.9 * HISTORY_S
    assert x_at(path, then_s) == pytest.approx(0.1 * then_s, abs=2e-3)


def test_what_is_older_than_history_is_passed_over() -> None:
    path = Trajectory(ns(100), pose(0.5))
    path.add(ns(10), pose(0.0))
    assert len(path) == 1


def test_a_new_frame_of_the_object_moves_nothing() -> None:
    path = pushed(5, turning=1.0)
    corner = np.array([0.05, 0.02, 0.01])
    object_from_new = Similarity(rotation_from_axis_angle(UP, 0.7), np.array([0.1, 0.0, 0.0]))
    before = path.at(ns(0.25)).apply(object_from_new.apply(corner))
    path.reframe(object_from_new)
    np.testing.assert_allclose(path.at(ns(0.25)).apply(corner), before, atol=2e-4)


def test_a_late_correction_carries_over_to_what_was_followed_since() -> None:
    path = pushed(11, speed=0.1)
    path.correct(ns(0.5), pose(0.05 + 0.02))
    assert x_at(path, 0.4) == pytest.approx(0.04)
    assert x_at(path, 0.5) == pytest.approx(0.07)
    assert x_at(path, 1.0) == pytest.approx(0.12)


def test_after_a_time_jump_the_last_pose_stands_at_the_new_time() -> None:
    path = pushed(5)
    path.restart(ns(-50))
    assert path.newest_ns == ns(-50)
    assert x_at(path, 0.0) == pytest.approx(0.12)


def test_uncertainty_grows_until_it_is_that_of_the_lost() -> None:
    sigmas = [spread_after(seconds, is_lost=False).sigma_m for seconds in (0.0, 0.1, 0.5, 60.0)]
    assert sigmas == sorted(sigmas)
    assert sigmas[-1] == spread_after(0.0, is_lost=True).sigma_m


def test_only_stamps_near_a_measurement_are_measured() -> None:
    path = pushed(5)
    assert path.is_measured_at(ns(0.205))
    assert not path.is_measured_at(ns(0.25))
    assert not path.is_measured_at(ns(0.9))
