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

"""Reports: nothing that failed or was not measured may look like a result."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam3d_ros.config import SceneConfig, WeightsConfig
from sam3d_ros.errors import ConfigError
from sam3d_ros.evaluation.backends import ALL_NAMES, make_backend
from sam3d_ros.evaluation.evaluate import scene_names
from sam3d_ros.evaluation.report import Row, failures, hollow, report_json, summarise
from sam3d_ros.evaluation.table import failures_text, groups_table, medians_table, objects_table
from sam3d_ros.objects.random_weights import write_random_weights


def row(backend: str = "lift", name: str = "cup", failure: str = "", **metrics: float) -> Row:
    return Row(scene="s", object_name=name, backend=backend, metrics=metrics, failure=failure)


ROWS = (
    *(row(viou=value / 10, scale_ratio=1 + (-1) ** value / 10) for value in range(11)),
    row("hull", viou=0.3, depth_residual_mm=float("nan")),
    row("hull", "plate", failure="too flat"),
)


def test_summary_has_median_percentile_and_count_per_backend() -> None:
    spread = summarise(ROWS)["lift"]["viou"]

    assert (spread.median, spread.p90, spread.n) == (pytest.approx(0.5), pytest.approx(0.9), 11)


def test_what_was_not_measured_is_left_out() -> None:
    report = report_json(ROWS)

    assert set(report["summary"]["hull"]) == {"viou"}
    assert "depth_residual_mm" not in report["objects"][11]


def test_failures_are_counted_and_named() -> None:
    report = report_json(ROWS)

    assert failures(ROWS) == report["failures"] == {"lift": 0, "hull": 1}
    assert report["objects"][-1] == {
        "scene": "s",
        "object": "plate",
        "backend": "hull",
        "failure": "too flat",
    }
    assert failures_text(ROWS) == "hull failed on s / plate: too flat"


def test_a_backend_that_only_fails_is_still_in_the_summary() -> None:
    assert report_json([row("hull", failure="no")])["summary"] == {"hull": {}}


def test_the_report_is_standard_json() -> None:
    text = json.dumps(report_json(ROWS), allow_nan=False)

    assert json.loads(text)["summary"]["lift"]["viou"]["n"] == 11


def test_numpy_values_become_plain_numbers() -> None:
    json.dumps(report_json([row(viou=np.float32(0.5))]), allow_nan=False)


def test_the_table_has_one_aligned_line_per_row_and_dashes_for_the_unknown() -> None:
    lines = objects_table(ROWS).splitlines()

    assert len(lines) == 2 + len(ROWS)
    assert lines[-1].split()[:5] == ["s", "plate", "hull", "-", "-"]
    assert lines[2].index("0.000") == lines[3].index("0.100")


def test_scale_error_in_the_table_is_the_median_of_absolute_errors() -> None:
    lift = medians_table(ROWS).splitlines()[2].split()

    assert lift[0] == "lift"
    assert "10.0" in lift  # the ratios scatter around 1, so that their own median is 1.1
    assert lift[-3:] == ["11", "11", "0"]


def test_groups_have_a_line_per_backend_with_their_own_medians() -> None:
    groups = {"cups": [row(viou=0.2), row("hull", viou=0.1)], "all": list(ROWS)}

    lines = groups_table(groups).splitlines()[2:]

    assert [line.split()[:3] for line in lines] == [
        ["cups", "lift", "0.200"],
        ["cups", "hull", "0.100"],
        ["all", "lift", "0.500"],
        ["all", "hull", "0.300"],
    ]
    assert lines[-1].split()[-2:] == ["2", "1"]


def test_hollow_is_what_is_known_to_fill_little_of_its_hull() -> None:
    bowl, box, scan = row(name="bowl", solidity=0.2), row(name="box", solidity=1.0), row(name="?")

    assert hollow([bowl, box, scan]) == [bowl]


def test_the_table_of_nothing_is_its_header() -> None:
    assert len(medians_table([]).splitlines()) == 2


def test_scenes_are_named_by_as_little_of_their_path_as_tells_them_apart() -> None:
    folders = [Path("/data/a/frame_1"), Path("/data/b/frame_1"), Path("/data/b/frame_2")]

    assert scene_names(folders[1:]) == ["frame_1", "frame_2"]
    assert scene_names(folders) == ["a/frame_1", "b/frame_1", "b/frame_2"]
    assert scene_names([]) == []


@pytest.mark.parametrize("name", [name for name in ALL_NAMES if "nano" not in name])
def test_every_backend_reports_under_the_name_it_was_asked_by(name: str, tmp_path: Path) -> None:
    write_random_weights(tmp_path)
    config = SceneConfig(weights=WeightsConfig(objects=str(tmp_path)))
    assert make_backend(name, config).name == name


def test_an_unknown_backend_is_told_which_ones_there_are() -> None:
    with pytest.raises(ConfigError, match=r"one of auto, lift, .*, poisson, got 'magic'"):
        make_backend("magic", SceneConfig())
