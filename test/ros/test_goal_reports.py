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


"""Each goal of ``~/reconstruct`` has one report, also where it is refused before its turn."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from calls import Goal, refused, supplied, with_objects
from rig import CAMERA, Rig, stamp_ns
from sam3d_ros.action import Reconstruct
from sam3d_ros.msg import FrameReport

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg

MakeRig = Callable[..., Rig]
MakeGoal = Callable[..., Goal]
pytestmark = pytest.mark.ros
Select = Reconstruct.Goal

REFUSED: dict[str, tuple[dict[str, Any], ReportCode]] = {
    "an unknown object": (
        {"select": Select.OBJECTS, "ids": ["sam3d_nobody_9"]},
        ReportCode.UNKNOWN_OBJECT,
    ),
    "an unknown way to choose": ({"select": 9}, ReportCode.BAD_INPUT),
    "an unknown way to fit": ({"refine": 3}, ReportCode.BAD_INPUT),
    "an unknown format": ({"formats": ["exe"]}, ReportCode.BAD_INPUT),
    "an unknown texture": ({"texture": "velvet"}, ReportCode.BAD_INPUT),
    "a value that no mask has": (  # found out when its turn has come
        {"select": Select.INSTANCES, "instances": [77]},
        ReportCode.MASK_EMPTY,
    ),
}


@pytest.fixture
def waiting_rig(make_rig: MakeRig) -> Rig:
    """Return a rig whose node has one frame, and nothing was made of it."""
    rig = make_rig({"trigger.mode": "on_demand"})
    rig.start()
    rig.send_frame(0)
    rig.until(lambda: rig.node.session.trigger.latest, "a frame")
    return rig


def header_of(report: FrameReport) -> tuple[str, int]:
    return report.header.frame_id, stamp_ns_from_msg(report.header.stamp)


@pytest.mark.parametrize("name", REFUSED)
def test_a_goal_that_is_refused_has_one_report_that_says_what_its_result_does(
    waiting_rig: Rig, make_goal: MakeGoal, name: str
) -> None:
    options, code = REFUSED[name]
    result = make_goal(waiting_rig, **options).result()
    refused(result, code)
    report = waiting_rig.report()
    assert (report.code, report.message) == (code, result.message)
    assert header_of(report) == (CAMERA, stamp_ns(0))
    assert make_goal(waiting_rig).result().success
    assert [each.code for each in waiting_rig.reports(2)] == [code, ReportCode.OK]


def test_a_goal_without_any_frame_has_a_report_without_a_header(
    rig: Rig, make_goal: MakeGoal
) -> None:
    rig.start()
    refused(make_goal(rig).result(), ReportCode.NOT_SYNCED)
    report = rig.report()
    assert report.code == ReportCode.NOT_SYNCED
    assert header_of(report) == ("", 0)
    assert math.isnan(report.age)


def test_a_goal_with_an_old_frame_has_a_report_with_its_header(
    waiting_rig: Rig, make_goal: MakeGoal
) -> None:
    refused(make_goal(waiting_rig, **supplied(-10_000)).result(), ReportCode.MASK_STALE)
    report = waiting_rig.report()
    assert report.code == ReportCode.MASK_STALE
    assert header_of(report) == (CAMERA, stamp_ns(-10_000))


def test_of_goals_that_wait_and_one_too_many_each_has_one_report(
    waiting_rig: Rig, make_goal: MakeGoal
) -> None:
    waiting_rig.backend.gate.clear()
    first = make_goal(waiting_rig)
    waiting_rig.until(lambda: waiting_rig.backend.num_started == 1, "the first object")
    second, third = make_goal(waiting_rig), make_goal(waiting_rig)
    refused(third.result(), ReportCode.BUSY)
    assert waiting_rig.report().code == ReportCode.BUSY
    waiting_rig.backend.gate.set()
    assert first.result().success
    assert second.result().success
    waiting_rig.reports(3)
    waiting_rig.settle(0.3)
    codes = [each.code for each in waiting_rig.heard["/report"]]
    assert codes == [ReportCode.BUSY, ReportCode.OK, ReportCode.OK]


def test_a_refused_goal_says_nothing_of_whether_masks_can_be_handled(
    rig: Rig, make_goal: MakeGoal
) -> None:
    with_objects(rig)
    refused(make_goal(rig, select=9).result(), ReportCode.BAD_INPUT)
    rig.reports(2)
    assert rig.node.session.reports.last.code == ReportCode.OK
    counted = ReportCode.BAD_INPUT.name
    status = rig.diagnostics(
        "processing", lambda status: counted in {each.key for each in status.values}
    )
    assert status.level == status.OK, status.message


def test_a_mask_has_one_report_whatever_goals_are_refused(rig: Rig, make_goal: MakeGoal) -> None:
    with_objects(rig)
    for number in (1, 2):
        refused(make_goal(rig, select=9).result(), ReportCode.BAD_INPUT)
        rig.send_frame(number)
        rig.reports(1 + 2 * number)
    rig.settle(0.3)
    seen = [stamp_ns_from_msg(each.header.stamp) for each in rig.heard["/report"] if not each.code]
    assert seen == [stamp_ns(number) for number in range(3)]
    assert len(rig.heard["/report"]) == 5
