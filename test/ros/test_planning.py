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

"""What planners hear of the scene, over DDS.

moveit_msgs is on few machines. Here other types carry the essence of its messages, so that all but
their fields is tested everywhere; ``test_planning_messages`` tests the fields, and
``test_planning_moveit`` the real ones over DDS where they are installed.
"""

import json
import threading
import time
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import planning_stand_ins as stand_ins
import pytest
from calls import call, refused, with_objects
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.task import Future
from rig import CAMERA, PATIENCE_S, Rig, stamp_ns, tf
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.planning import planner, start
from sam3d_ros.ros.planning.shaping import Shaper
from sam3d_ros.ros.qos import reliable
from sam3d_ros.structures import CollisionPart, CollisionShape, Mesh, ShapeOrder

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros
FIRST, SECOND = "sam3d_object_1", "sam3d_object_2"
WORLD = {"planning.enabled": True, "planning.frame": "world"}
FIXED = {**WORLD, "output_frame": "world"}


class BoxMaker:
    """Makes shapes of one triangle at once, in this process."""

    def __init__(self, _: object) -> None:
        self.asked: list[str] = []

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def shape(self, mesh: Mesh, order: ShapeOrder) -> CollisionShape:
        self.asked.append(order.geometry)
        corner = CollisionPart(vertices=np.eye(3), triangles=np.array([[0, 1, 2]]))
        return CollisionShape(
            parts=(corner,) * (1 if order.geometry == "convex_hull" else 3),
            geometry=order.geometry,
            bounds=np.array([[-0.05] * 3, [0.05] * 3]),
            padding_m=order.padding_m,
            is_watertight=True,
            volume_m3=0.001,
            uncovered_m=0.0,
            hausdorff_m=0.003,
            seconds=0.0,
        )


@pytest.fixture
def planning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let messages of other types stand in for moveit_msgs, and make shapes at once."""
    monkeypatch.setattr(start, "planning_messages", stand_ins.sendable)
    monkeypatch.setattr(start, "CollisionProcess", BoxMaker)
    monkeypatch.setattr(planner, "CollisionEncoder", stand_ins.TextEncoder)
    monkeypatch.setattr(planner, "attached_after", stand_ins.attached_after)


class MoveGroup:
    """What a planner hears; answers whether it takes a scene."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.heard = rig.listen("/collision_object", String, reliable(10))
        self.accepts = True

    def serve(self) -> None:
        self._rig.tester.create_service(Trigger, "/apply_planning_scene", self._answer)

    def _answer(self, _: Any, response: Any) -> Any:
        response.success = self.accepts
        return response

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(each.data) for each in self.heard]

    def operations(self, name: str) -> list[str]:
        """Return what was said of an object, the same in a row once.

        Whether its hull is told before its parts depends on how fast those are made.
        """
        said = [each["operation"] for each in self.told if each["id"] == name]
        return [operation for operation, _ in groupby(said)]

    def until_known(self) -> None:
        """Wait until both objects are there with their final geometry."""
        for name in (FIRST, SECOND):
            self._rig.until(
                lambda name=name: self.operations(name) and self.last(name)["num_meshes"] == 3, name
            )

    def last(self, name: str) -> dict[str, Any]:
        return [each for each in self.told if each["id"] == name][-1]

    def until(self, name: str, *operations: str) -> None:
        self._rig.until(lambda: self.operations(name) == list(operations), f"{operations}")


def started(rig: Rig, x_m: float = 1.0) -> MoveGroup:
    """Start a node that knows two objects, in a world in which its camera stands at x."""
    group = MoveGroup(rig)
    rig.start()
    rig.send(tf=tf("world", CAMERA, 0, x_m))
    rig.until(lambda: _knows(rig, "world"), "the transform")
    rig.send_frame(0)
    assert rig.reports(1)[0].code == ReportCode.OK
    return group


def move_camera(rig: Rig, x_m: float) -> None:
    """Send another frame, in which the camera sees the same from elsewhere."""
    rig.send(tf=tf("world", CAMERA, 1, x_m))
    rig.settle(0.2)
    rig.send_frame(1)


def _knows(rig: Rig, name: str) -> bool:
    try:
        rig.node.session.receiver.assembler.transforms.lookup(name, CAMERA, stamp_ns(0))
    except LookupError:
        return False
    return True


def keys(status: Any) -> list[str]:
    return [each.key for each in status.values]


def value_of(status: Any, key: str) -> str:
    return str({each.key: each.value for each in status.values}[key])


# Off


def test_planning_that_is_not_enabled_is_refused_and_said(rig: Rig) -> None:
    with_objects(rig)
    refused(call(rig, "apply_planning_scene"), ReportCode.OFF, "planning.enabled is false")
    status = rig.diagnostics("outputs", lambda status: "/collision_object" in keys(status))
    assert value_of(status, "/collision_object") == "off: planning.enabled is false"


