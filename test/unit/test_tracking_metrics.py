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


"""Metrics of following, against cases that a person can work out."""

from dataclasses import replace

import numpy as np
import pytest

from sam3d_ros.evaluation.tracking import (
    DRIFT_FRAMES,
    JudgedShape,
    PoseError,
    Row,
    Symmetry,
    angle_deg,
    drift_mm,
    figures,
    id_switches,
    pose_error,
    recoveries,
    waits_until_lost,
)
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.following import FollowStatus
from sam3d_ros.structures import Floats, Similarity

X, Y, Z = np.eye(3)
CORNERS = np.array([(x, y, z) for x in (-0.1, 0.1) for y in (-0.05, 0.05) for z in (0.0, 0.3)])
CENTER = np.array([0.0, 0.0, 0.15])
TRUTH = Similarity(rotation_from_axis_angle(np.array([1.0, 2.0, 3.0]), 0.9), np.array([1, 2, 3.0]))
RIGHT = PoseError(surface_mm=1.0, center_mm=0.5, turn_deg=0.2)
FOLLOWED, OCCLUDED, LOST = FollowStatus.FOLLOWED, FollowStatus.OCCLUDED, FollowStatus.LOST


def _turned(axis: Floats, degrees: float) -> Similarity:
    return Similarity(rotation_from_axis_angle(axis, np.radians(degrees)), np.zeros(3))


def _shape(symmetry: Symmetry) -> JudgedShape:
    return JudgedShape(points=CORNERS, center=CENTER, symmetry=symmetry)


def _track(*words: str, number: int = 0) -> list[Row]:
    """Rows from letters: Followed, Wrong, Occluded, Lost, Hidden, gone, Gone and said to be."""
    rows = []
    for frame, word in enumerate("".join(words)):
        hidden, gone = word == "h", word in "gG"
        status = {"f": FOLLOWED, "w": FOLLOWED, "l": LOST, "G": LOST}.get(word, OCCLUDED)
        wrong = replace(RIGHT, surface_mm=25.0)
        rows.append(
            Row(
                frame=frame,
                number=number,
                visible=0.0 if gone else 0.1 if hidden else 0.9,
                is_present=not gone,
                track_id=number + 1,
                status=status,
                error=None if gone else wrong if word == "w" else RIGHT,
            )
        )
    return rows


def test_a_shift_is_an_error_of_its_length_and_no_turn() -> None:
    off = Similarity(TRUTH.rotation, TRUTH.translation_m + np.array([0.0, 0.003, 0.004]))

    error = pose_error(_shape(Symmetry()), off, TRUTH)

    assert error.surface_mm == pytest.approx(5.0)
    assert error.center_mm == pytest.approx(5.0)
    assert error.turn_deg == pytest.approx(0.0, abs=1e-6)


def test_a_turn_about_the_centre_moves_the_surface_and_not_the_centre() -> None:
    turn = _turned(Z, 10.0).rotation
    about = Similarity(turn, CENTER - turn @ CENTER)

    error = pose_error(_shape(Symmetry()), TRUTH @ about, TRUTH)

    reach_m = np.hypot(0.1, 0.05)
    assert error.turn_deg == pytest.approx(10.0)
    assert error.center_mm == pytest.approx(0.0, abs=1e-9)
    assert error.surface_mm == pytest.approx(2000.0 * reach_m * np.sin(np.radians(5.0)))


@pytest.mark.parametrize("degrees", [3.0, 77.0, -140.0, 180.0])
def test_a_body_of_revolution_may_spin_and_not_tip(degrees: float) -> None:
    shape = _shape(Symmetry(axis=Z, center=CENTER))

    spun = pose_error(shape, TRUTH @ _turned(Z, degrees), TRUTH)
    tipped = pose_error(shape, TRUTH @ _turned(X, 4.0) @ _turned(Z, degrees), TRUTH)

    assert spun.surface_mm == pytest.approx(0.0, abs=1e-6)
    assert spun.turn_deg == pytest.approx(0.0, abs=1e-6)
    assert tipped.turn_deg == pytest.approx(4.0)
    assert tipped.center_mm == pytest.approx(2000.0 * 0.15 * np.sin(np.radians(2.0)))


