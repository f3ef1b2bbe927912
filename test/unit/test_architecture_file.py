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

"""Sizes beside weights: what is written is read, and what is no size is refused."""

import json
from pathlib import Path

import pytest

from sam3d_ros.errors import WeightsError
from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.architecture_file import read_architecture, write_architecture
from sam3d_ros.objects.random_weights import tiny_architecture


def stated(folder: Path, **values: object) -> Path:
    (folder / "architecture.json").write_text(json.dumps(values))
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_architecture(tiny_architecture(), tmp_path)
    assert read_architecture(tmp_path) == tiny_architecture()


def test_a_folder_that_states_no_sizes_has_the_released_ones(tmp_path: Path) -> None:
    assert read_architecture(tmp_path) == ObjectsArchitecture()


def test_what_is_not_stated_is_as_released(tmp_path: Path) -> None:
    architecture = read_architecture(stated(tmp_path, geometry={"dim": 64}))
    assert architecture.geometry.dim == 64
    assert architecture.geometry.num_blocks == ObjectsArchitecture().geometry.num_blocks
    assert architecture.occupancy == ObjectsArchitecture().occupancy


def test_an_embedder_of_points_can_be_left_out_and_put_in(tmp_path: Path) -> None:
    folder = stated(
        tmp_path,
        geometry_condition={"point_patch": None},
        refinement_condition={"point_patch": {"dim": 64}},
    )
    architecture = read_architecture(folder)
    assert architecture.geometry_condition.point_patch is None
    assert architecture.refinement_condition.point_patch is not None
    assert architecture.refinement_condition.point_patch.dim == 64


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"geometri": {}}, "architecture has no geometri, expected some of"),
        ({"geometry": {"width": 3}}, r"architecture\.geometry has no width"),
        ({"geometry": {"dim": "wide"}}, r"geometry\.dim must be like 1024, got 'wide'"),
        ({"geometry": {"dim": True}}, r"geometry\.dim must be like 1024, got True"),
        ({"geometry": 5}, r"architecture\.geometry must be an object, got 5"),
        ({"occupancy": {"channels": [8, "x"]}}, r"occupancy\.channels must be like"),
        ({"occupancy": {"channels": 8}}, r"occupancy\.channels must be like"),
    ],
)
def test_what_is_no_size_is_refused(values: dict[str, object], text: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=text):
        read_architecture(stated(tmp_path, **values))


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "architecture.json").write_text("{")
    with pytest.raises(WeightsError, match=r"architecture\.json cannot be read"):
        read_architecture(tmp_path)
