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

"""Where an object is said to be, while the camera moves, frames change and time goes back."""

from dataclasses import dataclass

import numpy as np
import pytest
from worlds import at, ns

from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.whereabouts import Moment, Whereabouts
from sam3d_ros.structures import Floats, Similarity

PLACE = at(0.3, -0.1, 0.05, 0.7)  # fixed_from_object
BIAS_M = 0.006  # each viewpoint sees it that much too near
KNOWN_WELL = np.diag([1e-7] * 3 + [1e-5] * 3 + [0.0])


@dataclass(frozen=True)
class View:
    """A camera that looks at the place from one side."""

    degrees: float

    @property
    def fixed_from_camera(self) -> Similarity:
        side = rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), np.radians(self.degrees))
        looking = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
        eye = PLACE.translation_m + side @ np.array([1.0, 0.0, 0.0])
        return Similarity(side @ looking, eye)

    def moment(self, seconds: float, *, is_fixed: bool = True) -> Moment:
        pose = self.fixed_from_camera if is_fixed else None
        return Moment(stamp_ns=ns(seconds), fixed_from_camera=pose)

    def measured(self, place: Similarity = PLACE, bias_m: float = BIAS_M) -> Similarity:
        """Return ``camera_from_object``, too near by the bias."""
        seen = self.fixed_from_camera.inverse() @ place
        return Similarity(seen.rotation, seen.translation_m - [0.0, 0.0, bias_m])


def off_m(where: Similarity, place: Similarity) -> float:
    return float(np.linalg.norm(where.translation_m - place.translation_m))


def circled(num: int = 8, covariance: Floats = KNOWN_WELL) -> Whereabouts:
    """Return what was seen from all around."""
    views = [View(360.0 * index / num) for index in range(num)]
    where = Whereabouts(views[0].measured(), covariance, views[0].moment(0.0))
    for index, view in enumerate(views[1:], start=1):
        where.place(view.measured(), covariance, view.moment(index / 100))
    return where


def test_seen_from_all_sides_it_is_where_all_of_them_together_saw_it() -> None:
    where = circled()
    assert where.is_fixed
    assert off_m(where.newest, PLACE) < 1e-4


def test_a_pose_without_covariance_counts_like_any_other_of_its_kind() -> None:
    assert off_m(circled(covariance=np.zeros((7, 7))).newest, PLACE) < 1e-4


def test_in_another_frame_of_its_own_the_next_measurement_alone_says_where_it_is() -> None:
    where, view, change = circled(), View(300.0), at(0.003, 0.0, 0.002, 0.01)
    before = where.newest
    where.reframe(change)
    assert off_m(where.newest, before @ change) < 1e-9
    where.place(view.measured(PLACE @ change), KNOWN_WELL, view.moment(8.0))
    assert off_m(where.newest, PLACE @ change) == pytest.approx(BIAS_M, abs=1e-9)


def test_a_measurement_weighs_as_its_covariance_says() -> None:
    poorly = np.diag([4e-4] * 3 + [1e-2] * 3 + [0.0])
    where, view = circled(num=4), View(45.0)
    aside = PLACE @ at(0.0, 0.02, 0.0)
    for seconds in (1.0, 2.0):
        where.place(view.measured(aside, bias_m=0.0), poorly, view.moment(seconds))
        assert off_m(where.newest, PLACE) < 0.002


def test_a_guess_elsewhere_is_where_it_is_measured_until_a_mask_says_otherwise() -> None:
    where, view = circled(), View(45.0)
    elsewhere = at(0.6, 0.2, 0.05)
    where.place(view.measured(elsewhere, bias_m=0.0), KNOWN_WELL, view.moment(9.0), is_guess=True)
    assert off_m(where.newest, elsewhere) < 1e-9
    where.place(view.measured(), KNOWN_WELL, view.moment(9.1))
    assert off_m(where.newest, PLACE) < 0.001


def test_what_is_pushed_goes_on_as_fast_as_measurements_say() -> None:
    where, view, metres_per_s = circled(), View(0.0), 0.4
    for image in range(1, 4):  # from rest, 30 images a second
        along = PLACE @ at(metres_per_s * image / 30, 0.0, 0.0)
        where.place(view.measured(along, bias_m=0.0), KNOWN_WELL, view.moment(1.0 + image / 30))
    expected = PLACE @ at(metres_per_s * 4 / 30, 0.0, 0.0)
    assert off_m(where.at(ns(1.0 + 4 / 30)), expected) < 0.003


def test_back_in_time_it_is_where_it_was_last_and_then_where_it_is_measured() -> None:
    where, view = circled(), View(45.0)
    last = where.newest
    where.go_back(ns(1.0))
    assert off_m(where.at(ns(1.0)), last) == 0.0
    moved = PLACE @ at(0.004, 0.0, 0.0)
    where.place(view.measured(moved, bias_m=0.0), KNOWN_WELL, view.moment(1.1))
    assert off_m(where.newest, moved) < 1e-9


def test_without_a_fixed_frame_it_is_where_the_camera_saw_it() -> None:
    first, second = View(0.0), View(90.0)
    where = Whereabouts(first.measured(), KNOWN_WELL, first.moment(0.0, is_fixed=False))
    where.place(second.measured(), KNOWN_WELL, second.moment(1.0, is_fixed=False))
    assert not where.is_fixed
    assert off_m(where.newest, second.measured()) < 1e-9


def test_where_the_fixed_frame_ends_and_begins_poses_are_never_mixed() -> None:
    where, view = circled(), View(30.0)
    where.place(view.measured(), KNOWN_WELL, view.moment(8.0, is_fixed=False))
    assert not where.is_fixed
    assert off_m(where.at(ns(8.0)), view.measured()) < 1e-9
    where.place(view.measured(), KNOWN_WELL, view.moment(9.0))
    assert where.is_fixed
    assert off_m(where.at(ns(9.0)), PLACE) == pytest.approx(BIAS_M, abs=1e-9)


def test_a_late_measurement_that_differs_much_moves_what_was_followed_since() -> None:
    view = View(0.0)
    where = Whereabouts(view.measured(), KNOWN_WELL, view.moment(0.0))
    for tenth in range(1, 11):
        where.place(view.measured(), KNOWN_WELL, view.moment(tenth / 10))
    aside = PLACE @ at(0.0, 0.03, 0.0)
    where.place(view.measured(aside), KNOWN_WELL, view.moment(0.5))
    assert off_m(where.at(ns(1.0)), aside) == pytest.approx(BIAS_M, abs=1e-6)
