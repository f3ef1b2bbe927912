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

"""The benchmark of the whole pipeline: it runs, and its parts add up."""

import json
from pathlib import Path

import pytest

from sam3d_ros.evaluation.benchmarks.goals import Goal, compared
from sam3d_ros.evaluation.benchmarks.measuring import NOT_JUDGED
from sam3d_ros.evaluation.benchmarks.pipeline import main

LIMITS = {
    "one refinement velocity": "45 ms",
    "splats": "40 ms",
    "full mesh": "900 ms",
    "fast mesh": "60 ms",
    "all weights resident": "12 GB",
    "low_memory": "8 GB",
}


def test_the_pipeline_is_measured_with_one_object_and_with_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--size", "reduced", "--device", "cpu", "-o", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "pipeline.json").read_text())
    assert [row["way"] for row in found["ways"]] == ["one object", "4 at once"]
    for row in found["ways"]:
        assert row["voxels"] > 100
        assert set(row["stage_s"]) >= {"condition", "geometry", "refinement", "splats", "mesh"}
        assert row["seconds"] == pytest.approx(sum(row["stage_s"].values()))
        assert row["peak_mb"] is None  # of a GPU
    shown = capsys.readouterr().out
    lines = {line[:24].strip(): line[24:].split("  ")[-1] for line in shown.splitlines()}
    for stage, limit in LIMITS.items():
        assert f"{limit}  {NOT_JUDGED}" in shown
        assert lines[stage] == NOT_JUDGED
    assert "32 GB" in shown
    assert "8 to 12 s" in shown


def test_goals_are_judged_where_they_hold() -> None:
    goals = [
        Goal("splats", 40.0, "ms", ours=39.0),
        Goal("full mesh", 900.0, "ms", ours=901.0),
        Goal("fast mesh", 60.0, "ms", elsewhere="meshing"),
        Goal("one object", None, "s", ours=1.25, reference="8 to 12 s"),
    ]
    *_, splats, full, fast, whole = compared(goals, judged=True).splitlines()
    assert splats.endswith("40 ms  39 ms (kept)")
    assert full.endswith("900 ms  901 ms (BROKEN)")
    assert fast.endswith("60 ms  see sam3d bench meshing")
    assert whole.split() == ["one", "object", "8", "to", "12", "s", "-", "1.25", "s"]
