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


"""The action ``~/reconstruct``, over DDS: which frame, which masks, how far, and how it ends."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from action_msgs.msg import GoalStatus
from calls import Goal, call, refused, supplied, with_objects
from rig import PLATE_M, BoxBackend, Rig, empty_masks, frame, image_msg, info_msg, stamp_ns, tf
from sam3d_ros.action import Reconstruct

from sam3d_ros.errors import ReconstructionError, ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.structures import Mesh

MakeRig = Callable[..., Rig]
MakeGoal = Callable[..., Goal]
pytestmark = pytest.mark.ros
ON_DEMAND = {"trigger.mode": "on_demand"}
FIRST, SECOND = "sam3d_object_1", "sam3d_object_2"
Select = Reconstruct.Goal


@pytest.fixture
def waiting_rig(make_rig: MakeRig) -> Rig:
    """Return a rig whose node has one frame, and nothing was made of it."""
    rig = make_rig(ON_DEMAND)
    rig.start()
    rig.send_frame(0)
    rig.until(lambda: rig.node.session.trigger.latest, "a frame")
    return rig


# The frame


def test_the_last_frame_is_reconstructed_on_demand(waiting_rig: Rig, make_goal: MakeGoal) -> None:
    assert not waiting_rig.heard["/report"]
    goal = make_goal(waiting_rig)
    result = goal.result()
    assert (goal.status, result.success, result.code) == (GoalStatus.STATUS_SUCCEEDED, True, 0)
    assert [each.id for each in result.objects] == [FIRST, SECOND]
    assert stamp_ns_from_msg(result.objects[0].header.stamp) == stamp_ns(0)
    assert {"observe"} <= {each.name for each in result.stages}
    assert waiting_rig.report().code == ReportCode.OK
    waiting_rig.until(lambda: len(waiting_rig.heard["/meshes"]) == 2, "meshes")


def test_a_frame_in_the_goal_needs_no_topic(make_rig: MakeRig, make_goal: MakeGoal) -> None:
    rig = make_rig(ON_DEMAND)
    rig.start()
    result = make_goal(rig, **supplied(7)).result()
    assert result.success, result.message
    assert [each.id for each in result.objects] == [FIRST, SECOND]
    assert stamp_ns_from_msg(rig.report().header.stamp) == stamp_ns(7)


def test_a_frame_in_the_goal_is_placed_by_tf_at_its_stamp(
    make_rig: MakeRig, make_goal: MakeGoal
) -> None:
    rig = make_rig({**ON_DEMAND, "output_frame": "map"})
    rig.start()
    refused(make_goal(rig, **supplied(1)).result(), ReportCode.NO_TRANSFORM, "map")
    for number in (0, 2):
        rig.send(tf=tf("map", "camera_optical_frame", number, x_m=float(number)))
    rig.settle(0.3)
    (first, _) = make_goal(rig, **supplied(1)).result().objects
    assert first.header.frame_id == "map"
    assert first.pose.pose.position.x == pytest.approx(1.0 - 0.263, abs=0.02)


def test_before_any_frame_a_goal_is_refused(rig: Rig, make_goal: MakeGoal) -> None:
    rig.start()
    goal = make_goal(rig)
    refused(goal.result(), ReportCode.NOT_SYNCED, "/masks", "/diagnostics")
    assert goal.status == GoalStatus.STATUS_ABORTED


def test_a_frame_that_has_grown_old_is_refused(waiting_rig: Rig, make_goal: MakeGoal) -> None:
    waiting_rig.feed(200)
    refused(make_goal(waiting_rig).result(), ReportCode.MASK_STALE, "6.600 s older", "max_age")


def test_a_frame_of_another_time_is_refused_and_changes_nothing(
    rig: Rig, make_goal: MakeGoal
) -> None:
    with_objects(rig)
    refused(make_goal(rig, **supplied(-10_000)).result(), ReportCode.MASK_STALE)
    refused(make_goal(rig, **supplied(10_000)).result(), ReportCode.CLOCK)
    assert [each.track_id for each in rig.node.session.snapshot().objects] == [1, 2]


def test_after_time_went_back_or_clear_an_earlier_frame_is_taken(
    make_rig: MakeRig, make_goal: MakeGoal
) -> None:
    rig = make_rig(ON_DEMAND)
    rig.start()
    assert make_goal(rig, **supplied(1000)).result().success
    refused(make_goal(rig, **supplied(500)).result(), ReportCode.MASK_STALE, "~/clear")
    call(rig, "clear")
    assert make_goal(rig, **supplied(500)).result().success
    rig.feed(400)
    rig.feed(0)
    rig.send(masks=frame(0)["masks"])
    rig.until(lambda: rig.node.session.trigger.latest, "a frame")
    rig.until(lambda: rig.node.session.stamp_ns is None, "another time")
    assert make_goal(rig).result().success


def test_a_frame_without_all_of_its_messages_is_refused(rig: Rig, make_goal: MakeGoal) -> None:
    rig.start()
    goal = supplied(0)
    del goal["depth"], goal["camera_info"]
    refused(make_goal(rig, **goal).result(), ReportCode.NOT_SYNCED, "no camera_info, depth")


def test_a_second_camera_is_refused_where_poses_are_those_in_the_camera(
    rig: Rig, make_goal: MakeGoal
) -> None:
    with_objects(rig)
    goal = supplied(1)
    for message in goal.values():
        message.header.frame_id = "other_optical_frame"
    refused(make_goal(rig, **goal).result(), ReportCode.BAD_INPUT, "output_frame")


HOSTILE: dict[str, tuple[dict[str, Any], ReportCode]] = {
    "depth of an unknown encoding": (
        {"depth": image_msg(frame()["depth_info"].k.reshape(3, 3).astype("u1"), "yuv422")},
        ReportCode.ENCODING,
    ),
    "an image whose size lies": (
        {"image": image_msg(frame()["depth_info"].k.reshape(3, 3).astype("u1"), "rgb8")},
        ReportCode.ENCODING,
    ),
    "no intrinsics": ({"camera_info": info_msg(focal_px=0.0)}, ReportCode.NO_INTRINSICS),
    "intrinsics that are no numbers": (
        {"camera_info": info_msg(focal_px=math.nan)},
        ReportCode.NO_INTRINSICS,
    ),
    "no mask": ({"masks": empty_masks()}, ReportCode.MASK_EMPTY),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_frame_that_cannot_be_used_is_refused_by_its_code(
    rig: Rig, make_goal: MakeGoal, name: str
) -> None:
    rig.start()
    changed, code = HOSTILE[name]
    refused(make_goal(rig, **supplied(0, **changed)).result(), code)
    assert make_goal(rig, **supplied(1)).result().success


# The masks


@pytest.mark.parametrize(
    ("choice", "column"),
    [
        ({"select": Select.INSTANCES, "instances": [2]}, 120),
        ({"select": Select.BOX, "box": [0.0, 0.0, 70.0, 119.0]}, 40),
        ({"select": Select.BOX, "box": [110.0, 30.0, 1e6, 1e6]}, 120),
        ({"select": Select.PIXEL, "pixel": [100.0, 40.0]}, 120),
        ({"select": Select.PIXEL, "pixel": [59.4, 79.4]}, 40),
    ],
)
def test_only_the_chosen_masks_become_objects(
    waiting_rig: Rig, make_goal: MakeGoal, choice: dict[str, Any], column: int
) -> None:
    result = make_goal(waiting_rig, **choice).result()
    assert result.success, result.message
    (only,) = result.objects
    assert only.pose.pose.position.x == pytest.approx((column - 79.5) / 150.0, abs=0.01)
    assert waiting_rig.backend.num_started == 1


def test_known_objects_are_chosen_by_their_ids(rig: Rig, make_goal: MakeGoal) -> None:
    with_objects(rig)
    result = make_goal(rig, select=Select.OBJECTS, ids=[SECOND], anew=True).result()
    assert [each.id for each in result.objects] == [SECOND]
    assert rig.backend.num_started == 3


WRONG: dict[str, tuple[dict[str, Any], ReportCode]] = {
    "a value that no mask has": (
        {"select": Select.INSTANCES, "instances": [1, 77]},
        ReportCode.MASK_EMPTY,
    ),
    "a value beyond all masks": (
        {"select": Select.INSTANCES, "instances": [2**32 - 1]},
        ReportCode.MASK_EMPTY,
    ),
    "too many values": (
        {"select": Select.INSTANCES, "instances": [1] * 100_000},
        ReportCode.BAD_INPUT,
    ),
    "no value": ({"select": Select.INSTANCES}, ReportCode.BAD_INPUT),
    "an unknown object": (
        {"select": Select.OBJECTS, "ids": ["sam3d_mug_1"]},
        ReportCode.UNKNOWN_OBJECT,
    ),
    "no object": ({"select": Select.OBJECTS}, ReportCode.BAD_INPUT),
    "a box outside of the image": (
        {"select": Select.BOX, "box": [500.0, 0.0, 600.0, 100.0]},
        ReportCode.BAD_INPUT,
    ),
    "a box inside out": (
        {"select": Select.BOX, "box": [60.0, 80.0, 20.0, 40.0]},
        ReportCode.BAD_INPUT,
    ),
    "a box without size": ({"select": Select.BOX}, ReportCode.BAD_INPUT),
    "a box that is no number": (
        {"select": Select.BOX, "box": [0.0, math.nan, 100.0, 100.0]},
        ReportCode.BAD_INPUT,
    ),
    "a box without end": (
        {"select": Select.BOX, "box": [-math.inf, -math.inf, math.inf, math.inf]},
        ReportCode.BAD_INPUT,
    ),
    "a box around nothing": (
        {"select": Select.BOX, "box": [0.0, 0.0, 15.0, 15.0]},
        ReportCode.MASK_EMPTY,
    ),
    "a pixel on nothing": (
        {"select": Select.PIXEL, "pixel": [80.0, 60.0]},
        ReportCode.MASK_EMPTY,
    ),
    "a pixel outside of the image": (
        {"select": Select.PIXEL, "pixel": [160.0, 60.0]},
        ReportCode.BAD_INPUT,
    ),
    "a pixel that is no number": (
        {"select": Select.PIXEL, "pixel": [math.nan, 60.0]},
        ReportCode.BAD_INPUT,
    ),
    "an unknown way to choose": ({"select": 99}, ReportCode.BAD_INPUT),
    "an unknown format": ({"formats": ["usd"]}, ReportCode.BAD_INPUT),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_choice_that_cannot_be_met_is_refused_by_its_code(
    waiting_rig: Rig, make_goal: MakeGoal, name: str
) -> None:
    choice, code = WRONG[name]
    goal = make_goal(waiting_rig, **choice)
    refused(goal.result(), code)
    assert goal.status == GoalStatus.STATUS_ABORTED
    assert not waiting_rig.backend.num_started


# What is made


def test_known_objects_are_made_anew_only_when_that_is_asked_for(
    make_rig: MakeRig, make_goal: MakeGoal, make_box: Callable[..., Mesh]
) -> None:
    rig = with_objects(make_rig(backend=BoxBackend(make_box(*PLATE_M))))
    assert make_goal(rig).result().success
    assert rig.backend.num_started == 2
    result = make_goal(rig, anew=True).result()
    assert [each.id for each in result.objects] == [FIRST, SECOND]
    assert rig.backend.num_started == 4


def test_files_are_written_on_request(
    make_rig: MakeRig, make_goal: MakeGoal, tmp_path: Path
) -> None:
    rig = with_objects(make_rig({"output_directory": str(tmp_path)}))
    result = make_goal(rig, formats=["stl", "ply"]).result()
    names = [f"{name}.{each}" for name in (FIRST, SECOND) for each in ("stl", "ply")]
    assert list(result.files) == [str(tmp_path / name) for name in names]
    files = [path.name for path in tmp_path.iterdir() if path.is_file()]
    assert sorted(files) == sorted(names)


def test_files_that_cannot_be_written_are_told_with_the_objects(
    make_rig: MakeRig, make_goal: MakeGoal, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    rig = with_objects(make_rig({"output_directory": str(blocked)}))
    result = make_goal(rig, formats=["stl"]).result()
    refused(result, ReportCode.FILE, "output_directory")
    assert [each.id for each in result.objects] == [FIRST, SECOND]


def test_a_goal_whose_objects_all_fail_is_aborted_with_the_reason(
    waiting_rig: Rig, make_goal: MakeGoal
) -> None:
    waiting_rig.backend.error = ReconstructionError("no closed surface")
    goal = make_goal(waiting_rig)
    refused(goal.result(), ReportCode.RECONSTRUCTION, "no closed surface")
    assert goal.status == GoalStatus.STATUS_ABORTED


def test_feedback_names_stages_and_objects_and_never_goes_back(
    waiting_rig: Rig, make_goal: MakeGoal
) -> None:
    goal = make_goal(waiting_rig)
    goal.result()
    waiting_rig.until(lambda: "publish" in goal.stages, "the last feedback")
    expected = ["waiting", "decode", "observe", "measure", "reconstruct", "fit", "publish"]
    assert goal.stages == expected
    fractions = [each.fraction for each in goal.feedback]
    assert fractions == sorted(fractions)
    assert 0.0 <= fractions[0] <= fractions[-1] <= 1.0
    made = [each for each in goal.feedback if each.stage == "reconstruct"]
    assert [(each.object_index, each.num_objects) for each in made] == [(0, 2), (1, 2)]


# Cancelling and waiting


def held_up(rig: Rig, make_goal: MakeGoal) -> Goal:
    """Return a goal whose first object is being reconstructed for as long as the gate is shut."""
    rig.backend.gate.clear()
    goal = make_goal(rig)
    rig.until(lambda: rig.backend.num_started == 1, "the first object")
    return goal


def test_a_goal_in_work_is_cancelled_before_the_next_object(
    waiting_rig: Rig, make_goal: MakeGoal
) -> None:
    goal = held_up(waiting_rig, make_goal)
    assert goal.handle.status == GoalStatus.STATUS_EXECUTING
    goal.cancel()
    assert not goal.is_done
    waiting_rig.backend.gate.set()
    refused(goal.result(), ReportCode.CANCELLED, "cancelled")
    assert goal.status == GoalStatus.STATUS_CANCELED
    assert waiting_rig.backend.num_started == 1
    assert waiting_rig.report().code == ReportCode.CANCELLED
    assert not waiting_rig.node.session.snapshot().objects


def test_a_goal_that_waits_is_cancelled_at_once(waiting_rig: Rig, make_goal: MakeGoal) -> None:
    first = held_up(waiting_rig, make_goal)
    second = make_goal(waiting_rig)
    second.cancel()
    refused(second.result(), ReportCode.CANCELLED)
    assert second.status == GoalStatus.STATUS_CANCELED
    assert not first.is_done
    waiting_rig.backend.gate.set()
    assert first.result().success


def test_when_as_many_goals_wait_as_may_the_next_one_is_refused(
    waiting_rig: Rig, make_goal: MakeGoal
) -> None:
    first = held_up(waiting_rig, make_goal)
    second, third = make_goal(waiting_rig), make_goal(waiting_rig)
    refused(third.result(), ReportCode.BUSY, "queue.depth")
    assert third.status == GoalStatus.STATUS_ABORTED
    assert not first.is_done
    assert not second.is_done
    waiting_rig.backend.gate.set()
    assert first.result().success
    assert second.result().success


def test_no_mask_takes_the_place_of_a_goal_that_waits(rig: Rig, make_goal: MakeGoal) -> None:
    rig.start()
    rig.send_frame(0)
    rig.reports(1)
    call(rig, "clear")
    rig.backend.gate.clear()
    rig.send_frame(1)
    rig.until(lambda: rig.backend.num_started == 3, "a frame in work")
    goal = make_goal(rig)
    for number in (2, 3, 4):
        rig.send_frame(number)
    rig.until(lambda: rig.num_masks == 5, "three masks")
    rig.settle(0.2)
    assert not goal.is_done
    rig.backend.gate.set()
    assert goal.result().success


def test_a_goal_in_work_ends_with_the_activity_of_the_node(
    waiting_rig: Rig, make_goal: MakeGoal
) -> None:
    goal = held_up(waiting_rig, make_goal)
    second = make_goal(waiting_rig)
    waiting_rig.settle(0.2)
    waiting_rig.node.trigger_deactivate()
    waiting_rig.backend.gate.set()
    refused(second.result(), ReportCode.DROPPED, "deactivated")
    refused(goal.result(), ReportCode.DROPPED, "deactivated")


@pytest.mark.parametrize("steps", [(), ("configure",), ("configure", "activate", "deactivate")])
def test_a_node_that_is_not_active_refuses_goals(
    make_rig: MakeRig, make_goal: MakeGoal, steps: tuple[str, ...]
) -> None:
    rig = make_rig({"autostart": False})
    for step in steps:
        getattr(rig.node, f"trigger_{step}")()
    refused(make_goal(rig).result(), ReportCode.NOT_ACTIVE, "activate it")


def test_masks_go_on_being_heard_while_a_goal_is_in_work(
    waiting_rig: Rig, make_goal: MakeGoal
) -> None:
    goal = held_up(waiting_rig, make_goal)
    for number in range(1, 6):
        waiting_rig.send_frame(number)
        waiting_rig.settle(0.05)
    waiting_rig.until(lambda: waiting_rig.num_masks == 6, "masks")
    assert not goal.is_done
    waiting_rig.backend.gate.set()
    assert goal.result().success
