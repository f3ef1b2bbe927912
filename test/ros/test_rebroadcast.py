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

"""Transforms of what stands still go on with the images, in a fixed frame only."""

from collections.abc import Callable

import numpy as np
import pytest
from rig import CAMERA, Rig, stamp_ns, tf

from sam3d_ros.errors import ReportCode
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.rebroadcast import STILL_S, Standing
from sam3d_ros.structures import Similarity

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros
FIXED = {"output_frame": "world", "tf.rebroadcast_rate": 20.0}
X = np.array([1.0, 0.0, 0.0])


def pose(shift_m: float = 0.0, turn_rad: float = 0.0) -> Similarity:
    return Similarity(rotation_from_axis_angle(X, turn_rad), shift_m * X)


def test_what_stands_still_is_due_when_nothing_was_said_for_a_period() -> None:
    standing = Standing()
    standing.say(1, pose(), 0.0)
    assert not standing.is_due(1, 0.1, STILL_S - 0.01)
    assert standing.is_due(1, 0.1, STILL_S)
    standing.say(1, pose(0.001, 0.01), STILL_S)
    assert not standing.is_due(1, 0.1, STILL_S + 0.09)
    assert standing.is_due(1, 0.1, STILL_S + 0.1)


@pytest.mark.parametrize("moved", [pose(0.01), pose(0.0, 0.1)])
def test_what_moved_is_not_due_until_it_has_stood_still_again(moved: Similarity) -> None:
    standing = Standing()
    standing.say(1, pose(), 0.0)
    standing.say(1, moved, 5.0)
    assert not standing.is_due(1, 0.1, 5.0 + STILL_S / 2)
    assert standing.is_due(1, 0.1, 5.0 + STILL_S)


def test_what_creeps_has_moved_at_last() -> None:
    standing = Standing()
    for step in range(10):
        standing.say(1, pose(0.001 * step), 1.0 * step)
    assert not standing.is_due(1, 0.0, 6.5)


def test_nothing_is_due_of_what_is_not_known() -> None:
    standing = Standing()
    standing.say(1, pose(), 0.0)
    standing.forget(1)
    assert not standing.is_due(1, 0.1, 100.0)


def started(rig: Rig) -> Rig:
    rig.start()
    rig.send(tf_static=tf("world", CAMERA))
    rig.settle(0.3)
    rig.send_frame(0)
    assert rig.reports(1)[0].code == ReportCode.OK
    rig.settle(STILL_S + 0.2)
    return rig


def stamps_of(rig: Rig, name: str) -> list[int]:
    return [
        stamp_ns_from_msg(each.header.stamp)
        for message in rig.heard["/tf"]
        for each in message.transforms
        if each.child_frame_id == name
    ]


def send_images(rig: Rig, numbers: range) -> None:
    """Send images without masks and depth, which show nothing new."""
    for number in numbers:
        rig.send_frame(number, masks=None, depth=None, depth_info=None)
        rig.settle(0.15)


def test_transforms_advance_with_the_images(make_rig: MakeRig) -> None:
    rig = started(make_rig(FIXED))
    send_images(rig, range(1, 5))
    stamps = stamps_of(rig, "sam3d_object_1")
    assert stamps == sorted(set(stamps))
    assert stamps[0] == stamp_ns(0)
    assert stamps[-1] == stamp_ns(4)
    rig.settle(0.5)
    assert stamps_of(rig, "sam3d_object_1") == stamps  # the camera stands still, and so do stamps


@pytest.mark.parametrize(
    "settings", [{"tf.rebroadcast_rate": 20.0}, {**FIXED, "tf.rebroadcast_rate": 0.0}]
)
def test_in_the_frame_of_a_camera_or_when_off_nothing_is_sent_again(
    make_rig: MakeRig, settings: dict[str, object]
) -> None:
    rig = started(make_rig(settings))
    send_images(rig, range(1, 4))
    assert stamps_of(rig, "sam3d_object_1") == [stamp_ns(0)]


def test_what_is_removed_is_sent_no_more(make_rig: MakeRig) -> None:
    rig = started(make_rig(FIXED))
    rig.node.session.clear()
    rig.settle(0.2)
    num_sent = len(stamps_of(rig, "sam3d_object_1"))
    send_images(rig, range(1, 4))
    assert len(stamps_of(rig, "sam3d_object_1")) == num_sent
