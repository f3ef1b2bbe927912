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

"""What is hidden or gone is not followed, and found again only where it is."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scenes import VGA, box, mesh_from, placed
from tracked import (
    CAN,
    DRILL,
    MUG,
    STANDING,
    VIEW,
    at,
    depth_of,
    expected,
    follow,
    follow_one,
    frame_of,
    is_where_expected,
    off_by,
)

import sam3d_ros.scene.follower as follower_module
from sam3d_ros.geometry.cameras import project
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.registration.model import prepared
from sam3d_ros.geometry.tracking import tracker
from sam3d_ros.geometry.tracking.rendering import Shown, front_of
from sam3d_ros.geometry.tracking.targets import Readings
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.following import FollowStatus
from sam3d_ros.structures import DepthImage, InstanceMask, Mesh, Similarity


def test_what_an_unknown_thing_covers_is_occluded_and_stays() -> None:
    board = placed(mesh_from(trimesh.creation.box((0.02, 0.3, 0.3))), 0.4, (0.2, 0.08, 0.15))
    depth_m = depth_of([(DRILL, STANDING), (board, STANDING)])
    expectation = expected(DRILL, at(0.01, 0.0))

    found = follow_one(frame_of(depth_m), expectation)

    assert found.status == FollowStatus.OCCLUDED
    assert is_where_expected(found, expectation)


def test_half_an_object_is_followed() -> None:
    post = placed(mesh_from(trimesh.creation.box((0.03, 0.05, 0.4))), 0.4, (0.15, 0.11, 0.2))
    now = at(0.005, 0.004)
    depth_m = depth_of([(DRILL, now), (post, STANDING)])

    found = follow_one(frame_of(depth_m), expected(DRILL, STANDING))

    assert found.status == FollowStatus.FOLLOWED
    assert off_by(found, now)[0] < 2e-3


def test_a_known_object_hides_what_is_behind_it_and_does_not_drag_it_along() -> None:
    # A board so thin that its readings might be those of the box behind it.
    front, behind = box(0.01, 0.18, 0.16), box(0.04, 0.06, 0.08)
    away = np.array([-np.cos(0.4), -np.sin(0.4)])  # from the camera
    there = at(*(0.033 * away), 0.0, 0.4)
    depth_m = depth_of([(front, at(0.0, 0.0, 0.0, 0.4)), (behind, there)])
    hidden = replace(expected(behind, there, sigma_m=0.02), track_id=2)

    in_front, found = follow(frame_of(depth_m), expected(front, at(0.0, 0.0, 0.0, 0.4)), hidden)

    assert in_front.status == FollowStatus.FOLLOWED
    assert found.status == FollowStatus.OCCLUDED
    assert is_where_expected(found, hidden)


def test_what_was_taken_away_is_lost() -> None:
    expectation = expected(DRILL, STANDING)

    found = follow_one(frame_of(depth_of([])), expectation)

    assert found.status == FollowStatus.LOST
    assert is_where_expected(found, expectation)
    np.testing.assert_allclose(np.diag(found.covariance)[3:], 0.1**2, rtol=1e-6)


@pytest.mark.parametrize("height", [0.02, 0.04])
def test_a_table_is_not_taken_for_the_flat_box_that_stood_on_it(height: float) -> None:
    found = follow_one(
        frame_of(depth_of([])), expected(box(0.12, 0.08, height), STANDING, sigma_m=0.02)
    )

    assert found.status == FollowStatus.LOST


@pytest.mark.parametrize("is_known", [False, True])
def test_a_neighbour_with_the_same_faces_does_not_attract(is_known: bool) -> None:
    mesh, now, beside = box(0.06, 0.08, 0.10), at(0.004, 0.0), at(0.004, 0.083)
    depth_m = depth_of([(mesh, now), (mesh, beside)], seed=1)
    near = expected(mesh, at(0.0, 0.009 if is_known else 0.003))
    neighbour = replace(expected(mesh, beside @ at(0.0, 0.003)), track_id=2)

    found = follow(frame_of(depth_m), near, *([neighbour] if is_known else []))[0]

    assert found.status == FollowStatus.FOLLOWED
    assert off_by(found, now)[0] < 1.5e-3


@pytest.mark.parametrize("place", [at(3.0, 3.0), at(3.0, 0.0, 3.0)], ids=["beside", "behind"])
def test_what_is_out_of_view_is_occluded(place: Similarity) -> None:
    found = follow_one(frame_of(depth_of([])), expected(DRILL, place))

    assert found.status == FollowStatus.OCCLUDED


@pytest.mark.parametrize("masked", [False, True])
def test_what_was_lost_is_found_in_another_place(masked: bool) -> None:
    now = at(-0.09, 0.12, 0.0, 2.0)
    depth_m = depth_of([(DRILL, now), (MUG, at(0.1, -0.1))], seed=2)
    mask = render([DRILL.transformed(VIEW @ now)], VGA).object_index == 0
    lost = expected(DRILL, STANDING, sigma_m=0.12, sigma_rad=0.5)
    if masked:
        lost = replace(lost, instance_id=1)
    masks = (InstanceMask(instance_id=1, mask=mask),) if masked else ()

    found = follow_one(frame_of(depth_m, masks), lost)

    shift_m, turn_deg = off_by(found, now)
    assert found.status == FollowStatus.FOLLOWED
    assert shift_m < 2e-3
    assert turn_deg < 2.0


def test_nothing_else_is_taken_for_what_was_lost() -> None:
    depth_m = depth_of([(CAN, at(0.05, 0.05)), (MUG, at(-0.05, -0.1))], seed=2)

    found = follow_one(frame_of(depth_m), expected(DRILL, STANDING, sigma_m=0.12, sigma_rad=0.5))

    assert found.status != FollowStatus.FOLLOWED


def test_what_shows_one_object_shows_no_other() -> None:
    size, there = (0.09, 0.09, 0.1), at(0.05, 0.05)
    depth_m = depth_of([(box(*size), there)], seed=2)
    lost = replace(expected(box(*size), at(-0.05, -0.05), sigma_m=0.12, sigma_rad=0.5), track_id=2)

    known, other = follow(frame_of(depth_m), expected(box(*size), there), lost)
    alone = follow_one(frame_of(depth_m), lost)

    assert known.status == FollowStatus.FOLLOWED
    assert other.status != FollowStatus.FOLLOWED
    assert alone.status == FollowStatus.FOLLOWED


def test_a_mask_of_something_else_is_no_confirmation() -> None:
    depth_m = depth_of([(DRILL, STANDING), (MUG, at(0.0, 0.15))])
    mask = render([MUG.transformed(VIEW @ at(0.0, 0.15))], VGA).object_index == 0
    frame = frame_of(depth_m, (InstanceMask(instance_id=4, mask=mask),))

    found = follow_one(frame, expected(DRILL, STANDING, instance_id=4))

    assert found.status != FollowStatus.FOLLOWED


def test_a_new_revision_is_another_mesh() -> None:
    follower, now = DepthFollower(), STANDING
    frame = frame_of(depth_of([(MUG, now)]))
    wrong = expected(box(0.2, 0.2, 0.2), now)
    assert follower.follow(frame, [wrong])[0].status != FollowStatus.FOLLOWED

    found = follower.follow(frame, [expected(MUG, now, revision=2)])[0]

    assert found.status == FollowStatus.FOLLOWED


def test_the_meshes_of_objects_that_are_gone_are_forgotten() -> None:
    """Else a long run, in which objects come and go, takes ever more memory."""
    follower, frame = DepthFollower(), frame_of(depth_of([]))
    cube = box(0.05, 0.05, 0.05)

    for number in range(5):
        follower.follow(frame, [replace(expected(cube, at(3.0, 3.0)), track_id=number)])

    assert len(follower._models) == 1
    follower.close()
    assert not follower._models


def test_an_id_that_recurs_with_another_mesh_is_another_object() -> None:
    """After a jump back in time ids and revisions begin anew."""
    follower = DepthFollower()
    frame = frame_of(depth_of([(MUG, STANDING)]))
    follower.follow(frame, [expected(box(0.2, 0.2, 0.2), STANDING)])

    assert follower.follow(frame, [expected(MUG, STANDING)])[0].status == FollowStatus.FOLLOWED


def test_each_mesh_is_prepared_once_however_many_are_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[Mesh] = []
    monkeypatch.setattr(
        follower_module, "prepared", lambda mesh: (counted.append(mesh), prepared(mesh))[1]
    )
    follower, frame = DepthFollower(), frame_of(depth_of([]))
    away = expected(box(0.05, 0.05, 0.05), at(3.0, 3.0))
    asked = [replace(away, track_id=number) for number in range(70)]

    for _ in range(2):
        follower.follow(frame, asked)

    assert len(counted) == len(asked)


def test_what_was_lost_beyond_where_the_lens_shows_anything_stays_lost() -> None:
    camera = replace(VGA, distortion_model="plumb_bob", distortion=(-0.31, 0.12, 0.0, 0.0, -0.02))
    aside = Similarity(np.eye(3), np.array([3.0, 0.0, 1.0]))
    assert np.isnan(project(camera, aside.translation_m)).all()
    depth_m = depth_of([(DRILL, STANDING)], camera)
    frame = replace(frame_of(depth_m), depth=DepthImage(depth_m=depth_m, camera=camera))
    lost = expected(DRILL, VIEW.inverse() @ aside, sigma_m=0.12, sigma_rad=0.5)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = follow_one(frame, lost)

    assert found.status == FollowStatus.OCCLUDED


@pytest.mark.parametrize(("measured_m", "is_hidden"), [(1.0, True), (1.05, False)])
def test_the_nearer_object_hides_the_other_unless_it_was_looked_through(
    measured_m: float, is_hidden: bool
) -> None:
    seen = Shown(np.array([[1.0], [1.05]]), np.tile([0.0, 0.0, -1.0], (2, 1, 1)))
    readings = Readings(
        rays=np.tile([0.0, 0.0, 1.0], (2, 1, 1)),
        pixels=np.full((2, 1, 2), 7),
        measured_m=np.full((2, 1), measured_m),
        inside=np.ones((2, 1), dtype=bool),
        mine=np.ones((2, 1), dtype=bool),
        stride_px=np.full(2, 4.0),
        in_view=np.ones(2),
    )
    numbers = np.array([3, 8])

    hidden = front_of(seen, readings, numbers, VGA).hides(seen, readings, numbers)

    assert hidden.tolist() == [[False], [is_hidden]]


def test_what_is_lost_is_searched_for_in_every_third_image_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: list[float] = []
    monkeypatch.setattr(
        tracker, "starts", lambda view, target, front: searched.append(target.sigma_m)
    )
    frame, follower = frame_of(depth_of([])), DepthFollower()
    lost = [
        replace(expected(DRILL, STANDING, sigma_m=sigma_m, sigma_rad=0.5), track_id=number)
        for number, sigma_m in enumerate((0.1, 0.12))
    ]

    for _ in range(12):
        follower.follow(frame, lost)

    assert searched == [0.1, 0.12, 0.1, 0.12]
