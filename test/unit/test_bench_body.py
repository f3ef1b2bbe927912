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

"""The benchmark of people: it runs, and what it compares comes to the same bodies."""

import csv
import json
from pathlib import Path

import pytest

from sam3d_ros.body.random_weights import TINY_RIG, tiny_body_architecture
from sam3d_ros.evaluation.benchmarks import body
from sam3d_ros.evaluation.benchmarks.body import main

CASES = ["1 person", "1 person, no hands", "8 people"]


def test_people_are_measured_beside_one_pass_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(body.SIZES, "reduced", (tiny_body_architecture(), TINY_RIG))
    assert main(["--size", "reduced", "--device", "cpu", "-o", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "body.json").read_text())
    assert [row["case"] for row in found["cases"]] == CASES
    one, alone, eight = found["cases"]
    assert alone["reference_ms"] is None
    assert all(row["ms"] > 0 for row in found["cases"])
    for row in (one, eight):
        assert row["difference_m"] < 1e-4
    with (tmp_path / "body.csv").open() as file:
        assert [row["case"] for row in csv.DictReader(file)] == CASES
    text = capsys.readouterr().out
    assert "limit 0.0001 m: kept" in text
    for limit in ("40 ms", "160 ms", "5 GB"):
        assert f"(limit {limit} of official sizes on a GPU in bfloat16: not judged here)" in text
    assert "BROKEN" not in text


def test_published_figures_stand_beside_ours_and_are_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(body.SIZES, "reduced", (tiny_body_architecture(), TINY_RIG))
    monkeypatch.setattr(body, "CASES", {"1 person": (1, True)})
    assert main(["--size", "reduced", "--device", "cpu", "-o", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "published, one person with hands, not measured here" in text
    assert "65 ms on an RTX 5090" in text
    assert "0.6 to 1.0 images per second" in text


def test_on_a_gpu_times_and_memory_are_judged() -> None:
    rows = [
        body.CaseFigures(case="1 person", ms=41.0, reference_ms=60.0, difference_m=0.2),
        body.CaseFigures(case="8 people", ms=150.0, reference_ms=300.0, difference_m=0.1),
    ]
    text = body._verdicts(rows, 4.5, limited=True, exact=False)
    assert "1 person: 41 ms  (limit 40 ms: BROKEN)" in text
    assert "8 people: 150 ms  (limit 160 ms: kept)" in text
    assert "4.5 GB  (limit 5 GB: kept)" in text
    assert "(limit 0.0001 m of float32: not judged here)" in text


def test_official_sizes_are_those_of_the_release() -> None:
    architecture, rig = body.SIZES["official"]
    assert architecture.rig.num_vertices == rig.rings * rig.segments + 2 == 18439
    assert architecture.rig.num_triangles == 36874
    assert (architecture.backbone.dim, architecture.backbone.depth) == (1280, 32)
