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


"""Proportions by their laws: those of a guess are found, those that are right stay."""

from dataclasses import replace

import numpy as np
import pytest
from registering import CLEAN, HALF, UP, known, look, seen, squarely

from sam3d_ros.geometry.registration.model import prepared, stretched
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.register import (
    Registration,
    RegistrationConfig,
    register,
)
from sam3d_ros.geometry.registration.stretching import StretchConfig
from sam3d_ros.geometry.registration.terms import rendered
from sam3d_ros.geometry.registration.view import prepared_view
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Mesh

GUESSED = RegistrationConfig(stretch=StretchConfig())


def mapped(mesh: Mesh, linear: np.ndarray) -> Mesh:
    return replace(mesh, vertices=(mesh.vertices @ linear.T).astype(np.float32))


def test_a_stretched_model_is_the_model_of_a_stretched_mesh() -> None:
    view = look("drill", CLEAN)
    linear = rotation_from_axis_angle(np.ones(3), 0.3) @ np.diag([1.2, 0.9, 1.1])
    poses, rays = Poses.of([view.truth]), prepared_view(seen(view)).pixels.rays

    long = stretched(stretched(known("drill"), np.sqrt(2.0) * np.eye(3)), linear / np.sqrt(2.0))
    again = prepared(mapped(view.shape.mesh, linear))

    first, second = (rendered(each, poses, rays) for each in (long, again))
    shown = np.isfinite(second.depth_m)
    np.testing.assert_array_equal(np.isfinite(first.depth_m), shown)
    np.testing.assert_allclose(first.depth_m[shown], second.depth_m[shown], atol=1e-5)
    np.testing.assert_allclose(first.normals[shown], second.normals[shown], atol=1e-3)
    heights = (long.rims.planes[..., :3] * long.rims.points).sum(axis=-1) + long.rims.planes[..., 3]
    np.testing.assert_allclose(heights, 0.0, atol=1e-6)
    np.testing.assert_allclose(long.radius, again.radius, rtol=0.05)


@pytest.mark.parametrize(
    "factors", [(0.92, 1.0, 1.0), (1.0, 1.0, 0.92), (1.06, 1.06, 1.0)], ids=str
)
def test_the_proportions_of_a_guess_are_found(factors: tuple[float, float, float]) -> None:
    view = squarely()
    up = -np.eye(3)[1]
    guess = prepared(mapped(view.shape.mesh, np.diag(factors)))
    upright = prepared_view(replace(seen(view), up_camera=up))

    alike = register(guess, upright, view.truth)
    found = register(guess, upright, view.truth, GUESSED)

    def sizes(found: Registration) -> np.ndarray:
        guessed = view.shape.mesh.vertices * np.array(factors)
        posed = guessed @ found.stretch_object.T * found.camera_from_object.scale
        return np.ptp(posed, axis=0) / np.ptp(view.shape.mesh.vertices, axis=0)

    np.testing.assert_array_equal(alike.stretch_object, np.eye(3))
    assert np.abs(sizes(alike)[[0, 2]] - 1.0).max() > 0.02
    np.testing.assert_allclose(sizes(found)[[0, 2]], 1.0, atol=0.012)  # what is seen of it
    assert found.refinement.score_after > alike.refinement.score_after


def test_where_nothing_says_what_is_up_proportions_stay() -> None:
    view = squarely()
    guess = prepared(mapped(view.shape.mesh, np.diag([0.92, 1.0, 1.0])))

    found = register(guess, prepared_view(seen(view)), view.truth, GUESSED)

    np.testing.assert_array_equal(found.stretch_object, np.eye(3))


def test_right_proportions_hardly_change() -> None:
    view = look("drill", HALF, 4)
    up = view.truth.rotation @ UP

    found = register(
        known("drill"), prepared_view(replace(seen(view), up_camera=up)), view.truth, GUESSED
    )

    np.testing.assert_allclose(found.stretch_object, np.eye(3), atol=0.02)
