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

"""The benchmark of the decoders measures everything, anywhere, and says what it saw."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sam3d_ros.evaluation.benchmarks import decoders, measuring
from sam3d_ros.objects.architecture import ObjectsArchitecture

PARTS = [
    "splats",
    "fewer splats",
    "cubes",
    "cubes and their mesh",
    "last subdividing convolution",
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure less, once."""
    few = replace(decoders.SIZES["reduced"], num_voxels=100)
    monkeypatch.setitem(decoders.SIZES, "reduced", few)
    monkeypatch.setattr(measuring, "MIN_ROUNDS", 1)
    monkeypatch.setattr(measuring, "PART_MS", 0.0)


def test_every_part_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decoders.main(["--size", "reduced", "--device", "cpu", "-o", str(tmp_path)]) == 0

    values = json.loads((tmp_path / "decoders.json").read_text())
    assert [row["part"] for row in values["parts"]] == PARTS
    assert all(row["ms"] > 0 and row["peak_mb"] > 0 for row in values["parts"])
    shown = capsys.readouterr().out
    assert "(limit 0.0001: kept)" in shown
    assert "(limit 40 ms: not judged here)" in shown  # on a CPU, at reduced sizes
    assert "(limit 900 ms: not judged here)" in shown


def test_copying_features_first_takes_more_memory_for_the_same(tmp_path: Path) -> None:
    decoders.main(["--size", "reduced", "--device", "cpu", "-o", str(tmp_path)])

    *_, row = json.loads((tmp_path / "decoders.json").read_text())["parts"]
    assert row["plain_peak_mb"] > 1.5 * row["peak_mb"]
    assert row["difference"] < 1e-5


def test_half_precision_is_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--size", "reduced", "--device", "cpu", "--dtype", "bfloat16", "-o", str(tmp_path)]

    assert decoders.main(options) == 0

    assert "limit 0.0001" not in capsys.readouterr().out


def test_a_device_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decoders.main(["--device", "nowhere", "-o", str(tmp_path)]) == 1

    assert "try --device cpu" in capsys.readouterr().err


def test_the_official_sizes_are_the_released_ones() -> None:
    official, released = decoders.SIZES["official"], ObjectsArchitecture()

    assert official.num_voxels == 25_000
    assert (official.splats, official.few_splats) == (released.splats, released.few_splats)
    assert official.mesh == released.mesh
