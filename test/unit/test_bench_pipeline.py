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

from sam3d_ros.evaluation.benchmarks.pipeline import main


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
    assert "reference: 32000 MB" in capsys.readouterr().out
