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

"""Planning with the real messages over DDS, where moveit_msgs is installed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from calls import call
from rig import CAMERA, Rig, tf
from test_planning import FIRST, SECOND, WORLD, keys, move_camera, value_of

from sam3d_ros.ros.qos import reliable

pytest.importorskip("moveit_msgs.msg", reason="moveit_msgs is not installed")
from moveit_msgs.msg import AttachedCollisionObject, CollisionObject, PlanningScene
from moveit_msgs.srv import ApplyPlanningScene

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros


class MoveGroup:
    """What a planner hears over the topics and the service of move_group."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.heard = rig.listen("/collision_object", CollisionObject, reliable(10))
        self.scenes: list[PlanningScene] = []
        rig.tester.create_service(ApplyPlanningScene, "/apply_planning_scene", self._apply)
        rig.advertise("/monitored_planning_scene", PlanningScene, reliable(10))

    def _apply(self, request: Any, response: Any) -> Any:
        self.scenes.append(request.scene)
        response.success = True
        return response

    def of(self, name: str) -> list[Any]:
        return [each for each in self.heard if each.id == name]

    def until(self, name: str, operation: bytes) -> Any:
        self._rig.until(
            lambda: self.of(name) and self.of(name)[-1].operation == operation, f"{operation}"
        )
        return self.of(name)[-1]


@pytest.fixture
def told(make_rig: MakeRig) -> tuple[Rig, MoveGroup]:
    """Return a node that has told a planner of two boxes, each by its hull."""
    rig = make_rig({**WORLD, "planning.geometry": "convex_hull"})
    group = MoveGroup(rig)
    rig.start()
    rig.send(tf=tf("world", CAMERA, 0, 1.0))
    rig.settle(0.3)
    rig.send_frame(0)
    for name in (FIRST, SECOND):
        group.until(name, CollisionObject.ADD)
    return rig, group


def test_move_group_hears_solids_it_can_read(told: tuple[Rig, MoveGroup]) -> None:
    _, group = told
    message = group.of(FIRST)[-1]
    assert (message.header.frame_id, message.type.key) == ("world", "object")
    assert message.pose.position.x == pytest.approx(1.0 - 0.267, abs=0.02)
    assert message.pose.orientation.w == pytest.approx(1.0)
    (mesh,) = message.meshes
    vertices = np.array([(each.x, each.y, each.z) for each in mesh.vertices])
    np.testing.assert_allclose(np.ptp(vertices, axis=0), 0.106, atol=1e-3)
    assert max(max(each.vertex_indices) for each in mesh.triangles) == len(vertices) - 1
    assert [pose.orientation.w for pose in message.mesh_poses] == [1.0]
    assert list(message.subframe_names) == ["top", "bottom", "center"]


def test_move_group_hears_where_things_went(told: tuple[Rig, MoveGroup]) -> None:
    rig, group = told
    before = group.of(FIRST)[-1]
    move_camera(rig, 1.5)
    after = group.until(FIRST, CollisionObject.MOVE)
    assert after.pose.position.x - before.pose.position.x == pytest.approx(0.5, abs=1e-3)
    assert not after.meshes


def test_move_group_confirms_a_whole_scene(told: tuple[Rig, MoveGroup]) -> None:
    rig, group = told
    rig.until(lambda: rig.node.session.outputs.planner.is_served, "the service")
    response = call(rig, "apply_planning_scene")
    assert response.success, response.message
    (scene,) = group.scenes
    assert scene.is_diff
    assert scene.robot_state.is_diff
    assert {each.id for each in scene.world.collision_objects} == {FIRST, SECOND}


def test_move_group_says_what_the_robot_holds(told: tuple[Rig, MoveGroup]) -> None:
    rig, group = told
    scene = PlanningScene(is_diff=True)
    held = AttachedCollisionObject()
    held.object.id, held.object.operation = FIRST, CollisionObject.ADD
    scene.robot_state.attached_collision_objects = [held]
    monitor = rig.publishers["/monitored_planning_scene"]
    rig.until(monitor.get_subscription_count, "the monitor")
    monitor.publish(scene)
    rig.diagnostics(
        "planning",
        lambda status: (
            "state" in keys(status) and value_of(status, "attached to the robot") == FIRST
        ),
    )
    move_camera(rig, 1.5)
    group.until(SECOND, CollisionObject.MOVE)
    assert group.of(FIRST)[-1].operation == CollisionObject.ADD
