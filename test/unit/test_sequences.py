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


"""Rendered sequences: depth and truth agree, what shall happen happens, and twice the same."""

from dataclasses import replace

import numpy as np
import pytest

from sam3d_ros.evaluation.sequences import RenderedSequence, SequenceSpec, Step
from sam3d_ros.evaluation.sequences_motion import Schedule
from sam3d_ros.evaluation.synthetic_depth import DepthSensor
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.geometry.raster import render
from sam3d_ros.structures import Floats

EXACT = DepthSensor(
    disparity_noise_px=0.0,
    disparity_step_px=1e-4,
    flying_share=0.0,
    edge_dropout=0.0,
    hole_share=0.0,
)
SPEC = SequenceSpec(
    seed=4,
    objects=("box", "mug", "can"),
    num_frames=40,
    mask_every=5,
    mask_delay=2,
    camera=camera_from_fov(160, 120, 55.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.004,
    schedule=Schedule(
        swing=120, slide=(2, 10), arm=(9, 18), lift=(18, 26), taken=(22, 32), aside=(26, 36)
    ),
)


@pytest.fixture(scope="module")
def sequence() -> RenderedSequence:
    return RenderedSequence(SPEC)


@pytest.fixture(scope="module")
def steps(sequence: RenderedSequence) -> list[Step]:
    return list(sequence.steps())


def _visible(steps: list[Step]) -> Floats:
    return np.array([[truth.visible for truth in step.truth] for step in steps])


def _world_places(steps: list[Step], number: int) -> Floats:
    """Where an object stands in the fixed frame, NaN where it is nowhere."""
    places = []
    for step in steps:
        pose, camera = step.truth[number].camera_from_object, step.frame.fixed_from_camera
        known = pose is not None and camera is not None
        places.append(camera.apply(pose.translation_m) if known else np.full(3, np.nan))  # type: ignore[union-attr]
    return np.array(places)


@pytest.mark.parametrize("index", [0, 6, 21])
def test_depth_of_an_object_is_that_of_its_mesh_at_the_true_pose(index: int) -> None:
    sequence = RenderedSequence(replace(SPEC, sensor=EXACT))
    step = sequence.step(index)
    for number, (mesh, truth) in enumerate(zip(sequence.meshes, step.truth, strict=True)):
        assert truth.camera_from_object is not None
        drawn = render([mesh.transformed(truth.camera_from_object)], SPEC.camera).depth_m
        difference = np.abs(drawn - step.frame.depth.depth_m)[step.labels == number + 1]
        known = difference[np.isfinite(difference)]

        assert len(known) > 20
        assert np.median(known) < 2e-4


def test_only_what_the_hand_takes_moves_in_the_fixed_frame(
    sequence: RenderedSequence, steps: list[Step]
) -> None:
    roles = sequence.choreography.roles
    for number in range(3):
        moved_m = np.nanmax(np.ptp(_world_places(steps, number)[:22], axis=0))
        assert moved_m == pytest.approx(0.0, abs=1e-9) or number == roles.moved
    moved = _world_places(steps, roles.moved)
    assert np.linalg.norm(moved[14, :2] - moved[0, :2]) > 0.05  # slid
    assert moved[22, 2] > 0.1  # lifted
    assert moved[-1, 2] == pytest.approx(0.0, abs=1e-9)


def test_one_object_is_taken_away_and_comes_back_elsewhere(
    sequence: RenderedSequence, steps: list[Step]
) -> None:
    taken = sequence.choreography.roles.taken
    places, visible = _world_places(steps, taken), _visible(steps)[:, taken]

    first, last = SPEC.schedule.taken
    assert (visible[first:last] == 0).all()
    assert np.isnan(places[first:last]).all()
    assert visible[-1] > 0.3
    assert np.linalg.norm(places[-1] - places[0]) > 0.1


def test_one_object_leaves_the_view_and_returns(
    sequence: RenderedSequence, steps: list[Step]
) -> None:
    visible = _visible(steps)[:, sequence.choreography.roles.leaving]

    assert visible[31] == 0
    assert visible[-1] > 0.9


def test_the_arm_hides_an_object_for_a_while(steps: list[Step]) -> None:
    assert _visible(steps)[9:18].min() < 0.5


def test_visible_shares_are_of_the_whole_silhouette(steps: list[Step]) -> None:
    visible = _visible(steps)

    assert visible.max() == pytest.approx(1.0, abs=0.02)
    assert visible.min() == 0.0


def test_masks_come_every_so_often_and_late(steps: list[Step]) -> None:
    arrivals = {step.index: step.late for step in steps if step.late is not None}

    assert list(arrivals) == [2, 7, 12, 17, 22, 27, 32, 37]
    for index, frame in arrivals.items():
        assert frame.stamp_ns == steps[index - 2].frame.stamp_ns
        np.testing.assert_array_equal(
            frame.depth.depth_m,  # type: ignore[union-attr]
            steps[index - 2].frame.depth.depth_m,
        )


def test_masks_mark_what_is_visible_and_name_nothing(steps: list[Step]) -> None:
    frame = steps[2].late
    assert frame is not None
    assert {mask.class_id for mask in frame.masks} == {"object"}
    assert len(frame.masks) == 3
    for mask in frame.masks:
        labels = steps[0].labels[mask.mask]
        assert np.bincount(labels)[1:].max() > 0.8 * len(labels)


def test_the_same_spec_gives_the_same_sequence_from_any_frame(steps: list[Step]) -> None:
    again = RenderedSequence(SPEC).step(20)

    np.testing.assert_array_equal(again.labels, steps[20].labels)
    np.testing.assert_array_equal(again.frame.depth.depth_m, steps[20].frame.depth.depth_m)


def test_another_seed_gives_another_sequence(sequence: RenderedSequence) -> None:
    other = RenderedSequence(replace(SPEC, seed=5))

    first, second = sequence.choreography, other.choreography
    assert not np.allclose(
        first.world_from_camera[7].translation_m, second.world_from_camera[7].translation_m
    )
