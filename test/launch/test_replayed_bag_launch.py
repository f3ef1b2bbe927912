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

"""Bags played by the launch files; skips where launch_pytest is missing."""

import argparse
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

launch_pytest = pytest.importorskip(
    "launch_pytest", reason="launch_pytest is not installed; ROS 2 from apt or source has it"
)

from launch import LaunchDescription
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Writer
from started import FOLDER, Started, declared

from sam3d_ros.apps import replay
from sam3d_ros.apps.bags import IMAGE, INFO, MASKS

LABELS = "/segmentation/labels"
RECORDED = {
    "/cam/color/image_raw": IMAGE,
    "/cam/color/camera_info": INFO,
    "/cam/depth/image_raw": IMAGE,
    "/cam/depth/camera_info": INFO,
    "/seg/labels": IMAGE,
    "/yolo/found": MASKS["detections"],
}


def arrivals(**arguments: str) -> dict[str, str]:
    """Return the recorded topic that arrives at each input of the node that has one."""
    module = runpy.run_path(str(FOLDER / "sam3d.launch.py"))
    defaults = {
        each.name: "".join(part.text for part in each.default_value)
        for each in declared("sam3d.launch.py")
    }
    given = defaults | {"bag": "bag"} | arguments
    command = [part[0].text for part in module["player"](given).cmd]
    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    wanted = replay.wanted_of(parser.parse_args(command[2:]))
    names = replay.node_topics(RECORDED, wanted)
    published = {names.get(topic, topic): topic for topic in RECORDED}
    namespace, listens = given["namespace"], dict(module["remappings"](given))
    inputs = {
        name: module["absolute"](listens.get(name, name), namespace)
        for name in ("image", "camera_info", "depth", "depth/camera_info", "masks", "detections")
    }
    return {name: published[topic] for name, topic in inputs.items() if topic in published}


CAMERA = {
    "image": "/cam/color/image_raw",
    "camera_info": "/cam/color/camera_info",
    "depth": "/cam/depth/image_raw",
    "depth/camera_info": "/cam/depth/camera_info",
}
MASKED = CAMERA | {"masks": "/seg/labels"}
BOXED = CAMERA | {"detections": "/yolo/found"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, MASKED),
        ({"namespace": "/robot1"}, MASKED),
        ({"namespace": ""}, MASKED),
        ({"masks_topic": "/seg/labels"}, MASKED),
        ({"masks_topic": "/live/labels"}, CAMERA),
        ({"namespace": "seg", "masks_topic": "labels"}, MASKED),
        ({"image_topic": "/cam/color/image_raw"}, MASKED),
        ({"image_topic": "/cam/color/image_raw", "depth_topic": "/cam/depth/image_raw"}, MASKED),
        ({"masks_mode": "detections"}, BOXED),
        ({"masks_mode": "detections", "detections_topic": "/yolo/found"}, BOXED),
        ({"detections_topic": "/yolo/found"}, MASKED | BOXED),
    ],
)
def test_what_is_recorded_arrives_where_the_node_listens(
    arguments: dict[str, str], expected: dict[str, str]
) -> None:
    assert arrivals(**arguments) == expected


@launch_pytest.fixture
def with_given_masks(shared_data: Path) -> LaunchDescription:
    bag = str(shared_data / "bags" / "shelf_rgbd")
    return Started(
        "replay.launch.py", input=bag, masks_topic=LABELS, backend="lift", loop="true"
    ).description


@pytest.mark.launch(fixture=with_given_masks)
def test_masks_arrive_on_the_topic_that_was_given(observe: Callable[[str], Any]) -> None:
    from sam3d_ros.msg import FrameReport

    node, reports = observe("/sam3d/sam3d_node"), list[FrameReport]()
    node.node.create_subscription(FrameReport, f"{node.name}/report", reports.append, 10)

    assert node.wait_for(lambda: reports)  # of a mask, whatever became of it


PLAYED: list[Started] = []


@launch_pytest.fixture
def without_masks(shared_data: Path, tmp_path: Path) -> LaunchDescription:
    bag = tmp_path / "without_masks"
    with (
        AnyReader([shared_data / "bags" / "shelf_rgbd"]) as reader,
        Writer(bag, version=9) as writer,
    ):
        kept = [each for each in reader.connections if each.topic != LABELS]
        connections = {
            each.id: writer.add_connection(each.topic, each.msgtype, typestore=reader.typestore)
            for each in kept
        }
        for connection, stamp_ns, data in reader.messages(kept):
            writer.write(connections[connection.id], stamp_ns, data)
    PLAYED.append(Started("replay.launch.py", input=str(bag), backend="lift", loop="true"))
    return PLAYED[-1].description


@pytest.mark.launch(fixture=without_masks)
def test_a_bag_without_masks_is_played_for_a_segmenter_beside_it(
    observe: Callable[[str], Any],
) -> Iterator[None]:
    from sensor_msgs.msg import Image

    node, heard = observe("/sam3d/sam3d_node"), list[Any]()
    node.node.create_subscription(Image, "/sam3d/image", heard.append, 1)

    assert node.wait_for(lambda: heard)

    yield  # until the launch is shut down

    assert PLAYED[-1].return_codes == [0, 0]
