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

"""Laws of rigid transforms in plain numbers: those of matrices."""

import math

import numpy as np
import pytest

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.rigid import Rigid
from sam3d_ros.geometry.transforms import interpolate, rotation_from_quat_wxyz


def drawn(seed: int) -> Rigid:
    rng = np.random.default_rng(seed)
    quat, shift = rng.normal(size=4), rng.normal(size=3)
    return Rigid.from_numbers(tuple(map(float, quat)), tuple(map(float, shift)))


@pytest.mark.parametrize("seed", range(5))
def test_the_rotation_is_that_of_the_quaternion(seed: int) -> None:
    pose = drawn(seed)
    expected = rotation_from_quat_wxyz(np.array(pose.quat_wxyz))
    np.testing.assert_allclose(pose.similarity.rotation, expected, atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_composes_and_inverts_like_matrices(seed: int) -> None:
    first, second = drawn(seed), drawn(seed + 100)
    product = first.similarity.matrix @ second.similarity.matrix
    np.testing.assert_allclose((first @ second).similarity.matrix, product, atol=1e-14)
    undone = (first.inverse() @ first).similarity.matrix
    np.testing.assert_allclose(undone, np.eye(4), atol=1e-14)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("turn_rad", [0.0, 1e-9, 1e-6, 1e-3, 3.0, 4.0])
def test_goes_the_way_of_interpolation(fraction: float, turn_rad: float) -> None:
    first = drawn(1)
    axis = np.array([1.0, -2.0, 2.0]) / 3.0 * math.sin(turn_rad / 2.0)
    step = Rigid((math.cos(turn_rad / 2.0), *map(float, axis)), (0.3, -0.2, 0.1))
    second = first @ step
    between = first.towards(second, fraction).similarity.matrix
    expected = interpolate(first.similarity, second.similarity, fraction).matrix
    np.testing.assert_allclose(between, expected, atol=1e-12)


def test_goes_the_same_way_to_either_sign_of_a_quaternion() -> None:
    first, second = drawn(1), drawn(2)
    w, x, y, z = second.quat_wxyz
    other = Rigid((-w, -x, -y, -z), second.translation_m)
    np.testing.assert_allclose(
        first.towards(second, 0.3).similarity.matrix,
        first.towards(other, 0.3).similarity.matrix,
        atol=1e-14,
    )


@pytest.mark.parametrize("w", [0.0, math.nan, math.inf])
def test_a_quaternion_without_a_direction_is_refused(w: float) -> None:
    with pytest.raises(ShapeError, match="finite quaternion of non-zero length"):
        Rigid.from_numbers((w, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
