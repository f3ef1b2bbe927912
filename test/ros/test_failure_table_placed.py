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

"""Rows of the failure table that tell in a frame that stands still, while the camera moves."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from rig import CAMERA, Rig, check, tf
from running import SETTINGS, Running, seen, started
from sam3d_ros.msg import Object

from sam3d_ros.errors import ReportCode
from sam3d_ros.structures import Mesh

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def placed(make_box: Callable[..., Mesh]) -> Iterator[Running]:
    """Return a node that publishes in a frame in which its camera moves."""
    settings = {**SETTINGS, "output_frame": "odom", "refine.enabled": True}
    yield from started(Rig(make_box(0.1, 0.1, 0.1), settings))


def test_without_the_transform_at_the_stamp_nothing_is_published(placed: Running) -> None:
    report = placed.ask()
    check(report, ReportCode.NO_TRANSFORM, "odom", CAMERA, "/tf")
    placed.rig.send(tf=tf("odom", CAMERA, placed.number + 5))
    report = placed.ask()
    check(report, ReportCode.NO_TRANSFORM, "0.165 s older", "tf.timeout")
    assert not placed.rig.heard["/objects"]


@pytest.mark.parametrize(("speed_m_s", "flag"), [(0.3, 0), (0.9, Object.MOTION)])
def test_objects_that_a_fast_camera_sees_are_flagged(
    placed: Running, speed_m_s: float, flag: int
) -> None:
    for number in range(placed.number + 4, placed.number + 14):
        placed.rig.send(tf=tf("odom", CAMERA, number, x_m=speed_m_s * 0.033 * number))
    assert placed.ask().code == ReportCode.OK
    assert {known.flags & Object.MOTION for known in seen(placed)} == {flag}
    assert all(known.header.frame_id == "odom" for known in seen(placed))


def test_a_pose_that_nothing_agrees_with_stays_the_coarse_one_and_says_so(placed: Running) -> None:
    for number in range(placed.number + 4, placed.number + 14):
        placed.rig.send(tf=tf("odom", CAMERA, number))
    assert placed.ask().code == ReportCode.OK
    known = seen(placed)[0]
    assert known.refinement == Object.REJECTED
    assert np.isnan(known.mask_iou)
    assert known.pose.pose.position.z == pytest.approx(1.0, abs=0.01)
    assert known.pose.covariance[0] >= 0.05**2