def test_without_moveit_msgs_the_node_runs_and_says_so(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "planning_messages", lambda: None)
    rig = with_objects(make_rig(WORLD))
    refused(call(rig, "apply_planning_scene"), ReportCode.OFF, "moveit_msgs is not installed")
    status = rig.diagnostics("planning", lambda _: True)
    assert "moveit_msgs is not installed" in value_of(status, "state")


@pytest.mark.usefixtures("planning")
def test_planning_without_a_frame_is_a_bad_setting(make_rig: MakeRig) -> None:
    rig = make_rig({"planning.enabled": True, "autostart": False})
    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE


# On


@pytest.mark.usefixtures("planning")
def test_objects_are_added_in_the_frame_of_the_planner(make_rig: MakeRig) -> None:
    group = started(make_rig(WORLD))
    group.until_known()
    first = group.last(FIRST)
    assert (first["frame"], first["class"]) == ("world", "object")
    assert first["position"] == pytest.approx([1.0 - 0.267, 0.0, 1.0], abs=0.02)


@pytest.mark.usefixtures("planning")
def test_what_moves_is_moved_without_geometry(make_rig: MakeRig) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    before = group.last(FIRST)
    move_camera(rig, 1.5)
    group.until(FIRST, "ADD", "MOVE")
    after = group.last(FIRST)
    assert after["position"][0] - before["position"][0] == pytest.approx(0.5, abs=0.001)
    assert after["num_meshes"] == 0


@pytest.mark.usefixtures("planning")
def test_what_stands_still_is_told_once(make_rig: MakeRig) -> None:
    rig = make_rig(FIXED)
    group = started(rig)
    group.until_known()
    for number in range(1, 4):
        rig.send_frame(number)
        rig.reports(number + 1)
    rig.settle(0.5)
    assert group.operations(FIRST) == ["ADD"]


@pytest.mark.usefixtures("planning")
def test_what_is_removed_is_removed_from_the_scene(make_rig: MakeRig) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    assert call(rig, "remove_object", id=FIRST).success
    group.until(FIRST, "ADD", "REMOVE")
    rig.settle(0.3)
    assert group.operations(SECOND) == ["ADD"]


@pytest.mark.usefixtures("planning")
def test_what_is_cleared_is_removed_from_the_scene_though_no_frame_follows(
    make_rig: MakeRig,
) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    assert call(rig, "clear").success
    group.until(FIRST, "ADD", "REMOVE")
    group.until(SECOND, "ADD", "REMOVE")


@pytest.mark.usefixtures("planning")
def test_a_planner_that_comes_late_hears_of_everything(make_rig: MakeRig) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    heard: list[String] = []
    rig.tester.create_subscription(String, "/collision_object", heard.append, reliable(10))
    rig.until(lambda: len(heard) >= 2, "all objects")
    assert {json.loads(each.data)["id"] for each in heard} == {FIRST, SECOND}
    assert {json.loads(each.data)["operation"] for each in heard} == {"ADD"}
    assert {json.loads(each.data)["num_meshes"] for each in heard} == {3}


@pytest.mark.usefixtures("planning")
def test_what_the_robot_holds_is_left_alone(make_rig: MakeRig) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    rig.advertise("/monitored_planning_scene", String, reliable(10))
    attached = rig.node.session.outputs.planner.told
    scene = rig.publishers["/monitored_planning_scene"]
    rig.until(scene.get_subscription_count, "the monitor")
    scene.publish(String(data=json.dumps([FIRST])))
    rig.until(lambda: attached.attached == {FIRST}, "what is attached")
    for name in (FIRST, SECOND):
        assert call(rig, "remove_object", id=name).success
    group.until(SECOND, "ADD", "REMOVE")
    rig.settle(0.3)
    assert group.operations(FIRST) == ["ADD"]
    scene.publish(String(data="[]"))
    group.until(FIRST, "ADD", "REMOVE")


