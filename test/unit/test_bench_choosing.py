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

"""The benchmark of choosing: what there is to choose from, and what counts as right."""

import json
from pathlib import Path

import numpy as np
import pytest
from scenes import box, camera_from_world, scene

from sam3d_ros.config import RefineConfig, SceneConfig
from sam3d_ros.evaluation.benchmarks import choosing
from sam3d_ros.evaluation.benchmarks.choosing import Chosen, figures
from sam3d_ros.evaluation.benchmarks.choosing_cases import closed, drawn, spoiled
from sam3d_ros.scene.choosing import chosen
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import ObjectReconstruction, Observation


@pytest.fixture(scope="module")
def observation() -> Observation:
    seen = scene([box(0.1, 0.06, 0.08)], camera_from_world(0.7, 0.6, 0.5), noise=1.0)
    (found,) = observe(seen.frame, SceneConfig()).observations
    return found


@pytest.fixture(scope="module")
def closings(observation: Observation) -> list[ObjectReconstruction]:
    return closed(observation)


def test_every_family_closes_a_box_once(closings: list[ObjectReconstruction]) -> None:
    names = [each.provenance.hypothesis for each in closings]
    assert len(names) == len(set(names)) == 6
    assert "carved hull" in names
    assert "mirror" in names


def test_the_view_never_takes_a_wrong_size(
    observation: Observation, closings: list[ObjectReconstruction]
) -> None:
    for made in closings:
        several = spoiled(made)
        assert len(several) == 5
        kept = chosen(several[::-1], observation, RefineConfig(enabled=False))
        assert isinstance(kept, ObjectReconstruction)
        assert kept.camera_from_object.scale == pytest.approx(made.camera_from_object.scale)


def test_what_is_drawn_differs_and_repeats(closings: list[ObjectReconstruction]) -> None:
    first, again = (drawn(closings[0], np.random.default_rng(3)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.mesh_object.vertices, other.mesh_object.vertices)
    sizes = {round(each.camera_from_object.scale, 6) for each in first}
    assert len(sizes) == len(first)


def test_a_choice_near_the_best_is_right() -> None:
    found = [
        Chosen("kind", viou=[0.70, 0.79, 0.80], score=[0.5, 0.9, 0.8], ms=1.0),
        Chosen("kind", viou=[0.80, 0.60, 0.70], score=[0.5, 0.9, 0.8], ms=3.0),
    ]
    row = figures("kind", found)
    assert (row.right, row.first_right) == (0.5, 0.5)
    assert row.viou == pytest.approx(0.695)
    assert row.best_viou == pytest.approx(0.80)
    assert row.margin == pytest.approx(0.1)


def test_figures_are_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / choosing.SCENES[0] / "scene").mkdir(parents=True)
    (tmp_path / choosing.SCENES[0] / "scene" / "camera.json").touch()
    found = [Chosen("spoiled", viou=[0.5, 0.8], score=[0.4, 0.9], ms=2.0)]
    monkeypatch.setattr(choosing, "choices", lambda folders, config: found)
    assert choosing.main(["--data", str(tmp_path), "-o", str(tmp_path / "out")]) == 0
    assert "spoiled, fitted" in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "choosing.json").read_text())
    assert [row["right"] for row in written["kinds"]] == [1.0, 1.0]
    assert (tmp_path / "out" / "choosing.csv").is_file()


def test_without_scenes_the_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choosing.main(["--data", str(tmp_path)]) == 1
    assert f"in {tmp_path}, found neither" in capsys.readouterr().err
