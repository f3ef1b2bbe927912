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

"""People over time: ids that last, motion without jitter, touch that holds."""

from dataclasses import replace

import numpy as np
import pytest
from bodies import VGA, person

from sam3d_ros.config import BodyConfig
from sam3d_ros.scene.people.seeing import moved
from sam3d_ros.scene.people.smoothing import Smoother
from sam3d_ros.scene.people.tracks import People
from sam3d_ros.scene.reconstructor import SeenPeople, SeenPerson
from sam3d_ros.structures import (
    NS_PER_S,
    NUM_KEYPOINTS,
    BodyReconstruction,
    Bools,
    Floats,
    Frame,
    PeopleSnapshot,
    Similarity,
)
from sam3d_ros.structures.mhr import KEYPOINT_NAMES

NOBODY = np.zeros(NUM_KEYPOINTS, dtype=bool)
PERIOD_S = 1 / 15
TOE = KEYPOINT_NAMES.index("left_big_toe")
TIP = KEYPOINT_NAMES.index("right_index_tip")
HEAD = KEYPOINT_NAMES.index("nose")


def frame_at(seconds: float, fixed_from_camera: Similarity | None = None) -> Frame:
    return Frame(
        rgb=np.zeros((VGA.height, VGA.width, 3), dtype=np.uint8),
        camera=VGA,
        stamp_ns=round(seconds * NS_PER_S),
        fixed_from_camera=fixed_from_camera,
    )


def seen(*places: tuple[float, float, float], numbers: tuple[int, ...] = ()) -> SeenPeople:
    return SeenPeople(
        people=tuple(
            SeenPerson(
                body=replace(person(place), instance_id=number),
                contacts=NOBODY,
            )
            for place, number in zip(places, numbers or range(1, 9), strict=False)
        )
    )


def ids(snapshot: PeopleSnapshot) -> list[int]:
    return [each.person_id for each in snapshot.people]


def test_two_who_walk_past_each_other_keep_their_ids() -> None:
    people = People(BodyConfig(enabled=True))
    for step in range(21):
        x = -1.0 + 0.1 * step  # 1.5 m/s
        snapshot = people.update(
            frame_at(step * PERIOD_S), seen((x, 0.0, 3.0), (-x, 0.0, 4.0), numbers=(7, 7))
        )
        by_id = {each.person_id: each.body.origin_camera for each in snapshot.people}
        assert set(by_id) == {1, 2}
        assert by_id[1][2] == pytest.approx(3.0)
        assert by_id[2][2] == pytest.approx(4.0)


def test_who_is_out_of_view_is_gone_at_once_and_comes_back_with_the_same_id_in_time() -> None:
    people = People(BodyConfig(enabled=True, lost_after=1.0))
    assert ids(people.update(frame_at(0.0), seen((0.0, 0.0, 3.0)))) == [1]
    missing = people.update(frame_at(0.5), seen())
    assert (ids(missing), missing.gone) == ([], (1,))
    assert people.update(frame_at(0.7), seen()).gone == ()
    assert ids(people.update(frame_at(0.9), seen((0.1, 0.0, 3.0)))) == [1]
    assert people.update(frame_at(1.0), seen()).gone == (1,)
    assert ids(people.update(frame_at(3.0), seen((0.1, 0.0, 3.0)))) == [2]


def test_somebody_far_from_all_others_is_new() -> None:
    people = People(BodyConfig(enabled=True, match_distance=0.5))
    people.update(frame_at(0.0), seen((0.0, 0.0, 3.0)))
    snapshot = people.update(frame_at(0.1), seen((0.8, 0.0, 3.0)))
    assert (ids(snapshot), snapshot.gone) == ([2], (1,))


def test_time_that_goes_back_begins_with_new_people() -> None:
    people = People(BodyConfig(enabled=True))
    people.update(frame_at(5.0), seen((0.0, 0.0, 3.0)))
    snapshot = people.update(frame_at(1.0), seen((0.0, 0.0, 3.0)))
    assert (ids(snapshot), snapshot.gone) == ([2], (1,))


def test_a_late_frame_finds_who_is_known_and_changes_nothing() -> None:
    people = People(BodyConfig(enabled=True))
    people.update(frame_at(1.0), seen((0.0, 0.0, 3.0)))
    late = people.update(frame_at(0.5), seen((0.1, 0.0, 3.0)))
    assert (ids(late), late.gone) == ([1], ())
    nobody = people.update(frame_at(0.6), seen())
    assert nobody.gone == ()
    assert people.update(frame_at(1.1), seen()).gone == (1,)


def test_who_was_not_asked_for_is_not_gone() -> None:
    people = People(BodyConfig(enabled=True))
    people.update(frame_at(0.0), seen((0.0, 0.0, 3.0), (1.0, 0.0, 3.0)))
    one = people.update(replace(frame_at(0.1), chosen=(2,)), seen((1.0, 0.0, 3.0)))
    assert (ids(one), one.gone) == ([2], ())
    both = people.update(frame_at(0.2), seen((0.0, 0.0, 3.0), (1.0, 0.0, 3.0)))
    assert ids(both) == [1, 2]


