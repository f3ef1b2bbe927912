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

"""``~/debug/overlay`` over DDS: drawn while somebody looks, and by a process that ends."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rig import CAMERA, HEIGHT, WIDTH, Rig, stamp_ns
from sensor_msgs.msg import CompressedImage, Image

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.decode import image_from_msg, stamp_ns_from_msg
from sam3d_ros.ros.qos import best_effort

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    return make_rig({"debug.overlay": True})


def processes() -> set[str]:
    return {child.name for child in multiprocessing.active_children()}


def send_and_report(rig: Rig, number: int) -> None:
    rig.send_frame(number)
    assert rig.reports(number + 1)[number].code == ReportCode.OK


def test_objects_are_drawn_into_the_image_that_shows_them(rig: Rig) -> None:
    raw = rig.listen("/sam3d_node/debug/overlay", Image, best_effort(1))
    compressed = rig.listen("/sam3d_node/debug/overlay/compressed", CompressedImage, best_effort(1))
    rig.start()
    send_and_report(rig, 0)
    rig.until(lambda: raw and compressed, "overlays")
    assert raw[0].header.frame_id == CAMERA
    assert stamp_ns_from_msg(raw[0].header.stamp) == stamp_ns(0)
    picture = image_from_msg(raw[0])
    factor = picture.shape[0] // HEIGHT
    assert picture.shape == (factor * HEIGHT, factor * WIDTH, 3)
    _check_drawn(picture, factor)
    jpeg = cv2.imdecode(np.frombuffer(compressed[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(jpeg[..., ::-1].astype(int) - picture).mean() < 3.0


def _check_drawn(picture: Any, factor: int) -> None:
    """Check that the things are tinted, each with its colour, and their masks have outlines."""
    middles = [picture[60 * factor, column * factor].astype(int) for column in (40, 120)]
    assert all(np.ptp(middle) > 20 for middle in middles)  # the image itself is grey
    assert np.abs(middles[0] - middles[1]).max() > 20
    (corner,) = {tuple(picture[row, column]) for row, column in ((2, 2),)}
    assert corner == (90, 90, 90)
    edge = picture[60 * factor, 18 * factor : 22 * factor]
    assert (edge.min(axis=1) > 200).any()  # white


def test_without_a_subscriber_nothing_is_drawn(rig: Rig) -> None:
    rig.start()
    send_and_report(rig, 0)
    rig.settle()
    assert "overlay" not in processes()


def test_the_process_ends_with_the_activation(rig: Rig) -> None:
    raw = rig.listen("/sam3d_node/debug/overlay", Image, best_effort(1))
    rig.start()
    send_and_report(rig, 0)
    rig.until(lambda: raw, "an overlay")
    assert "overlay" in processes()
    assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert "overlay" not in processes()


def test_by_default_the_topics_do_not_exist(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    names = {publisher.topic_name for publisher in rig.node.publishers}
    assert not {name for name in names if "debug" in name}
