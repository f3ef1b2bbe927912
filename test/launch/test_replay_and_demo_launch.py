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

"""The launch files that need no robot; skips where launch_pytest is missing."""

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

launch_pytest = pytest.importorskip(
    "launch_pytest", reason="launch_pytest is not installed; ROS 2 from apt or source has it"
)

from launch import LaunchDescription
from started import FOLDER, Started

DEMO = Started("demo.launch.py", views="1")


@launch_pytest.fixture
def replay(shared_data: Path) -> LaunchDescription:
    scene = shared_data / "synthetic_tabletop" / "scene_02"
    return Started("replay.launch.py", input=str(scene), backend="lift").description


@launch_pytest.fixture
def demo() -> LaunchDescription:
    return DEMO.description


@pytest.mark.launch(fixture=replay)
def test_a_replayed_recording_becomes_objects_in_its_own_time(
    observe: Callable[[str], Any],
) -> None:
    from sam3d_ros.msg import ObjectArray

    node = observe("/sam3d/sam3d_node")

    assert node.latched(ObjectArray, "objects", lambda message: bool(message.objects))
    assert node.parameter("use_sim_time") is True
    assert node.parameter("objects.backend") == "lift"


@pytest.mark.launch(fixture=demo)
def test_the_demo_finds_objects_in_a_world_of_its_own(
    observe: Callable[[str], Any],
) -> Iterator[None]:
    from sam3d_ros.msg import ObjectArray

    node = observe("/sam3d/sam3d_node")
    found = node.latched(ObjectArray, "objects", lambda message: len(message.objects) > 1)

    assert found.header.frame_id == "world"

    yield  # until the launch is shut down

    assert DEMO.return_codes == [0, 0, 0, 0]  # rendering, replay, what is said, node


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("sam3d", "/sam3d/sam3d_node"),
        ("/robot1", "/robot1/sam3d_node"),
        ("robot1/arm/", "/robot1/arm/sam3d_node"),
        ("", "/sam3d_node"),
        ("/", "/sam3d_node"),
    ],
)
def test_the_demo_listens_to_the_node_in_any_namespace(namespace: str, name: str) -> None:
    demo = runpy.run_path(str(FOLDER / "demo.launch.py"))

    _, watch = demo["replay"]({"namespace": namespace, "hz": "1"}, "/somewhere")

    assert [each[0].text for each in watch.cmd][-1] == name
