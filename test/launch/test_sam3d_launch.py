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

"""The launch file in a real ROS installation; skips where launch_pytest is missing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

launch_pytest = pytest.importorskip(
    "launch_pytest", reason="launch_pytest is not installed; ROS 2 from apt or source has it"
)

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource

SHARE = Path(get_package_share_directory("sam3d_ros"))
LAUNCH_FILE = SHARE / "launch" / "sam3d.launch.py"


class Started:
    """The launch file with arguments, and what its processes returned in the end."""

    def __init__(self, **arguments: str) -> None:
        self.return_codes: list[int] = []
        self.description = LaunchDescription(
            [
                RegisterEventHandler(OnProcessExit(on_exit=self._remember)),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(LAUNCH_FILE)),
                    launch_arguments=arguments.items(),
                ),
                launch_pytest.actions.ReadyToTest(),
            ]
        )

    def _remember(self, event: Any, _context: LaunchContext) -> None:
        self.return_codes.append(event.returncode)


DEFAULT = Started()
GIVEN = Started(
    namespace="left",
    image_topic="/cam/color/image_raw",
    depth_topic="/cam/depth/image_rect",
    depth_info_topic="/elsewhere/info",
    masks_topic="labels",
    output_frame="base_link",
    backend="lift",
    use_sim_time="true",
)


@launch_pytest.fixture
def default() -> LaunchDescription:
    return DEFAULT.description


@launch_pytest.fixture
def given() -> LaunchDescription:
    return GIVEN.description


@launch_pytest.fixture
def playing(shared_data: Path) -> LaunchDescription:
    return Started(bag=str(shared_data / "synthetic_tabletop" / "scene_01")).description


def declared() -> list[Any]:
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    return source.get_launch_description(LaunchContext()).get_launch_arguments()


def test_every_argument_says_what_it_does() -> None:
    arguments = declared()

    assert arguments
    assert all(argument.description not in ("", "no description given") for argument in arguments)


@pytest.mark.launch(fixture=default)
def test_without_arguments_the_node_activates_itself_on_topics_of_its_namespace(
    observe: Callable[[str], Any],
) -> Iterator[None]:
    node = observe("/sam3d/sam3d_node")

    assert node.wait_for(lambda: node.state() == "active")
    assert node.listens_to(
        {
            "/sam3d/image",
            "/sam3d/camera_info",
            "/sam3d/masks",
            "/sam3d/depth",
            "/sam3d/depth/camera_info",
            "/sam3d/points",
        }
    )
    assert node.parameter("output_frame") == ""
    assert node.parameter("use_sim_time") is False

    yield  # until the launch is shut down

    assert DEFAULT.return_codes == [0]


@pytest.mark.launch(fixture=given)
def test_arguments_rename_topics_and_override_the_parameter_file(
    observe: Callable[[str], Any],
) -> Iterator[None]:
    node = observe("/left/sam3d_node")

    assert node.wait_for(lambda: node.state() == "active")
    assert node.listens_to(
        {
            "/cam/color/image_raw",
            "/cam/color/camera_info",
            "/cam/depth/image_rect",
            "/elsewhere/info",
            "/left/labels",
            "/left/points",
        }
    )
    assert node.parameter("output_frame") == "base_link"
    assert node.parameter("objects.backend") == "lift"
    assert node.parameter("use_sim_time") is True

    yield

    assert GIVEN.return_codes == [0]


@pytest.mark.launch(fixture=playing)
def test_a_recording_becomes_objects(observe: Callable[[str], Any]) -> None:
    from sam3d_ros.msg import ObjectArray

    node = observe("/sam3d/sam3d_node")
    found = node.latched(ObjectArray, "objects", lambda message: bool(message.objects))

    assert len(found.objects) == 5
    assert node.parameter("use_sim_time") is True
