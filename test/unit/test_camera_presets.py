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

"""Presets of cameras, and the layouts of RViz and Foxglove: that they fit the node."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sam3d_ros.errors import ConfigError
from sam3d_ros.ros.camera_presets import CameraPreset, load_preset, preset_names
from sam3d_ros.ros.decode import COLOR_LAYOUTS, DEPTH_LAYOUTS
from sam3d_ros.ros.framing import Input

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / "config"
NAMES = ("generic", "kinect", "oak", "realsense", "zed")
RELATIVE = ("generic",)
SHOWN = {
    "markers",
    "labels",
    "body_markers",
    "object_points",
}  # what a viewer draws of the node's outputs
GOOD = {
    "driver": "ros2 launch",
    "image": {"topic": "/cam/image", "encodings": ["rgb8"], "transports": ["raw"]},
    "depth": {"topic": "/cam/depth", "encodings": ["16UC1"], "transports": ["raw"]},
}


def preset(name: str) -> CameraPreset:
    return load_preset(CONFIG / "cameras" / f"{name}.yaml")


def written(folder: Path, content: Any) -> Path:
    path = folder / "some.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_the_presets_are_those_that_are_promised() -> None:
    assert tuple(preset_names(CONFIG / "cameras")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_node_reads_every_encoding_of_a_preset(name: str) -> None:
    assert set(preset(name).image.encodings) <= set(COLOR_LAYOUTS)
    assert set(preset(name).depth.encodings) <= set(DEPTH_LAYOUTS)


@pytest.mark.parametrize("name", NAMES)
def test_topics_are_valid_and_absolute_but_for_the_generic_preset(name: str) -> None:
    for topic in (preset(name).image.topic, preset(name).depth.topic):
        assert re.fullmatch(r"/?[a-z]\w*(/[a-z]\w*)+", topic)
        assert topic.startswith("/") != (name in RELATIVE)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_how_its_driver_is_started(name: str) -> None:
    assert name in str(preset(name))
    assert preset(name).driver in str(preset(name))


def test_a_preset_fills_what_is_not_given_and_nothing_else() -> None:
    given = {"image_topic": "/mine", "depth_topic": "", "masks_topic": "", "backend": "lift"}

    filled = preset("realsense").fill(given)

    assert filled == given | {"depth_topic": "/camera/camera/aligned_depth_to_color/image_raw"}


def test_a_transport_that_the_driver_lacks_is_refused_unless_the_topic_is_given(
    tmp_path: Path,
) -> None:
    camera = load_preset(written(tmp_path, GOOD))

    with pytest.raises(ConfigError, match="camera:=some has /cam/image as raw, not as compressed"):
        camera.fill({"image_transport": "compressed"})
    given = {"image_transport": "compressed", "image_topic": "/mine", "depth_topic": "/other"}
    assert camera.fill(given) == given


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"lens": 1}, "must have the keys"),
        ({"image": "/cam/image"}, "image must have the keys"),
        ({"driver": 3}, "driver must be a text, got 3"),
        ({"depth": GOOD["depth"] | {"transports": ["jpeg"]}}, "of compressedDepth, raw, got jpeg"),
        ({"depth": GOOD["depth"] | {"encodings": []}}, "encodings must be a list of names"),
    ],
)
def test_a_preset_that_is_wrong_is_refused_with_the_place(
    change: dict[str, Any], text: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=text):
        load_preset(written(tmp_path, GOOD | change))


def topics_of_the_node() -> set[str]:
    """Return what the node's source says it publishes and subscribes, in the default namespace."""
    sources = [
        path.read_text(encoding="utf-8") for path in REPOSITORY.glob("sam3d_ros/ros/**/*.py")
    ]
    own = {name for text in sources for name in re.findall(r'"~/([\w/]+)"', text)}
    inputs = {f"/sam3d/{each.value}" for each in Input}
    return {f"/sam3d/sam3d_node/{name}" for name in own} | inputs | {"/diagnostics"}


def topics_in(content: Any) -> Iterator[str]:
    """Return every topic that a layout names, without the path of a field behind it."""
    if isinstance(content, dict):
        content = [*content, *content.values()]
    if isinstance(content, list):
        for each in content:
            yield from topics_in(each)
    elif isinstance(content, str) and content.startswith("/"):
        yield content.split(".")[0]


def foxglove() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CONFIG / "sam3d.foxglove.json").read_text("utf-8"))
    return content


def rviz(name: str = "sam3d.rviz") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONFIG / name).read_text("utf-8"))
    return content


def panels_in(layout: Any) -> list[str]:
    if isinstance(layout, str):
        return [layout]
    return [*panels_in(layout["first"]), *panels_in(layout["second"])]


@pytest.mark.parametrize("layout", [foxglove(), rviz()], ids=["foxglove", "rviz"])
def test_layouts_name_topics_of_the_node_and_no_others(layout: dict[str, Any]) -> None:
    named = set(topics_in(layout))

    assert named
    assert named <= topics_of_the_node()


def test_every_panel_of_the_foxglove_layout_is_shown_once() -> None:
    assert sorted(panels_in(foxglove()["layout"])) == sorted(foxglove()["configById"])


def test_foxglove_shows_all_that_can_be_drawn_without_a_click() -> None:
    topics = foxglove()["configById"]["3D!sam3d"]["topics"]

    assert {name.rsplit("/", 1)[1] for name, each in topics.items() if each["visible"]} == SHOWN


def test_rviz_shows_all_that_can_be_drawn_without_a_click() -> None:
    displays = rviz()["Visualization Manager"]["Displays"]
    shown = {each["Topic"]["Value"] for each in displays if each["Enabled"] and "Topic" in each}

    outputs = {f"/sam3d/sam3d_node/{name}" for name in (*SHOWN, "debug/overlay")}
    assert shown == outputs | {"/sam3d/image"}


def test_rviz_shows_the_same_in_a_fixed_frame_but_looks_from_above() -> None:
    moving, fixed = (
        rviz()["Visualization Manager"],
        rviz("sam3d_fixed.rviz")["Visualization Manager"],
    )

    assert fixed["Displays"] == moving["Displays"]
    assert fixed["Views"]["Current"]["Pitch"] > 0 > moving["Views"]["Current"]["Pitch"]
