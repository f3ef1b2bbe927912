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

"""People against what was measured of them: distance, residual, touch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bodies import VGA, frame_of, person, published_person

from sam3d_ros.evaluation.datasets import load_scene
from sam3d_ros.geometry.depth import unproject
from sam3d_ros.scene.people.seeing import Sight, aligned, contacts, moved
from sam3d_ros.structures import Bools, Frame, ScaleSource
from sam3d_ros.structures.mhr import KEYPOINT_NAMES


def sight_of(frame: Frame, number: int = 0, **changed: object) -> Sight:
    assert frame.depth is not None
    anybody: Bools = np.any([mask.mask for mask in frame.masks], axis=0)
    sight = Sight(
        points_camera=unproject(frame.depth.depth_m, frame.camera),
        camera=frame.camera,
        mask=frame.masks[number].mask,
        elsewhere=~anybody,
        source=ScaleSource.DEPTH,
        min_valid_fraction=0.2,
    )
    return replace(sight, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift_m", [-0.6, -0.05, 0.0, 0.4, 1.2])
def test_a_body_is_moved_along_the_ray_of_its_hips_to_where_it_was_measured(
    shift_m: float,
) -> None:
    truth = person((0.4, 0.1, 3.0))
    ray = truth.origin_camera / truth.origin_camera[2]

    placed = aligned(moved(truth, shift_m * ray, VGA), sight_of(frame_of([truth])))
    fit = placed.fit

    assert fit.correction_m == pytest.approx(-shift_m, abs=0.01)
    np.testing.assert_allclose(placed.vertices_camera, truth.vertices_camera, atol=0.01)
    np.testing.assert_allclose(placed.joints_camera, truth.joints_camera, atol=0.01)
    np.testing.assert_allclose(placed.keypoints_px, truth.keypoints_px, atol=2.0)
    assert fit.residual_m < 0.003
    assert fit.inlier_fraction > 0.98
    assert placed.scale_source is ScaleSource.DEPTH


def test_the_residual_says_that_somebody_else_was_measured() -> None:
    truth = person((0.0, 0.1, 3.0))
    thin = person((0.0, 0.1, 3.0), size=0.8)

    placed = aligned(thin, sight_of(frame_of([truth])))
    fit = placed.fit

    right = aligned(truth, sight_of(frame_of([truth]))).fit
    assert right.inlier_fraction >= fit.inlier_fraction
    assert placed.origin_camera[2] == pytest.approx(3.0 - 0.03, abs=0.01)  # fronts meet


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"source": ScaleSource.UNKNOWN}, "too little depth"),
        ({"points_camera": np.full((480, 640, 3), np.nan)}, "too little depth"),
        ({"mask": np.zeros((480, 640), dtype=bool)}, "too little depth"),
    ],
)
def test_without_measured_depth_a_body_stays_where_the_model_has_it(
    changed: dict[str, object], why: str
) -> None:
    truth = person((0.4, 0.1, 3.0))

    placed = aligned(truth, replace(sight_of(frame_of([truth])), **changed))  # type: ignore[arg-type]
    fit = placed.fit

    np.testing.assert_array_equal(placed.vertices_camera, truth.vertices_camera)
    assert placed.scale_source is ScaleSource.MONOCULAR
    assert any(why in note for note in placed.notes)
    assert not fit.is_measured


def test_a_body_is_not_moved_to_twice_its_distance() -> None:
    truth, near = person((0.0, 0.1, 5.0)), person((0.0, 0.1, 2.0))

    placed = aligned(near, sight_of(frame_of([truth])))
    fit = placed.fit

    assert not fit.is_measured
    assert "not where a body can be" in placed.notes[-1]


def test_feet_touch_the_floor_they_stand_on_and_hands_in_the_air_touch_nothing() -> None:
    stands = person((0.0, 0.1, 3.0))
    sight = sight_of(frame_of([stands], floor_m=1.0))

    touching = contacts(stands, sight)

    names = {
        name for name, is_touching in zip(KEYPOINT_NAMES, touching, strict=True) if is_touching
    }
    assert {"left_big_toe", "right_big_toe"} <= names
    assert not any(name.endswith("tip") for name in names)
    jumps = moved(stands, np.array([0.0, -0.2, 0.0]), VGA)
    assert not contacts(jumps, sight_of(frame_of([jumps], floor_m=1.0))).any()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
def test_published_bodies_find_back_to_their_rendered_depth(
    shared_data: Path, number: int, factor: float
) -> None:
    folder = shared_data / "body_mhr" / "frame_01"
    frame = load_scene(folder).frame
    truth = published_person(folder, number)
    off_m = (factor - 1.0) * truth.origin_camera

    placed = aligned(moved(truth, off_m, frame.camera), sight_of(frame, number))
    fit = placed.fit

    assert fit.correction_m == pytest.approx(-off_m[2], abs=0.02)
    assert np.linalg.norm(placed.vertices_camera - truth.vertices_camera, axis=1).max() < 0.03
    assert fit.residual_m < 0.01
