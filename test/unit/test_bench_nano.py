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

"""The benchmark of nano: which objects count where, what is recorded, how stages are ordered."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from nano_stand_in import StandIn, medians, ship
from three_boxes import three_boxes

from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.errors import ConfigError
from sam3d_ros.evaluation.benchmarks import nano
from sam3d_ros.evaluation.benchmarks.nano import exports_of
from sam3d_ros.evaluation.benchmarks.nano_cases import capture_cases, medians_of, with_sums
from sam3d_ros.evaluation.benchmarks.nano_cost import measured_here
from sam3d_ros.evaluation.report import Row
from sam3d_ros.evaluation.synthetic import SceneSpec, arrange, render_view, write_scene_folder
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.objects.files import NANO_FILE, PROVENANCE_FILE
from sam3d_ros.objects.pipeline import Reconstructor
from sam3d_ros.objects.provenance import why_not_trusted

ONE_BOX = SceneSpec(
    objects=("box",),
    camera=camera_from_fov(160, 120, 45.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.005,
)


def row(scene: str, backend: str = "nano", name: str = "a", **metrics: float) -> Row:
    return Row(scene=scene, object_name=name, backend=backend, metrics=metrics)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of weights that nobody measured, run by a stand-in."""
    monkeypatch.setattr(Reconstructor, "load_nano", StandIn, raising=False)
    folder = tmp_path / "weights"
    folder.mkdir()
    ship(folder, medians(0.1, 0.1), medians(0.1, 0.1))
    return folder


def test_families_and_captures_are_summed_apart_and_what_has_little_truth_is_not() -> None:
    groups = with_sums(
        {
            "stone": [row("stone", viou=0.9, solidity=0.9)],
            "basket": [row("basket", viou=0.3, solidity=0.2), row("basket", "lift", viou=0.2)],
            "ycb_tabletop": [row("frame", viou=0.7, solidity=0.1)],
            "realsense_single": [row("mug", viou=0.5)],
        }
    )
    assert [each.scene for each in groups["families"]] == ["stone", "basket", "basket"]
    assert [each.scene for each in groups["captures"]] == ["frame"]
    # Of every backend, although only one could be measured.
    assert [each.backend for each in groups["fills <= 0.45 of its hull"]] == ["nano", "lift"]


def test_medians_are_those_that_decide_about_auto() -> None:
    figures = medians_of({"families": [row("a", viou=0.1), row("a", viou=0.5, seconds=1.0)]})
    assert figures == {"families": {"nano": {"viou": pytest.approx(0.3), "seconds": 1.0}}}


def test_stages_come_in_the_order_of_the_training(tmp_path: Path) -> None:
    for name in ("shortcut", "pre", "extra", "dpo", "no_weights"):
        (tmp_path / name).mkdir()
        if name != "no_weights":
            (tmp_path / name / NANO_FILE).touch()
    assert [each.name for each in exports_of(tmp_path)] == ["pre", "dpo", "shortcut", "extra"]


def test_a_ladder_without_steps_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"found none in {tmp_path}"):
        exports_of(tmp_path)


def test_loading_is_measured_apart_from_objects(weights: Path) -> None:
    cost = measured_here(
        SceneConfig(objects=ObjectsConfig(backend="lift")), list(three_boxes()[:2])
    )
    assert 0 < cost.load_s < cost.object_s  # lift has nothing to load
    assert cost.peak_mb >= cost.before_mb > 0


def test_a_run_records_medians_of_both_sets_with_the_weights(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = arrange(ONE_BOX, seed=1)
    view = render_view(world, ONE_BOX, ONE_BOX.world_from_camera, seed=1)
    write_scene_folder(world, view, tmp_path / "synthetic_tabletop" / "scene")
    unseen = [replace(each, group="stone") for each in capture_cases(tmp_path)]
    monkeypatch.setattr(nano, "family_cases", lambda *_: unseen)
    monkeypatch.setattr(nano, "BESIDE", ("lift", "nano", "nano+lift"))
    monkeypatch.setattr(nano, "steps_costs", lambda *_: [])

    options = ["--nano", str(weights), "--data", str(tmp_path), "--record"]
    code = nano.main([*options, "-o", str(tmp_path / "out")])

    assert code == 0
    recorded = json.loads((weights / PROVENANCE_FILE).read_text())
    assert recorded["commit"] == "abc"
    assert set(recorded["evaluation"]) == {"families", "captures"}
    lift = recorded["evaluation"]["captures"]["lift"]
    assert recorded["evaluation"]["captures"]["nano"]["viou"] == lift["viou"]  # it is lift
    assert "nano+lift is no better than lift" in why_not_trusted(weights)
    written = json.loads((tmp_path / "out" / "nano.json").read_text())
    assert written["beside"]["captures"]["lift"]["viou"] == lift["viou"]
