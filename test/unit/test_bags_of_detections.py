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

"""Bags whose masks are boxes of a detector, or have their classes from one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from sam3d_ros.apps.bags import IMAGE, INFO, MASKS, Bag, BagTopics, choose_topics
from sam3d_ros.apps.sources import bag_source
from sam3d_ros.config import MasksConfig, NodeConfig
from sam3d_ros.errors import DatasetError
from sam3d_ros.structures import Frame

# The fields of vision_msgs 4 that are needed; the bag carries these definitions.
DEFINITIONS = {
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\n"
    "geometry_msgs/PoseWithCovariance pose\n",
    "Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox2D bbox\nstring id\n",
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n",
    "VisionClass": "uint16 class_id\nstring class_name\n",
    "LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
}
WIDTH, HEIGHT = 64, 48
TOPICS = {"/image": IMAGE, "/camera_info": INFO, "/depth": IMAGE, "/masks": IMAGE}
TOPICS |= {"/found": "vision_msgs/msg/Detection2DArray", "/names": "vision_msgs/msg/LabelInfo"}


class Messages:
    """Makes the messages of one exposure: a plate at 1 m before a wall at 2 m."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_HUMBLE)
        for name, text in DEFINITIONS.items():
            self.store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
        self.header = self.make("std_msgs/msg/Header", stamp=self.stamp(), frame_id="camera")

    def make(self, type_name: str, **fields: Any) -> Any:
        return self.store.types[type_name](**fields)

    def vision(self, name: str, **fields: Any) -> Any:
        return self.make(f"vision_msgs/msg/{name}", **fields)

    def stamp(self) -> Any:
        return self.make("builtin_interfaces/msg/Time", sec=7, nanosec=0)

    def image(self, pixels: Any, encoding: str) -> Any:
        return self.make(
            IMAGE,
            header=self.header,
            height=HEIGHT,
            width=WIDTH,
            encoding=encoding,
            is_bigendian=0,
            step=pixels.strides[0],
            data=np.frombuffer(pixels.tobytes(), np.uint8),
        )

    def info(self) -> Any:
        roi = self.make(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        )
        return self.make(
            INFO,
            header=self.header,
            height=HEIGHT,
            width=WIDTH,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=np.array([60.0, 0, 31.5, 0, 60.0, 23.5, 0, 0, 1]),
            r=np.eye(3).ravel(),
            p=np.zeros(12),
            binning_x=0,
            binning_y=0,
            roi=roi,
        )

    def detections(self) -> Any:
        point = self.vision("Point2D", x=32.0, y=24.0)
        center = self.vision("Pose2D", position=point, theta=0.0)
        pose = self.make(
            "geometry_msgs/msg/PoseWithCovariance",
            pose=self.make(
                "geometry_msgs/msg/Pose",
                position=self.make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0),
                orientation=self.make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
            ),
            covariance=np.zeros(36),
        )
        hypothesis = self.vision("ObjectHypothesis", class_id="41", score=0.5)
        detection = self.vision(
            "Detection2D",
            header=self.header,
            results=[self.vision("ObjectHypothesisWithPose", hypothesis=hypothesis, pose=pose)],
            bbox=self.vision("BoundingBox2D", center=center, size_x=36.0, size_y=28.0),
            id="12",
        )
        return self.vision("Detection2DArray", header=self.header, detections=[detection])

    def names(self) -> Any:
        cup = self.vision("VisionClass", class_id=41, class_name="cup")
        return self.vision("LabelInfo", header=self.header, class_map=[cup], threshold=0.0)

    def exposure(self) -> dict[str, Any]:
        labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        labels[14:34, 18:46] = 5
        return {
            "/names": self.names(),
            "/image": self.image(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "rgb8"),
            "/camera_info": self.info(),
            "/depth": self.image(np.where(labels > 0, 1000, 2000).astype(np.uint16), "16UC1"),
            "/found": self.detections(),
            "/masks": self.image(labels, "mono8"),
        }


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bag of one exposure."""
    path, made = tmp_path_factory.mktemp("bags") / "bag", Messages()
    with Writer(path, version=9) as writer:
        for topic, message in made.exposure().items():
            connection = writer.add_connection(topic, TOPICS[topic], typestore=made.store)
            data = made.store.serialize_cdr(message, TOPICS[topic])
            writer.write(connection, 7_000_000_000, data)
    return path


def only_frame(path: Path, given: BagTopics, mode: str = "label_image") -> Frame:
    config = NodeConfig(masks=MasksConfig(mode=mode))
    with Bag(path) as opened:
        topics = choose_topics(opened.topics, given, masks_mode=mode)
        (frame,) = bag_source("bag", opened, topics, config).items
    assert isinstance(frame, Frame), frame
    return frame


def test_masks_have_the_classes_of_detections_that_are_named(bag: Path) -> None:
    (mask,) = only_frame(bag, BagTopics(detections="/found", label_info="/names")).masks
    assert (mask.instance_id, mask.class_id, mask.score) == (5, "cup", 0.5)


def test_detections_of_others_in_the_bag_are_left_alone(bag: Path) -> None:
    (mask,) = only_frame(bag, BagTopics()).masks
    assert (mask.instance_id, mask.class_id) == (5, "object")


def test_boxes_are_found_by_their_type_and_become_masks(bag: Path) -> None:
    frame = only_frame(bag, BagTopics(), "detections")
    (mask,) = frame.masks
    assert (mask.instance_id, mask.class_id) == (12, "41")
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[14:34, 18:46] = True
    np.testing.assert_array_equal(mask.mask, expected)


def test_without_any_the_error_says_what_the_bag_has() -> None:
    available = {name: kind for name, kind in TOPICS.items() if kind != MASKS["detections"]}
    with pytest.raises(DatasetError, match="no topic looks like masks"):
        choose_topics(available, BagTopics(), masks_mode="detections")
