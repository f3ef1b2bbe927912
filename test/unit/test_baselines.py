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

"""Baselines: what each does with points whose surface is known."""

from collections.abc import Callable

import numpy as np
import pytest

from sam3d_ros.config import LiftConfig
from sam3d_ros.errors import ReconstructionError
from sam3d_ros.evaluation.baselines import SURFACES, OpenThreeDBaseline
from sam3d_ros.evaluation.carving import CarvedHullBaseline
from sam3d_ros.evaluation.solids import is_inside
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.geometry.meshes import is_watertight
from sam3d_ros.structures import Camera, Floats, InstanceMask, ObjectReconstruction, Observation

SIZE_PX = 80


@pytest.fixture(scope="module")
def observation_of() -> Callable[[Floats], Observation]:
    camera = Camera(
        width=SIZE_PX,
        height=SIZE_PX,
        matrix_px=np.array([[400.0, 0.0, 39.5], [0.0, 400.0, 39.5], [0.0, 0.0, 1.0]]),
    )

    def make(depth_m: Floats) -> Observation:
        v, u = np.indices(depth_m.shape)
        points = np.stack(((u - 39.5) / 400.0 * depth_m, (v - 39.5) / 400.0 * depth_m, depth_m), -1)
        mask = np.isfinite(depth_m)
        return Observation(
            instance=InstanceMask(instance_id=1, mask=mask),
            rgb=np.full((SIZE_PX, SIZE_PX, 3), 0.5, dtype=np.float32),
            mask=mask,
            silhouette=mask,
            points_camera=points.astype(np.float32),
            camera=camera,
            others=np.zeros_like(mask),
        )

    return make


def ball_depth_m(radius_m: float = 0.06, distance_m: float = 0.8) -> Floats:
    """Depth of the visible cap of a ball, nearly orthographic; NaN beside it."""
    v, u = np.indices((SIZE_PX, SIZE_PX))
    across_m = np.hypot(u - 39.5, v - 39.5) / 400.0 * distance_m
    with np.errstate(invalid="ignore"):
        return distance_m - np.sqrt(radius_m**2 - across_m**2)


@pytest.mark.parametrize("name", SURFACES)
def test_a_baseline_stands_where_its_points_are(
    name: str, observation_of: Callable[[Floats], Observation]
) -> None:
    observation = observation_of(ball_depth_m())
    points = observation.object_points_camera

    made = OpenThreeDBaseline(name).reconstruct(observation)

    mesh_camera = made.mesh_object.transformed(made.camera_from_object)
    expected = np.stack((points.min(axis=0), points.max(axis=0)))
    np.testing.assert_allclose(bounds(mesh_camera), expected, atol=0.005)
    np.testing.assert_allclose(bounds(made.mesh_object).mean(axis=0), 0.0, atol=1e-6)
    assert made.provenance.backend == name
    assert made.mesh_object.colors.min() == made.mesh_object.colors.max() == 128


def test_the_carved_hull_is_the_hull_without_what_was_seen_to_be_free(
    observation_of: Callable[[Floats], Observation],
) -> None:
    depth_m = ball_depth_m()
    depth_m[36:44, 36:44] = 0.81  # a hole down to the rim, seen to be empty
    observation = observation_of(depth_m)

    hull = OpenThreeDBaseline("hull").reconstruct(observation)
    carved = CarvedHullBaseline(LiftConfig()).reconstruct(observation)

    in_the_hole = np.array([[0.0, 0.0, 0.78]])
    beside_it = np.array([[0.04, 0.0, 0.78]])
    assert carved.provenance.backend == "carved"
    assert is_watertight(carved.mesh_object)
    assert inside_camera(hull, in_the_hole)
    assert not inside_camera(carved, in_the_hole)
    assert inside_camera(carved, beside_it)


def inside_camera(made: ObjectReconstruction, point_camera: Floats) -> bool:
    return bool(is_inside(made.mesh_object, made.camera_from_object.inverse().apply(point_camera)))


def test_the_hull_is_closed_and_encloses_every_point(
    observation_of: Callable[[Floats], Observation],
) -> None:
    observation = observation_of(ball_depth_m())

    made = OpenThreeDBaseline("hull").reconstruct(observation)

    points = made.camera_from_object.inverse().apply(observation.object_points_camera)
    assert is_watertight(made.mesh_object)
    assert is_inside(made.mesh_object, 0.999 * points).all()


@pytest.mark.parametrize("name", SURFACES)
def test_too_few_points_are_refused(
    name: str, observation_of: Callable[[Floats], Observation]
) -> None:
    depth_m = np.full((SIZE_PX, SIZE_PX), np.nan)
    depth_m[40, 40:43] = 0.8

    with pytest.raises(ReconstructionError, match="needs 10 points, got 3"):
        OpenThreeDBaseline(name).reconstruct(observation_of(depth_m))


@pytest.mark.parametrize("name", ["hull", "alpha"])
def test_points_in_one_plane_enclose_nothing_and_say_so(
    name: str, observation_of: Callable[[Floats], Observation]
) -> None:
    depth_m = np.full((SIZE_PX, SIZE_PX), np.nan)
    depth_m[20:60, 20:60] = 0.8

    with pytest.raises(ReconstructionError, match="found no surface"):
        OpenThreeDBaseline(name).reconstruct(observation_of(depth_m))
