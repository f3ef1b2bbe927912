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

"""Known meshes are followed in depth images as far as these tell."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import VGA, box
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
    noisy,
    off_by,
)

from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.registration.model import prepared
from sam3d_ros.geometry.registration.poses import rotations_from_vectors
from sam3d_ros.geometry.tracking.turns import vectors_from_rotations
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.following import Followed, FollowStatus
from sam3d_ros.structures import Camera, DepthImage, InstanceMask, Mesh, Similarity


@pytest.mark.parametrize("mesh", [DRILL, MUG, box(0.06, 0.09, 0.12)], ids=["drill", "mug", "box"])
def test_a_motion_of_a_centimetre_and_five_degrees_is_followed(mesh: Mesh) -> None:
    now = at(0.007, -0.006, 0.004, np.radians(5.0))

    found = follow_one(frame_of(depth_of([(mesh, now)])), expected(mesh, STANDING))

    shift_m, turn_deg = off_by(found, now)
    assert found.status == FollowStatus.FOLLOWED
    assert shift_m < 1e-3
    assert turn_deg < 0.5


def test_noise_of_a_sensor_leaves_a_millimetre() -> None:
    now = at(0.007, -0.006, 0.0, np.radians(5.0))

    follower, true_m = DepthFollower(), depth_of([(DRILL, now)])
    found = [
        follower.follow(frame_of(noisy(true_m, seed)), [expected(DRILL, STANDING)])[0]
        for seed in range(5)
    ]
    errors = np.array([off_by(each, now) for each in found])

    assert np.median(errors[:, 0]) < 1e-3
    assert np.median(errors[:, 1]) < 1.0


def test_readings_say_how_well_the_surface_fits() -> None:
    depth_m = depth_of([(DRILL, STANDING)], seed=0)

    quality = follow_one(frame_of(depth_m), expected(DRILL, STANDING)).quality

    assert 0.5e-3 < quality.depth_residual_m < 3e-3
    assert quality.inlier_fraction > 0.95
    assert np.isnan(quality.silhouette_iou)


@pytest.mark.parametrize("height", [0.02, 0.04])
def test_a_flat_box_is_followed(height: float) -> None:
    mesh, now = box(0.12, 0.08, height), at(0.006, 0.004)

    found = follow_one(frame_of(depth_of([(mesh, now)], seed=0)), expected(mesh, STANDING))

    assert found.status == FollowStatus.FOLLOWED
    assert off_by(found, now)[0] < 2e-3


def test_a_depth_camera_beside_the_colour_camera_gives_the_same_pose() -> None:
    matrix_px = np.array([[430.0, 0.0, 300.0], [0.0, 425.0, 210.0], [0.0, 0.0, 1.0]])
    camera = Camera(width=600, height=420, matrix_px=matrix_px)
    tilt = rotations_from_vectors(np.array([[0.02, -0.05, 0.01]]))[0]
    color_from_depth = Similarity(tilt, np.array([0.06, -0.01, 0.015]))
    now = at(0.006, 0.005, 0.0, 0.05)
    depth_m = depth_of([(DRILL, now)], camera, color_from_depth.inverse() @ VIEW)
    depth = DepthImage(depth_m=depth_m, camera=camera, color_from_depth=color_from_depth)
    mask = render([DRILL.transformed(VIEW @ now)], VGA).object_index == 0
    frame = replace(
        frame_of(depth_of([])), depth=depth, masks=(InstanceMask(instance_id=7, mask=mask),)
    )

    plain = follow_one(frame, expected(DRILL, STANDING))
    masked = follow_one(frame, expected(DRILL, STANDING, instance_id=7))

    for found in (plain, masked):
        shift_m, turn_deg = off_by(found, now)
        assert found.status == FollowStatus.FOLLOWED
        assert shift_m < 1e-3
        assert turn_deg < 0.5
    assert masked.quality.silhouette_iou > 0.95


def test_in_another_colour_camera_an_object_is_as_sure_about_turned_axes() -> None:
    turn = rotations_from_vectors(np.array([[0.3, -0.8, 1.1]]))[0]
    color_from_depth = Similarity(turn, np.array([0.06, -0.01, 0.015]))
    near, depth_m = expected(CAN, STANDING, sigma_rad=0.3), depth_of([(CAN, STANDING)], seed=0)
    there = replace(near, camera_from_object=color_from_depth @ near.camera_from_object)
    depth = DepthImage(depth_m=depth_m, camera=VGA, color_from_depth=color_from_depth)

    plain = follow_one(frame_of(depth_m), near)
    found = follow_one(replace(frame_of(depth_m), depth=depth), there)

    turns = np.kron(np.eye(2), turn)
    np.testing.assert_allclose(
        found.covariance, turns @ plain.covariance @ turns.T, rtol=1e-3, atol=1e-7
    )


def test_an_origin_beside_the_middle_moves_with_turns_about_it() -> None:
    beside = Similarity(np.eye(3), np.array([0.2, -0.1, 0.3]))
    mesh = box(0.06, 0.06, 0.06).transformed(beside)
    expectation = expected(mesh, STANDING, sigma_m=0.02, sigma_rad=0.2)
    nothing = np.full((VGA.height, VGA.width), np.nan, dtype=np.float32)

    covariance = follow_one(frame_of(nothing), expectation).covariance

    middle = prepared(mesh).center
    shifts = np.cross(np.eye(3), VIEW.rotation @ -middle).T  # of the origin, by turns about it
    np.testing.assert_allclose(covariance[:3, 3:], 0.2**2 * shifts, atol=1e-9)
    np.testing.assert_allclose(
        covariance[:3, :3], 0.02**2 * np.eye(3) + 0.2**2 * shifts @ shifts.T, atol=1e-9
    )


def test_rounding_of_the_extrinsics_does_not_grow_from_image_to_image() -> None:
    turn = np.round(rotations_from_vectors(np.array([[0.02, -0.05, 0.01]]))[0], 4)
    color_from_depth = Similarity(turn, np.array([0.06, -0.01, 0.015]))
    depth_m = depth_of([(MUG, STANDING)], VGA, color_from_depth.inverse() @ VIEW)
    depth = DepthImage(depth_m=depth_m, camera=VGA, color_from_depth=color_from_depth)
    follower, expectation = DepthFollower(), expected(MUG, STANDING)

    for _ in range(5):
        (found,) = follower.follow(replace(frame_of(depth_m), depth=depth), [expectation])
        assert found.status == FollowStatus.FOLLOWED
        expectation = replace(expectation, camera_from_object=found.camera_from_object)

    rotation = found.camera_from_object.rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [("plumb_bob", (-0.31, 0.12, 0.0012, -0.0018, -0.02)), ("equidistant", (0.05, -0.01, 0.02))],
)
def test_a_lens_that_bends_the_image_changes_nothing(
    model: str, coefficients: tuple[float, ...]
) -> None:
    camera = replace(VGA, distortion_model=model, distortion=coefficients)
    now = at(0.11, 0.155, 0.0, 0.05)  # off the axis
    depth_m = depth_of([(DRILL, now)], camera)
    depth = DepthImage(depth_m=depth_m, camera=camera)
    assert np.isfinite(pixel_rays(camera)).all()

    found = follow_one(
        replace(frame_of(depth_m), depth=depth, camera=camera),
        expected(DRILL, at(0.105, 0.15)),
    )

    shift_m, turn_deg = off_by(found, now)
    assert found.status == FollowStatus.FOLLOWED
    assert shift_m < 1e-3
    assert turn_deg < 0.5


def test_without_readings_an_object_is_as_uncertain_as_expected() -> None:
    nothing = np.full((VGA.height, VGA.width), np.nan, dtype=np.float32)
    expectation = expected(DRILL, STANDING, sigma_m=0.02, sigma_rad=0.2)

    found = follow_one(frame_of(nothing), expectation)

    assert found.status == FollowStatus.OCCLUDED
    assert is_where_expected(found, expectation)
    np.testing.assert_allclose(np.diag(found.covariance)[3:], 0.2**2, rtol=1e-6)
    assert (np.diag(found.covariance)[:3] >= 0.02**2 * (1 - 1e-6)).all()
    assert np.isnan(found.quality.depth_residual_m)


def test_the_turn_of_a_can_does_not_drift() -> None:
    true_m = depth_of([(CAN, STANDING)])
    follower, expectation = DepthFollower(), expected(CAN, STANDING)
    found: list[Followed] = []
    for seed in range(50):
        found = follower.follow(frame_of(noisy(true_m, seed)), [expectation])
        assert found[0].status == FollowStatus.FOLLOWED
        expectation = replace(expectation, camera_from_object=found[0].camera_from_object)

    shift_m, turn_deg = off_by(found[0], STANDING)
    assert shift_m < 1e-3
    assert turn_deg < 1.0


def test_what_cannot_be_seen_stays_as_uncertain_as_it_was() -> None:
    depth_m = depth_of([(CAN, STANDING)], seed=0)

    found = follow_one(frame_of(depth_m), expected(CAN, STANDING, sigma_m=0.02, sigma_rad=0.3))

    up = VIEW.rotation[:, 2]
    turns = found.covariance[3:, 3:]
    assert up @ turns @ up > 0.9 * 0.3**2
    assert up @ turns @ up < 1.001 * 0.3**2
    across = np.linalg.svd(up[None])[2][1:]
    assert (np.einsum("ki,ij,kj->k", across, turns, across) < 0.1 * 0.3**2).all()
    assert (np.diag(found.covariance)[:3] < 0.2 * 0.02**2).all()


def test_the_error_is_what_the_covariance_says() -> None:
    follower, true_m = DepthFollower(), depth_of([(DRILL, STANDING)])
    ratios = []
    for seed in range(12):
        found = follower.follow(frame_of(noisy(true_m, seed)), [expected(DRILL, STANDING)])[0]
        shift = found.camera_from_object.translation_m - VIEW.translation_m
        ratios.append(shift @ np.linalg.solve(found.covariance[:3, :3], shift) / 3.0)

    assert 0.005 < np.mean(ratios) < 3.0  # readings are not as independent as they are here


def test_no_objects_have_no_poses() -> None:
    assert follow(frame_of(depth_of([]))) == []


def test_many_at_once_are_as_one_at_a_time_in_the_order_asked() -> None:
    things = [(DRILL, at(0.0, 0.15)), (MUG, at(0.0, 0.0)), (CAN, at(0.05, -0.15))]
    frame = frame_of(depth_of(things, seed=3))
    asked = [
        replace(expected(mesh, pose @ at(0.004, -0.003)), track_id=number)
        for number, (mesh, pose) in zip((5, 2, 9), things, strict=True)
    ]

    together = follow(frame, *asked)

    assert [found.track_id for found in together] == [5, 2, 9]
    for found, one in zip(together, asked, strict=True):
        alone = follow_one(frame, one)
        assert found.status == alone.status == FollowStatus.FOLLOWED
        np.testing.assert_allclose(
            found.camera_from_object.matrix, alone.camera_from_object.matrix, atol=3e-3
        )


def test_a_mask_that_errs_by_two_pixels_is_still_its_own() -> None:
    depth_m = depth_of([(CAN, STANDING)], seed=0)
    mask = render([CAN.transformed(VIEW)], VGA).object_index == 0
    smaller = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0

    found = follow_one(
        frame_of(depth_m, (InstanceMask(instance_id=4, mask=smaller),)),
        expected(CAN, STANDING, instance_id=4),
    )

    assert found.status == FollowStatus.FOLLOWED
    assert off_by(found, STANDING)[0] < 2e-3


def test_vectors_lead_to_rotations_and_back() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    vectors *= (np.linspace(0, 3.1, 50) / np.linalg.norm(vectors, axis=1))[:, None]

    np.testing.assert_allclose(
        vectors_from_rotations(rotations_from_vectors(vectors)), vectors, atol=1e-7
    )
