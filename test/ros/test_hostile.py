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


"""The hostile messages themselves: each can be sent, and has something wrong in it."""

import struct
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("sam3d_ros.msg", reason="needs the built messages")

from rclpy.serialization import deserialize_message, serialize_message

from sam3d_ros.apps.bags import RawMessage
from sam3d_ros.evaluation.changing_table import ChangingTable
from sam3d_ros.ros.encode import LAST_NS
from sam3d_ros.ros.harness.attack import Attack
from sam3d_ros.ros.harness.fuzzing import Choice, name_of
from sam3d_ros.ros.harness.hostile import attacks
from sam3d_ros.ros.harness.ledger import stamp_of
from sam3d_ros.ros.recording import message_type, recording_from_frames

pytestmark = pytest.mark.ros
INPUTS = {"image", "camera_info", "depth", "depth/camera_info", "masks", "points", "/tf"}


@pytest.fixture(scope="module")
def good() -> dict[str, RawMessage]:
    """Return the messages of one good exposure by the name of their input."""
    frames = ChangingTable().frames([(0, 1)], lidar_stride=8)
    messages = recording_from_frames(frames, 1.0, "sam3d").messages()
    return {each.topic.removeprefix("/sam3d/"): each for each in messages}


@pytest.mark.parametrize("attack", attacks(), ids=name_of)
def test_every_attack_can_be_sent_and_changes_its_message(
    attack: Attack, good: dict[str, RawMessage]
) -> None:
    message = good[attack.topic]
    changed = deserialize_message(message.data, message_type(message.type_name))
    raw = attack.change(changed, np.random.default_rng(0))
    assert (bytes(serialize_message(changed)) if raw is None else raw) != message.data
    assert attack.codes


def test_all_inputs_are_attacked_by_names_that_differ() -> None:
    names = Counter(map(name_of, attacks()))
    assert {attack.topic for attack in attacks()} == INPUTS
    assert max(names.values()) == 1
    assert [name_of(each) for each in Choice(only="/tf: loop").attacks()] == ["/tf: loop"]


def test_the_stamp_of_a_mask_is_read_as_the_node_reports_it(good: dict[str, RawMessage]) -> None:
    data = good["masks"].data
    assert stamp_of(data) == good["masks"].stamp_ns
    last = data[:4] + struct.pack("<iI", 2**31 - 1, 2**32 - 1) + data[12:]
    assert stamp_of(last) == LAST_NS