@pytest.mark.usefixtures("planning")
def test_poses_go_on_while_a_shape_is_made(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    class Slow(BoxMaker):
        def shape(self, mesh: Mesh, order: ShapeOrder) -> CollisionShape:
            assert order.geometry == "convex_hull" or gate.wait(PATIENCE_S)
            return super().shape(mesh, order)

    monkeypatch.setattr(start, "CollisionProcess", Slow)
    rig = make_rig(WORLD)
    group = started(rig)
    group.until(SECOND, "ADD")
    move_camera(rig, 1.5)
    group.until(SECOND, "ADD", "MOVE")
    assert group.last(SECOND)["num_meshes"] == 0
    gate.set()
    group.until(SECOND, "ADD", "MOVE", "ADD")
    assert group.last(SECOND)["num_meshes"] == 3


@pytest.mark.usefixtures("planning")
def test_without_a_transform_nothing_is_told_and_diagnostics_say_so(make_rig: MakeRig) -> None:
    rig = make_rig({**WORLD, "planning.frame": "nowhere"})
    group = started(rig)
    status = rig.diagnostics("planning", lambda status: "NO_TRANSFORM" in status.message)
    assert "nowhere" in status.message
    assert not group.heard


@pytest.mark.usefixtures("planning")
def test_diagnostics_say_what_stands_for_each_object(make_rig: MakeRig) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    status = rig.diagnostics("planning", lambda status: FIRST in keys(status))
    assert value_of(status, "frame") == "world"
    assert value_of(status, "listeners") == "1"
    assert "convex_decomposition, 3 parts" in value_of(status, FIRST)
    assert "off by 3.0 mm" in value_of(status, FIRST)


# Life


@pytest.mark.usefixtures("planning")
def test_obstacles_outlive_a_deactivation_and_end_with_the_cleanup(make_rig: MakeRig) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    rig.node.trigger_deactivate()
    rig.settle(0.3)
    assert group.operations(FIRST) == ["ADD"]
    rig.node.trigger_activate()
    rig.settle(0.3)
    assert group.operations(FIRST) == ["ADD"]
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    group.until(FIRST, "ADD", "REMOVE")


# Asked for


@pytest.mark.usefixtures("planning")
def test_a_scene_is_applied_and_confirmed(make_rig: MakeRig) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    group.serve()
    rig.until(lambda: rig.node.session.outputs.planner.is_served, "the service")
    response = call(rig, "apply_planning_scene")
    assert response.success, response.message
    assert response.message == "2 collision objects are in the planning scene, in world"


@pytest.mark.usefixtures("planning")
def test_a_planner_that_refuses_or_is_not_there_is_named(make_rig: MakeRig) -> None:
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    refused(call(rig, "apply_planning_scene"), ReportCode.PLANNER, "nobody serves", "move_group")
    group.accepts = False
    group.serve()
    rig.until(lambda: rig.node.session.outputs.planner.is_served, "the service")
    refused(call(rig, "apply_planning_scene"), ReportCode.PLANNER, "refused 2", "world")


@pytest.mark.usefixtures("planning")
def test_a_planner_that_does_not_answer_holds_nothing_up(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Any, response: Any) -> Any:
        await Future()
        return response

    monkeypatch.setattr(planner, "ANSWER_S", 0.5)
    rig = make_rig(WORLD)
    group = started(rig)
    group.until_known()
    group_of_its_own = ReentrantCallbackGroup()  # else nothing else of the tester would be called
    rig.tester.create_service(
        Trigger, "/apply_planning_scene", never, callback_group=group_of_its_own
    )
    rig.until(lambda: rig.node.session.outputs.planner.is_served, "the service")
    refused(call(rig, "apply_planning_scene"), ReportCode.PLANNER, "did not answer within 0.5 s")


# For real


def test_shapes_come_from_a_process_of_their_own(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "planning_messages", stand_ins.sendable)
    monkeypatch.setattr(planner, "CollisionEncoder", stand_ins.TextEncoder)
    rig = make_rig({**WORLD, "planning.geometry": "box"})
    group = started(rig)
    group.until(FIRST, "ADD")
    assert group.last(FIRST)["num_boxes"] == 1
    rig.node.trigger_deactivate()
    rig.node.trigger_activate()
    rig.until(rig.is_connected, "connections")  # anew, and what is sent before is lost
    rig.send_frame(1)
    rig.reports(2)


def test_nothing_is_made_while_the_node_is_not_active() -> None:
    maker = BoxMaker(None)
    shaper = Shaper(maker, ShapeOrder(), lambda _: [], pytest.fail, pytest.fail)
    shaper.pause()
    mesh = make_mesh()
    shaper.want({1: (1, mesh)})
    shaper.close()
    assert maker.asked == []


def test_only_the_newest_shape_of_an_object_is_made() -> None:
    gate = threading.Event()

    class Slow(BoxMaker):
        def shape(self, mesh: Mesh, order: ShapeOrder) -> CollisionShape:
            assert gate.wait(PATIENCE_S)
            return super().shape(mesh, order)

    maker = Slow(None)
    shaper = Shaper(maker, ShapeOrder(), lambda _: [], pytest.fail, pytest.fail)
    for revision in range(1, 5):
        shaper.want({1: (revision, make_mesh())})
    gate.set()
    deadline_s = time.monotonic() + PATIENCE_S
    while not (made := shaper.made()) or made[1].shape.geometry != "convex_decomposition":
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert made[1].revision == 4
    assert maker.asked.count("convex_decomposition") == 1
    shaper.close()


def make_mesh() -> Mesh:
    return Mesh(
        vertices=np.eye(3, dtype=np.float32),
        triangles=np.array([[0, 1, 2]], dtype=np.int32),
        colors=np.zeros((3, 3), dtype=np.uint8),
        observed=np.zeros(3, dtype=np.float32),
    )
