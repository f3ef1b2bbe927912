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

"""Bags: which topics are taken for what, and messages back as they were written."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from sam3d_ros.apps.bags import (
    CLOUD,
    COMPRESSED,
    IMAGE,
    INFO,
    Bag,
    BagTopics,
    choose_topics,
    is_bag,
)
from sam3d_ros.errors import DatasetError

STORE = get_typestore(Stores.ROS2_HUMBLE)
REALSENSE = {
    "/camera/camera/color/image_raw": IMAGE,
    "/camera/camera/color/image_raw/compressed": COMPRESSED,
    "/camera/camera/color/image_raw/compressedDepth": COMPRESSED,
    "/camera/camera/color/camera_info": INFO,
    "/camera/camera/depth/image_rect_raw": IMAGE,
    "/camera/camera/depth/camera_info": INFO,
    "/camera/camera/aligned_depth_to_color/image_raw": IMAGE,
    "/camera/camera/aligned_depth_to_color/camera_info": INFO,
    "/camera/camera/infra1/image_rect_raw": IMAGE,
    "/camera/camera/depth/color/points": CLOUD,
    "/sam2/masks": IMAGE,
}
AZURE = {
    "/rgb/image_raw": IMAGE,
    "/rgb/camera_info": INFO,
    "/ir/image_raw": IMAGE,
    "/depth_to_rgb/image_raw": IMAGE,
    "/depth_to_rgb/camera_info": INFO,
    "/instance_segmentation": IMAGE,
    "/ouster/points": CLOUD,
}
COMPRESSED_ONLY = {
    "/front/image_raw/compressed": COMPRESSED,
    "/front/camera_info": INFO,
    "/labels": IMAGE,
    "/labels_overlay": IMAGE,
}


def write_bag(path: Path, storage: StoragePlugin, num: int = 3) -> Path:
    """Write ``num`` small images with stamps one second apart."""
    image_type = STORE.types[IMAGE]
    header_type, time_type = (
        STORE.types["std_msgs/msg/Header"],
        STORE.types["builtin_interfaces/msg/Time"],
    )
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connection = writer.add_connection("/image", IMAGE, typestore=STORE)
        for second in range(num):
            message = image_type(
                header=header_type(stamp=time_type(sec=second, nanosec=5), frame_id="camera"),
                height=2,
                width=3,
                encoding="mono8",
                is_bigendian=0,
                step=3,
                data=np.full(6, second, dtype=np.uint8),
            )
            data = STORE.serialize_cdr(message, IMAGE)
            writer.write(connection, second * 1_000_000_000, data)
    return path


def test_of_a_realsense_bag_the_colour_and_the_aligned_depth_are_taken() -> None:
    topics = choose_topics(REALSENSE, BagTopics())

    assert topics == BagTopics(
        image="/camera/camera/color/image_raw",
        camera_info="/camera/camera/color/camera_info",
        masks="/sam2/masks",
        depth="/camera/camera/aligned_depth_to_color/image_raw",
        depth_info="/camera/camera/aligned_depth_to_color/camera_info",
    )


def test_of_an_azure_kinect_bag_the_infrared_image_is_left_and_the_lidar_taken() -> None:
    topics = choose_topics(AZURE, BagTopics())

    assert topics.image == "/rgb/image_raw"
    assert topics.depth == "/depth_to_rgb/image_raw"
    assert topics.masks == "/instance_segmentation"
    assert topics.points == "/ouster/points"


def test_a_compressed_image_is_taken_where_there_is_no_raw_one() -> None:
    topics = choose_topics(COMPRESSED_ONLY, BagTopics())

    assert topics.image == "/front/image_raw/compressed"
    assert topics.camera_info == "/front/camera_info"
    assert topics.masks == "/labels"
    assert topics.depth == ""


NODES_OWN = {
    "/sam3d/image": IMAGE,
    "/sam3d/camera_info": INFO,
    "/sam3d/depth": IMAGE,
    "/sam3d/depth/camera_info": INFO,
    "/sam3d/masks": IMAGE,
}


def test_the_node_s_own_topics_are_found_in_a_bag_of_them() -> None:
    topics = choose_topics(NODES_OWN, BagTopics())

    assert topics.camera_info == "/sam3d/camera_info"
    assert topics.depth_info == "/sam3d/depth/camera_info"


def test_depth_with_no_camera_info_but_that_of_the_image_has_none_of_its_own() -> None:
    available = {k: v for k, v in NODES_OWN.items() if k != "/sam3d/depth/camera_info"}

    topics = choose_topics(available, BagTopics())

    assert (topics.camera_info, topics.depth_info) == ("/sam3d/camera_info", "")


def test_what_the_user_says_is_taken_and_its_camera_info_follows() -> None:
    given = BagTopics(depth="/camera/camera/depth/image_rect_raw")

    topics = choose_topics(REALSENSE, given)

    assert topics.depth == "/camera/camera/depth/image_rect_raw"
    assert topics.depth_info == "/camera/camera/depth/camera_info"


def test_a_given_topic_that_is_not_there_is_refused_with_a_list_of_those_that_are() -> None:
    with pytest.raises(DatasetError, match=r"/nowhere.*given as masks.*/labels"):
        choose_topics(COMPRESSED_ONLY, BagTopics(masks="/nowhere"))


def test_a_bag_without_masks_is_refused_with_the_option_that_names_them() -> None:
    available = {name: kind for name, kind in REALSENSE.items() if name != "/sam2/masks"}

    with pytest.raises(DatasetError, match="--masks"):
        choose_topics(available, BagTopics())


@pytest.mark.parametrize("storage", StoragePlugin, ids=["sqlite3", "mcap"])
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_messages_come_back_in_order_from_either_storage(
    storage: StoragePlugin, whole: bool, tmp_path: Path
) -> None:
    folder = write_bag(tmp_path / "bag", storage)
    path = folder if whole else next(p for p in folder.iterdir() if p.suffix != ".yaml")

    assert is_bag(path)
    with Bag(path) as bag:
        assert bag.topics == {"/image": IMAGE}
        assert bag.count("/image") == 3
        read = [message for _, _, message in bag.messages({"/image"})]
        raw = list(bag.raw_messages(bag.topics))

    assert [message.header.stamp.sec for message in read] == [0, 1, 2]
    assert [int(message.data[0]) for message in read] == [0, 1, 2]
    assert [message.stamp_ns for message in raw] == [0, 10**9, 2 * 10**9]


@pytest.mark.parametrize("storage", StoragePlugin, ids=["sqlite3", "mcap"])
def test_static_transforms_are_latched_even_where_the_bag_has_no_qos(
    storage: StoragePlugin, tmp_path: Path
) -> None:
    tf_type = "geometry_msgs/msg/TransformStamped"  # the name of the topic decides
    with Writer(tmp_path / "bag", version=9, storage_plugin=storage) as writer:
        for topic in ("/tf", "/tf_static"):
            writer.write(writer.add_connection(topic, tf_type, typestore=STORE), 0, b"")

    with Bag(tmp_path / "bag") as bag:
        assert bag.latched == {"/tf_static"}


def test_a_file_that_is_no_bag_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.mcap"
    path.write_bytes(b"nothing of a bag")

    with pytest.raises(DatasetError, match=r"broken\.mcap"):
        Bag(path)


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        is_bag(tmp_path / "nothing")
