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


"""The benchmark of registration: what its cases are, and what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam3d_ros.evaluation.benchmarks import registration
from sam3d_ros.evaluation.benchmarks.registration_cases import (
    CaseSpec,
    Shape,
    case,
    pose_errors,
    shape_of,
)
from sam3d_ros.evaluation.synthetic_objects import model
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Similarity


@pytest.fixture(scope="module")
def can() -> Shape:
    return shape_of("can", model("can").mesh(0.004))


def test_half_of_the_object_is_hidden_by_something_nearer(can: Shape) -> None:
    whole, half = (
        case(can, CaseSpec(hidden=hidden, noise=0.0), np.random.default_rng(3))
        for hidden in (0.0, 0.5)
    )

    assert half.mask.sum() == pytest.approx(whole.mask.sum() / 2, rel=0.05)
    behind = whole.mask & ~half.mask
    assert (half.points_camera[behind, 2] < whole.points_camera[behind, 2] - 0.05).all()


def test_starts_are_off_by_no_more_than_is_said(can: Shape) -> None:
    spec = CaseSpec()
    for seed in range(20):
        view = case(can, spec, np.random.default_rng(seed))
        errors = pose_errors(can, view.start, view.truth)
        assert errors.turn_deg <= spec.max_turn_deg + 1e-6
        assert errors.scale <= spec.max_growth + 1e-6


def test_starts_at_the_limits_are_off_by_all_that_is_said(can: Shape) -> None:
    spec = CaseSpec(least=1.0)
    for seed in range(20):
        view = case(can, spec, np.random.default_rng(seed))
        turn = view.start.rotation @ view.truth.rotation.T
        turn_deg = np.degrees(np.arccos((np.trace(turn) - 1.0) / 2.0))
        growth = np.log(view.start.scale / view.truth.scale)
        assert turn_deg == pytest.approx(spec.max_turn_deg)
        assert abs(growth) == pytest.approx(np.log1p(spec.max_growth))


def test_turning_a_can_about_its_axis_is_no_error(can: Shape) -> None:
    truth = Similarity(np.eye(3), np.array([0.0, 0.0, 0.7]))
    about_axis = rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), np.radians(40.0))
    across = rotation_from_axis_angle(np.array([1.0, 0.0, 0.0]), np.radians(40.0))

    same, other = (
        pose_errors(can, Similarity(turn, truth.translation_m), truth)
        for turn in (about_axis, across)
    )

    assert same.turn_deg < 6.0
    assert same.add_s < 0.02
    assert other.turn_deg > 35.0


def test_all_methods_get_the_same_cases_and_a_file_says_how_they_did(
    can: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registration, "shapes", lambda folder: [can])

    assert registration.main(["--cases", "2", "-o", str(tmp_path)]) == 0

    written = json.loads((tmp_path / "registration.json").read_text())
    rows = written["methods"]
    assert [row["method"] for row in rows][:2] == ["ours", "start"]
    assert {row["starts"] for row in rows} == {"up to the limits", "at the limits"}
    assert written["cases"] == 2
    assert written["methods"][0]["success"] == 1.0
    assert "lead over the best Open3D" in capsys.readouterr().out