def test_half_turns_of_a_box_are_about_its_centre() -> None:
    half_turns = np.stack([np.eye(3), *(_turned(axis, 180.0).rotation for axis in (X, Y, Z))])
    shape = _shape(Symmetry(turns=half_turns, center=CENTER))
    upside_down = half_turns[1]
    pose = TRUTH @ Similarity(upside_down, CENTER - upside_down @ CENTER) @ _turned(Z, 6.0)

    error = pose_error(shape, pose, TRUTH)

    assert error.turn_deg == pytest.approx(6.0)
    assert error.center_mm == pytest.approx(0.0, abs=1e-9)
    quarter = pose_error(shape, TRUTH @ _turned(Z, 90.0), TRUTH)
    assert quarter.turn_deg == pytest.approx(90.0)


@pytest.mark.parametrize("degrees", [1e-5, 1.0, 90.0, 179.0, 180.0])
def test_angles_are_exact_from_tiny_to_half_a_turn(degrees: float) -> None:
    turn = _turned(np.array([3.0, -1.0, 2.0]), degrees).rotation

    assert angle_deg(TRUTH.rotation, TRUTH.rotation @ turn) == pytest.approx(degrees, rel=1e-4)


def test_time_until_found_again_counts_only_frames_in_which_the_object_is_seen() -> None:
    assert recoveries(_track("ffff")) == []
    assert recoveries(_track("ffloof")) == [3]
    assert recoveries(_track("ffhhhhoof")) == [2]
    assert recoveries(_track("ffohhhof")) == [2]
    assert recoveries(_track("ffGGGGlllf")) == [3]
    assert recoveries(_track("fflll")) == [3]  # never


def test_time_before_an_object_is_first_followed_is_no_loss() -> None:
    rows = _track("ooooff")

    assert recoveries(rows) == []
    assert figures(rows).acquired_after == 4
    assert figures(rows).followed_share == 1.0


def test_a_wrong_place_is_not_found_again() -> None:
    rows = _track("ffwwwf")

    assert recoveries(rows) == [3]
    assert figures(rows).wrong_claims == 3


def test_what_is_claimed_where_nothing_is_is_wrong() -> None:
    rows = _track("ffgg")
    claimed = [*rows[:2], *(replace(row, status=FOLLOWED) for row in rows[2:])]

    assert figures(rows).wrong_claims == 0
    assert figures(claimed).wrong_claims == 2
    assert figures(claimed).lost_after == np.inf


def test_time_until_a_loss_is_said_counts_from_the_taking() -> None:
    assert waits_until_lost(_track("ffggGGf")) == [2.0]
    assert waits_until_lost(_track("ffGGffgG")) == [0.0, 1.0]
    assert waits_until_lost(_track("ffggff")) == [np.inf]
    assert waits_until_lost(_track("fflhhf")) == []


def test_an_id_that_changes_is_one_switch_each_time() -> None:
    rows = _track("ffoffff")
    changed = [replace(row, track_id=7) if row.frame in (3, 4) else row for row in rows]

    assert id_switches(rows) == 0
    assert id_switches(changed) == 2


def test_drift_is_what_the_end_is_worse_than_the_beginning() -> None:
    rows = _track("f" * (3 * DRIFT_FRAMES))
    worse = [replace(row, error=replace(RIGHT, surface_mm=1.0 + 0.1 * row.frame)) for row in rows]

    assert drift_mm(rows) == 0.0
    assert drift_mm(worse) == pytest.approx(0.1 * 2 * DRIFT_FRAMES)


def test_figures_take_objects_apart_and_leave_out_what_is_hidden() -> None:
    far = replace(RIGHT, surface_mm=9.0, turn_deg=3.0)
    hidden = [replace(row, status=FOLLOWED, error=far) for row in _track("hhh", number=1)]
    rows = [*_track("ffff"), *hidden]

    result = figures(rows)

    assert result.median_mm == 1.0
    assert result.p95_deg == pytest.approx(0.2)
    assert result.id_switches == 0
    assert result.wrong_claims == 0
