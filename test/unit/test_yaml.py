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

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sam3d_ros.apps.parameters import yaml_from_config
from sam3d_ros.config import NodeConfig, leaves

SHIPPED = Path(__file__).parents[2] / "config" / "sam3d.yaml"


def dotted(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_shipped_file_is_the_generated_one() -> None:
    assert SHIPPED.read_text() == yaml_from_config(NodeConfig()), (
        "write it again: python3 -m sam3d_ros.apps.parameters > config/sam3d.yaml"
    )


def test_the_shipped_file_states_every_default_with_its_type() -> None:
    stated = dict(dotted(yaml.safe_load(SHIPPED.read_text())["/**"]["ros__parameters"]))
    defaults = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value, _ in leaves(NodeConfig())
    }

    assert stated == defaults
    assert {name: type(value) for name, value in stated.items()} == {
        name: type(value) for name, value in defaults.items()
    }


def test_the_view_receives_the_latched_markers() -> None:
    view = yaml.safe_load((SHIPPED.parent / "sam3d.rviz").read_text())
    displays = {each["Name"]: each for each in view["Visualization Manager"]["Displays"]}

    assert displays["Meshes"]["Topic"]["Durability Policy"] == "Transient Local"
