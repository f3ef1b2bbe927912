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


"""The benchmark of several views: what its cases are, and what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam3d_ros.config import SceneConfig
from sam3d_ros.evaluation.benchmarks import multiview
from sam3d_ros.evaluation.benchmarks.multiview_cases import (
    RegistrationError,
    ViewsCase,
    ViewsSpec,
    cases,
    misplaced,
)
from sam3d_ros.evaluation.synthetic import SceneSpec
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.structures import Similarity


@pytest.fixture(scope="module")
def can() -> ViewsCase:
    spec = ViewsSpec(
        azimuths_deg=(0.0, 120.0),
        scene=SceneSpec(
            objects=("can",),
            camera=camera_from_fov(320, 240, 30.0),
            quality=Quality(supersampling=1, light_samples=1),
            voxel_m=0.004,
        ),
    )
    (case,) = cases(range(1), spec, SceneConfig())
    return case


def test_poses_are_off_by_what_is_said_at_the_middle_of_the_object() -> None:
    center = np.array([0.1, -0.2, 0.8])
    error = RegistrationError(shift_m=0.003, turn_deg=1.0)
    wrong = misplaced(Similarity.identity(), center, error, np.random.default_rng(0))
    assert np.linalg.norm(wrong.apply(center) - center) == pytest.approx(0.003)
    angle = np.arccos((np.trace(wrong.rotation) - 1.0) / 2.0)
    assert np.degrees(angle) == pytest.approx(1.0, rel=1e-3)


def test_earlier_views_show_the_same_object_from_elsewhere(can: ViewsCase) -> None:
    (view,) = can.observation(2).earlier
    assert can.observation(1).earlier == ()
    points = view.camera_from_earlier.apply(view.observation.object_points_camera)
    low, high = can.truth_camera.vertices.min(axis=0), can.truth_camera.vertices.max(axis=0)
    inside = ((points > low - 0.01) & (points < high + 0.01)).all(axis=1)
    assert inside.mean() > 0.95
    eye = view.camera_from_earlier.translation_m
    assert np.linalg.norm(eye) > 0.5


def test_figures_of_more_views_come_beside_those_of_one(
    can: ViewsCase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(multiview, "cases", lambda *_: [can])
    monkeypatch.setattr(multiview, "ViewsSpec", lambda: ViewsSpec(azimuths_deg=(0.0, 120.0)))
    assert multiview.main(["-o", str(tmp_path), "--data", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "multiview.json").read_text())
    one, two = written["rendered"]
    assert (one["views"], two["views"]) == (1, 2)
    assert two["observed"] > one["observed"]
    assert written["shelf"] == []
    assert "vIoU" in capsys.readouterr().out
