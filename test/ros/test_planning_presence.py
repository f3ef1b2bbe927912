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

"""What is an obstacle at all: not what has no certain size, and what is lost only if so wished."""

from collections.abc import Callable

import pytest
from rig import CAMERA, Rig, empty_masks, frame, info_msg, tf
from sam3d_ros.msg import Object
from test_planning import FIRST, FIXED, SECOND, WORLD, MoveGroup, planning, started

from sam3d_ros.errors import ReportCode

__all__ = ["planning"]  # a fixture
MakeRig = Callable[..., Rig]
pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("planning")]
LATER = 60  # about two seconds


def send_later(rig: Rig) -> None:
    """Send an image two seconds later, whose masks show nothing any more."""
    rig.send(tf=tf("world", CAMERA, LATER, 1.0))
    rig.settle(0.2)
    rig.send_frame(LATER, masks=empty_masks(LATER))
    rig.until(
        lambda: {each.state for each in rig.heard["/objects"][-1].objects} == {Object.LOST},
        "the loss",
    )


def test_objects_of_a_camera_without_intrinsics_are_no_obstacles(make_rig: MakeRig) -> None:
    rig = make_rig({**WORLD, "camera.fov_fallback_deg": 56.0})
    group = MoveGroup(rig)
    rig.start()
    rig.send(tf=tf("world", CAMERA, 0, 1.0))
    nothing = info_msg()
    nothing.k = [0.0] * 9
    rig.send_frame(0, camera_info=nothing, depth_info=nothing)
    assert rig.reports(1)[0].code == ReportCode.OK
    status = rig.diagnostics("planning", lambda status: status.level == status.WARN)
    assert "2 objects of a camera without intrinsics are no collision objects" in status.message
    rig.settle(0.5)
    assert group.told == []


def test_what_is_lost_stays_an_obstacle(make_rig: MakeRig) -> None:
    rig = make_rig({**FIXED, "registry.lost_after": 0.5})
    group = started(rig)
    group.until_known()
    send_later(rig)
    rig.settle(0.5)
    assert group.operations(FIRST) == group.operations(SECOND) == ["ADD"]


def test_what_is_lost_is_removed_where_that_is_wished(make_rig: MakeRig) -> None:
    rig = make_rig({**FIXED, "registry.lost_after": 0.5, "planning.remove_when_lost": True})
    group = started(rig)
    group.until_known()
    send_later(rig)
    for name in (FIRST, SECOND):
        group.until(name, "ADD", "REMOVE")
    rig.send(tf=tf("world", CAMERA, LATER + 1, 1.0))
    rig.settle(0.2)
    rig.send(**frame(LATER + 1))
    for name in (FIRST, SECOND):
        group.until(name, "ADD", "REMOVE", "ADD")