def test_a_person_stays_the_same_before_a_camera_that_moves() -> None:
    people = People(BodyConfig(enabled=True, match_distance=0.3))
    for step in range(5):
        away = Similarity(np.eye(3), np.array([0.5 * step, 0.0, 0.0]))
        snapshot = people.update(frame_at(0.1 * step, away), seen((1.0 - 0.5 * step, 0.0, 3.0)))
        assert ids(snapshot) == [1]
        assert snapshot.people[0].body.origin_camera[0] == pytest.approx(1.0 - 0.5 * step)


def run(
    bodies: list[BodyReconstruction], touching: Bools = NOBODY, cutoff_hz: float = 1.0
) -> list[BodyReconstruction]:
    smoother = Smoother(cutoff_hz)
    return [
        smoother.smoothed(body, touching, VGA, round(step * PERIOD_S * NS_PER_S), None)
        for step, body in enumerate(bodies)
    ]


def shaken(num: int, sigma_m: float) -> list[BodyReconstruction]:
    rng = np.random.default_rng(0)
    still = person((0.0, 0.0, 3.0))
    return [moved(still, rng.normal(scale=sigma_m, size=3), VGA) for _ in range(num)]


def path(bodies: list[BodyReconstruction], row: int) -> Floats:
    return np.array([body.keypoints_camera[row] for body in bodies])


def test_who_stands_still_shakes_less_than_half_as_much() -> None:
    raw = shaken(60, 0.01)
    smooth = run(raw)
    assert path(smooth, HEAD)[10:].std(axis=0).mean() < 0.5 * path(raw, HEAD).std(axis=0).mean()
    assert smooth[0] is raw[0]
    np.testing.assert_array_equal(smooth[-1].triangles, raw[-1].triangles)


def test_fast_motion_is_followed_closely() -> None:
    raw = [person((-1.0 + 2.0 * PERIOD_S * step, 0.0, 3.0)) for step in range(15)]
    lag_m = path(raw, HEAD)[-1] - path(run(raw), HEAD)[-1]
    assert 0.0 < lag_m[0] < 0.1


def test_no_smoothing_changes_nothing() -> None:
    raw = shaken(5, 0.02)
    assert all(after is before for after, before in zip(run(raw, cutoff_hz=0.0), raw, strict=True))


def test_a_foot_that_stands_does_not_slide_while_the_body_shakes() -> None:
    touching = NOBODY.copy()
    touching[TOE] = True
    smooth = run(shaken(30, 0.01), touching)
    assert np.abs(path(smooth, TOE) - path(smooth, TOE)[0]).max() < 1e-3
    assert np.abs(path(smooth, HEAD) - path(smooth, HEAD)[0]).max() > 3e-3


def test_a_hand_that_comes_to_rest_on_something_is_there_at_once() -> None:
    smoother, free, laid = Smoother(1.0), NOBODY, NOBODY.copy()
    laid[TIP] = True
    above, on = person((0.0, -0.1, 3.0)), person((0.0, 0.0, 3.0))
    smoother.smoothed(above, free, VGA, 0, None)
    touching = smoother.smoothed(on, laid, VGA, round(PERIOD_S * NS_PER_S), None)
    np.testing.assert_allclose(touching.keypoints_camera[TIP], on.keypoints_camera[TIP], atol=2e-3)
    trailing = on.keypoints_camera[HEAD] - touching.keypoints_camera[HEAD]
    assert trailing[1] > 0.02  # the rest of the body is on its way


def test_a_hand_that_slides_off_is_let_go() -> None:
    touching = NOBODY.copy()
    touching[TIP] = True
    raw = [person((0.03 * step, 0.0, 3.0)) for step in range(10)]
    last = run(raw, touching)[-1]
    assert abs(last.keypoints_camera[TIP] - raw[-1].keypoints_camera[TIP]).max() < 0.045


def test_after_a_pause_smoothing_begins_anew() -> None:
    smoother = Smoother(1.0)
    smoother.smoothed(person((0.0, 0.0, 3.0)), NOBODY, VGA, 0, None)
    later = person((0.5, 0.0, 3.0))
    assert smoother.smoothed(later, NOBODY, VGA, 2 * NS_PER_S, None) is later


def test_rotations_stay_rotations_and_belong_to_the_camera_of_the_image() -> None:
    smoother, still = Smoother(1.0), person((0.0, 0.0, 3.0))
    for step in range(4):
        turned = Similarity(_about_y(0.2 * step), np.zeros(3))  # the camera turns, nobody else
        back = turned.inverse()
        seen_now = replace(
            still,
            **{
                name: back.apply(getattr(still, name))
                for name in ("vertices_camera", "keypoints_camera", "joints_camera")
            },
            camera_from_joint=back.rotation @ still.camera_from_joint,
        )
        body = smoother.smoothed(seen_now, NOBODY, VGA, round(step * PERIOD_S * NS_PER_S), turned)
        np.testing.assert_allclose(body.camera_from_joint, seen_now.camera_from_joint, atol=1e-9)
        np.testing.assert_allclose(body.joints_camera, seen_now.joints_camera, atol=1e-9)


def _about_y(angle_rad: float) -> Floats:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
