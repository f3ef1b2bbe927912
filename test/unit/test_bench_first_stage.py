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

"""The benchmark of the objects model measures everything, anywhere, and says what it saw."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sam3d_ros.evaluation.benchmarks import first_stage, measuring
from sam3d_ros.evaluation.benchmarks.random_models import REDUCED
from sam3d_ros.nn.flow import FlowConfig

PARTS = [
    "condition tokens",
    "conditional velocity",
    "unconditional velocity",
    "4 shortcut steps",
    "25 guided steps",
    "occupancy",
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure less, once."""
    tiny = replace(REDUCED, geometry=replace(REDUCED.geometry, resolution=4, num_blocks=1))
    monkeypatch.setitem(first_stage.SIZES, "reduced", tiny)
    monkeypatch.setattr(first_stage, "GUIDED", FlowConfig(num_steps=2))
    monkeypatch.setattr(measuring, "MIN_ROUNDS", 1)
    monkeypatch.setattr(measuring, "PART_MS", 0.0)


def test_every_part_is_measured_beside_the_naive_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert first_stage.main(["--size", "reduced", "--device", "cpu", "-o", str(tmp_path)]) == 0

    values = json.loads((tmp_path / "objects.json").read_text())
    assert [row["part"] for row in values["parts"]] == PARTS
    with (tmp_path / "objects.csv").open(newline="") as file:
        assert [row["part"] for row in csv.DictReader(file)] == PARTS
    compared = [row for row in values["parts"] if row["naive_ms"]]
    assert [row["part"] for row in compared] == PARTS[1:5]
    for row in compared:
        assert row["tflop"] < row["naive_tflop"]
        assert row["difference"] <= 1e-4
        assert row["tflops"] == pytest.approx(1e3 * row["tflop"] / row["ms"])
    assert "(limit 0.0001: kept)" in capsys.readouterr().out


def test_rounding_of_half_precision_is_shown_but_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--size", "reduced", "--device", "cpu", "--dtype", "bfloat16", "-o", str(tmp_path)]

    assert first_stage.main(options) == 0

    shown = capsys.readouterr().out
    assert "difference between prepared and naive" in shown
    assert "limit" not in shown


def test_a_device_that_is_not_there_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert first_stage.main(["--device", "cuda:99", "-o", str(tmp_path)]) == 1

    assert "try --device cpu" in capsys.readouterr().err


def test_torch_and_numpy_are_enough() -> None:
    others = ("rclpy", "cv2", "open3d", "scipy", "trimesh", "safetensors", "skimage", "yaml")
    code = "import sys, sam3d_ros.evaluation.benchmarks.first_stage"
    code += f"; print([name for name in {others} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
