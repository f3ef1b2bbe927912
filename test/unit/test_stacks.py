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

"""What stands on another object ends on it; what stands behind one goes on to the table."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import box, camera_from_world, can, placed, scene

from sam3d_ros.completion.lift import LiftBackend
from sam3d_ros.config import LiftConfig, SceneConfig
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.scene.observe import FrameObservations, observe
from sam3d_ros.structures import Mesh, Similarity

VIEW = camera_from_world(np.radians(35), 0.9)


def observed(objects: Sequence[Mesh], view: Similarity = VIEW) -> FrameObservations:
    return observe(scene(objects, view, noise=0.5).frame, SceneConfig())


def lift_m(seen: FrameObservations, index: int) -> float:
    """Return how far an object's support is above that of the scene."""
    own = seen.observations[index].support
    assert own is not None
    assert seen.support is not None
    return seen.support.offset_m - own.offset_m


@pytest.mark.parametrize("pitch_deg", [20, 35, 55])
@pytest.mark.parametrize(
    "pair",
    [
        pytest.param((box(0.15, 0.2, 0.05), can(0.033, 0.08)), id="can on a book"),
        pytest.param((box(0.12, 0.12, 0.05), box(0.05, 0.08, 0.05)), id="brick on a crate"),
        pytest.param((box(0.09, 0.09, 0.05), box(0.09, 0.09, 0.06)), id="box on its like"),
    ],
)
def test_what_stands_on_an_object_has_its_top_for_support(
    pair: tuple[Mesh, Mesh], pitch_deg: float
) -> None:
    lower, upper = pair
    view = camera_from_world(np.radians(pitch_deg), 0.9)
    seen = observed([lower, placed(upper, 0.3, (0.0, 0.0, 0.05))], view)
    assert lift_m(seen, 0) == 0.0
    assert lift_m(seen, 1) == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize("pitch_deg", [20, 35, 55])
@pytest.mark.parametrize("gap_m", [0.0, 0.005, 0.01])
def test_what_stands_behind_an_object_stands_on_the_table(gap_m: float, pitch_deg: float) -> None:
    front = placed(box(0.05, 0.1, 0.05), 0.0, (0.05 + gap_m, 0.0, 0.0))
    behind = box(0.05, 0.07, 0.14)
    seen = observed([front, behind], camera_from_world(np.radians(pitch_deg), 0.9))
    assert [lift_m(seen, index) for index in (0, 1)] == [0.0, 0.0]


def test_what_stands_beside_an_object_stands_on_the_table() -> None:
    seen = observed([box(0.06, 0.06, 0.05), placed(box(0.06, 0.06, 0.1), 0.0, (0.0, 0.06, 0.0))])
    assert [lift_m(seen, index) for index in (0, 1)] == [0.0, 0.0]


def test_the_support_of_the_scene_stays_where_it_is() -> None:
    seen = observed([box(0.12, 0.12, 0.05), placed(can(0.03, 0.08), 0.0, (0.0, 0.0, 0.05))])
    assert seen.support is not None
    assert seen.support.height_m(VIEW.apply(np.zeros(3))) == pytest.approx(0.0, abs=0.002)


def test_a_mask_that_leaks_onto_what_carries_the_object_keeps_only_the_object() -> None:
    made = scene([box(0.15, 0.2, 0.05), placed(box(0.06, 0.06, 0.08), 0.3, (0.0, 0.0, 0.05))], VIEW)
    lower, upper = (each.mask for each in made.frame.masks)
    leaky = cv2.dilate(upper.astype(np.uint8), np.ones((9, 9), dtype=np.uint8)) > 0
    masks = (made.frame.masks[0], replace(made.frame.masks[1], mask=leaky))
    seen = observe(replace(made.frame, masks=masks), SceneConfig()).observations[1]
    assert (leaky & lower).sum() > 0.1 * upper.sum()
    assert (seen.mask & lower).sum() < 0.02 * upper.sum()
    assert (seen.mask & upper).sum() > 0.85 * upper.sum()


def test_what_stands_on_an_object_is_completed_down_to_it() -> None:
    seen = observed([box(0.12, 0.12, 0.1), placed(box(0.05, 0.08, 0.05), 0.3, (0.0, 0.0, 0.1))])
    made = LiftBackend(LiftConfig()).reconstruct(seen.observations[1])
    mesh = made.mesh_object.transformed(VIEW.inverse() @ made.camera_from_object)
    assert bounds(mesh)[0, 2] == pytest.approx(0.1, abs=0.006)
    assert bounds(mesh)[1, 2] == pytest.approx(0.15, abs=0.006)
