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

"""A bag's objects stand still in the root of the tree in which its camera moves, or in none."""

from pathlib import Path
from typing import Any

import pytest
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore

from sam3d_ros.apps.bag_frames import moving_root
from sam3d_ros.apps.bags import Bag, BagTopics

STORE = get_typestore(Stores.ROS2_HUMBLE)
TOPICS = BagTopics(image="image", camera_info="info", masks="masks")


def message(name: str, **values: Any) -> Any:
    return STORE.types[name](**values)


def header(seconds: int, frame_id: str) -> Any:
    stamp = message("builtin_interfaces/msg/Time", sec=seconds, nanosec=0)
    return message("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def transforms(seconds: int, **parents: str) -> Any:
    """Return a message that says in which frame others hang, by their names."""
    nothing = message("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    turn = message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    pose = message("geometry_msgs/msg/Transform", translation=nothing, rotation=turn)
    hung = [
        message(
            "geometry_msgs/msg/TransformStamped",
            header=header(seconds, parent),
            child_frame_id=child,
            transform=pose,
        )
        for child, parent in parents.items()
    ]
    return message("tf2_msgs/msg/TFMessage", transforms=hung)


def root_in(
    folder: Path, *, moving: dict[int, dict[str, str]], static: dict[str, str], masks: list[int]
) -> str:
    """Return the root of a bag.

    Args:
        folder: For it.
        moving: What hangs where, by seconds.
        static: What hangs where for ever.
        masks: When masks come, in seconds.
    """
    path = folder / "bag"
    with Writer(path, version=9) as writer:

        def write(topic: str, kind: str, seconds: int, value: Any) -> None:
            known = [each for each in writer.connections if each.topic == topic]
            where = known[0] if known else writer.add_connection(topic, kind, typestore=STORE)
            writer.write(where, seconds * 10**9, bytes(STORE.serialize_cdr(value, kind)))

        write("/tf_static", "tf2_msgs/msg/TFMessage", 0, transforms(0, **static))
        for seconds, parents in moving.items():
            write("/tf", "tf2_msgs/msg/TFMessage", seconds, transforms(seconds, **parents))
        for seconds in masks:
            # What the masks are does not matter: only their stamps are read.
            stamped = message(
                "geometry_msgs/msg/PointStamped",
                header=header(seconds, "camera"),
                point=message("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0),
            )
            write("info", "geometry_msgs/msg/PointStamped", seconds, stamped)
            write("masks", "geometry_msgs/msg/PointStamped", seconds, stamped)
    with Bag(path) as bag:
        return moving_root(bag, TOPICS)


ARM = {"camera": "hand", "base": "world"}
MOVES = {0: {"hand": "base"}, 5: {"hand": "base"}}


def test_a_camera_on_an_arm_moves_in_the_world(tmp_path: Path) -> None:
    assert root_in(tmp_path, moving=MOVES, static=ARM, masks=[1, 4]) == "world"


def test_old_names_with_a_slash_are_the_same_frames(tmp_path: Path) -> None:
    old = {"camera": "/hand", "base": "/world"}
    assert root_in(tmp_path, moving=MOVES, static=old, masks=[1]) == "world"


def test_a_camera_that_stands_needs_no_other_frame(tmp_path: Path) -> None:
    others = {0: {"wheel": "base"}, 5: {"wheel": "base"}}
    static = {"camera": "base"}
    assert root_in(tmp_path, moving=others, static=static, masks=[1]) == ""


@pytest.mark.parametrize("masks", [[1, 6], [6]])
def test_no_mask_is_lost_for_want_of_a_transform(tmp_path: Path, masks: list[int]) -> None:
    assert root_in(tmp_path, moving=MOVES, static=ARM, masks=masks) == ""


def test_a_loop_has_no_root(tmp_path: Path) -> None:
    loop = {"camera": "hand", "base": "camera"}
    assert root_in(tmp_path, moving=MOVES, static=loop, masks=[1]) == ""


def test_nothing_is_known_of_a_camera_that_hangs_nowhere(tmp_path: Path) -> None:
    assert root_in(tmp_path, moving=MOVES, static={"base": "world"}, masks=[1]) == ""
