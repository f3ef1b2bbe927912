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

from launch import LaunchDescription
from started import Started, declared

from sam3d_ros.ros.compat.packages import vision_messages

LAUNCH_FILE = "sam3d.launch.py"
DEFAULT = Started(LAUNCH_FILE)
GIVEN = Started(
    LAUNCH_FILE,
    namespace="left",
    image_topic="/cam/color/image_raw",
    depth_topic="/cam/depth/image_rect",
    depth_info_topic="/elsewhere/info",
    masks_topic="labels",
    output_frame="base_link",
    planning_frame="world",
    backend="lift",
    allow_download="true",
    use_sim_time="true",
)
NAMED = Started(
    LAUNCH_FILE,
    detections_topic="/seg/detections",
    masks_topic="/seg/labels",
    masks_mode="label_image",
    precision="fp32",
    overlay="true",
    log_level="warn",
)
CAMERA = Started(LAUNCH_FILE, camera="realsense", image_topic="/other/image_raw")


@launch_pytest.fixture
def default() -> LaunchDescription:
    return DEFAULT.description


@launch_pytest.fixture
def given() -> LaunchDescription:
    return GIVEN.description


@launch_pytest.fixture
def named() -> LaunchDescription:
    return NAMED.description


@launch_pytest.fixture
def camera() -> LaunchDescription:
    return CAMERA.description


@launch_pytest.fixture
def playing(shared_data: Path) -> LaunchDescription:
    return Started(
        LAUNCH_FILE, bag=str(shared_data / "synthetic_tabletop" / "scene_01")
    ).description


@pytest.mark.parametrize("file", [LAUNCH_FILE, "replay.launch.py", "demo.launch.py"])
def test_every_argument_says_what_it_does(file: str) -> None:
    arguments = declared(file)

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
    assert node.parameter("planning.frame") == "world"
    assert node.parameter("planning.enabled") is True
    assert node.parameter("objects.backend") == "lift"
    assert node.parameter("weights.allow_download") is True
    assert node.parameter("use_sim_time") is True

    yield

    assert GIVEN.return_codes == [0]


@pytest.mark.skipif(
    vision_messages() is None, reason="vision_msgs, the type of these topics, is not installed"
)
@pytest.mark.launch(fixture=named)
def test_masks_have_their_names_from_the_topics_of_their_provider(
    observe: Callable[[str], Any],
) -> None:
    node = observe("/sam3d/sam3d_node")

    assert node.listens_to({"/seg/labels", "/seg/detections", "/seg/label_info"})
    assert node.parameter("precision") == "fp32"
    assert node.parameter("debug.overlay") is True
    assert node.parameter("body.enabled") is False


@pytest.mark.launch(fixture=camera)
def test_a_camera_has_its_topics_where_none_are_given(observe: Callable[[str], Any]) -> None:
    depth = "/camera/camera/aligned_depth_to_color"

    assert observe("/sam3d/sam3d_node").listens_to(
        {
            "/other/image_raw",
            "/other/camera_info",
            f"{depth}/image_raw",
            f"{depth}/camera_info",
            "/sam3d/masks",
        }
    )


@pytest.mark.launch(fixture=playing)
def test_a_recording_becomes_objects(observe: Callable[[str], Any]) -> None:
    from sam3d_ros.msg import ObjectArray

    node = observe("/sam3d/sam3d_node")
    # Objects are shown one by one, as they are finished.
    node.latched(ObjectArray, "objects", lambda message: len(message.objects) == 5)

    assert node.parameter("use_sim_time") is True
