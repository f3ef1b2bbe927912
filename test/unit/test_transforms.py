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

"""Rotations and similarities keep their laws."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.transforms import (
    fit_similarity,
    interpolate,
    quat_wxyz_from_rotation,
    rotation_from_axis_angle,
    rotation_from_quat_wxyz,
)
from sam3d_ros.structures import Floats, Similarity


def sampled_rotations() -> list[Floats]:
    """Return random rotations, some close to identity, and half turns."""
    rng = np.random.default_rng(5)
    vectors = [
        *rng.normal(size=(10, 3)),
        *rng.normal(size=(10, 3)) * 1e-8,
        *(np.pi * np.eye(3)),
        np.zeros(3),
    ]
    return [Rotation.from_rotvec(vector).as_matrix() for vector in vectors]


ROTATIONS = sampled_rotations()


def sampled_similarity(seed: int) -> Similarity:
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    return Similarity(rotation, rng.normal(size=3), float(rng.uniform(0.2, 3.0)))


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_rotation_survives_its_quaternion(rotation: Floats) -> None:
    quat_wxyz = quat_wxyz_from_rotation(rotation)

    assert quat_wxyz[0] >= 0
    np.testing.assert_allclose(np.linalg.norm(quat_wxyz), 1.0, atol=1e-12)
    np.testing.assert_allclose(rotation_from_quat_wxyz(quat_wxyz), rotation, atol=1e-12)


@pytest.mark.parametrize("rotation", sampled_rotations())
def test_what_is_not_quite_a_rotation_has_the_closest_quaternion(rotation: Floats) -> None:
    rng = np.random.default_rng(3)
    bent = rotation + rng.normal(scale=1e-3, size=(3, 3))
    left, _, right = np.linalg.svd(bent)
    closest = left @ right  # the closest rotation (Kabsch 1976), near enough for small bends

    quat_wxyz = quat_wxyz_from_rotation(bent)

    np.testing.assert_allclose(rotation_from_quat_wxyz(quat_wxyz), closest, atol=1e-5)
    np.testing.assert_allclose(rotation_from_quat_wxyz(quat_wxyz), rotation, atol=1e-2)


def test_a_quarter_turn_about_z_has_the_quaternion_of_the_textbook() -> None:
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

    half = np.sqrt(0.5)
    np.testing.assert_allclose(quat_wxyz_from_rotation(rotation), [half, 0, 0, half], atol=1e-12)


def test_the_length_and_sign_of_a_quaternion_do_not_matter() -> None:
    quat_wxyz = np.array([0.5, -0.1, 0.7, 0.2])

    expected = rotation_from_quat_wxyz(quat_wxyz)
    np.testing.assert_allclose(rotation_from_quat_wxyz(-3.0 * quat_wxyz), expected, atol=1e-12)


def test_a_zero_quaternion_is_refused_with_a_hint() -> None:
    with pytest.raises(ShapeError, match="check whether the sender filled in the orientation"):
        rotation_from_quat_wxyz(np.zeros(4))


@pytest.mark.parametrize("angle_rad", [0.0, 1e-9, 0.4, np.pi, -2.0])
def test_axis_and_angle_agree_with_scipy(angle_rad: float) -> None:
    axis = np.array([1.0, -2.0, 0.5])

    expected = Rotation.from_rotvec(angle_rad * axis / np.linalg.norm(axis)).as_matrix()
    np.testing.assert_allclose(rotation_from_axis_angle(axis, angle_rad), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_similarity_is_found_again_from_points_that_it_mapped(seed: int) -> None:
    a_from_b = sampled_similarity(seed)
    points_b = np.random.default_rng(seed).normal(size=(20, 3))

    found = fit_similarity(a_from_b.apply(points_b), points_b)

    np.testing.assert_allclose(found.matrix, a_from_b.matrix, atol=1e-10)


def test_three_points_of_a_plane_fix_a_similarity_without_mirroring() -> None:
    a_from_b = sampled_similarity(7)
    points_b = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])

    found = fit_similarity(a_from_b.apply(points_b), points_b)

    np.testing.assert_allclose(found.matrix, a_from_b.matrix, atol=1e-10)


def test_points_without_weight_do_not_count() -> None:
    a_from_b = sampled_similarity(2)
    points_b = np.random.default_rng(3).normal(size=(10, 3))
    points_a = a_from_b.apply(points_b)
    points_a[0] += 100.0

    found = fit_similarity(points_a, points_b, np.array([0.0] + [1.0] * 9))

    np.testing.assert_allclose(found.matrix, a_from_b.matrix, atol=1e-10)


def test_a_rigid_fit_keeps_the_scale_at_one() -> None:
    rigid = Similarity(sampled_similarity(4).rotation, np.array([1.0, 2.0, 3.0]))
    points_b = np.random.default_rng(4).normal(size=(10, 3))

    found = fit_similarity(
        rigid.apply(1.3 * (points_b - points_b.mean(axis=0))), points_b, with_scale=False
    )

    assert found.scale == 1.0
    np.testing.assert_allclose(found.rotation, rigid.rotation, atol=1e-10)


def test_mirrored_points_are_not_answered_with_a_mirror() -> None:
    points_b = np.random.default_rng(6).normal(size=(10, 3))

    found = fit_similarity(points_b * [-1.0, 1.0, 1.0], points_b)

    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


def test_collinear_points_fix_no_rotation() -> None:
    points = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])

    with pytest.raises(ShapeError, match="span at least a plane"):
        fit_similarity(points, points)


def test_interpolation_meets_both_ends() -> None:
    first, second = sampled_similarity(0), sampled_similarity(1)

    np.testing.assert_allclose(interpolate(first, second, 0.0).matrix, first.matrix, atol=1e-12)
    np.testing.assert_allclose(interpolate(first, second, 1.0).matrix, second.matrix, atol=1e-12)


def test_half_way_between_two_turns_is_half_the_angle_the_short_way() -> None:
    axis = np.array([0.0, 1.0, 0.0])
    first = Similarity(rotation_from_axis_angle(axis, np.radians(170)), np.zeros(3), 1.0)
    second = Similarity(rotation_from_axis_angle(axis, np.radians(-170)), np.ones(3), 4.0)

    middle = interpolate(first, second, 0.5)

    expected = rotation_from_axis_angle(axis, np.pi)
    np.testing.assert_allclose(middle.rotation, expected, atol=1e-12)
    np.testing.assert_allclose(middle.translation_m, [0.5, 0.5, 0.5])
    assert middle.scale == pytest.approx(2.0)


def test_interpolating_between_equal_transforms_changes_nothing() -> None:
    transform = sampled_similarity(9)

    np.testing.assert_allclose(
        interpolate(transform, transform, 0.3).matrix, transform.matrix, atol=1e-12
    )
