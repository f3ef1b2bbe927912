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

"""Collision objects as planners read them, with stand-ins for the messages or the real ones."""

from typing import Any

import numpy as np
import planning_stand_ins as stand_ins
import pytest

from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.planning.messages import (
    CollisionEncoder,
    PlanningMessages,
    attached_after,
    planning_messages,
)
from sam3d_ros.scene.obstacles import Change, Obstacle, Operation
from sam3d_ros.structures import CollisionPart, CollisionShape, Similarity

pytestmark = pytest.mark.ros
REASON = "moveit_msgs is not installed"


@pytest.fixture(params=["stand-ins", "moveit_msgs"])
def messages(request: pytest.FixtureRequest) -> PlanningMessages:
    """Return the messages, real ones too where they are installed."""
    found = stand_ins.stand_ins() if request.param == "stand-ins" else planning_messages()
    if found is None:
        pytest.skip(REASON)
    return found


def part(offset_m: float) -> CollisionPart:
    triangles = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], dtype=np.int32)
    return CollisionPart(vertices=offset_m + 0.1 * np.eye(4, 3), triangles=triangles)


def shape(geometry: str = "convex_decomposition", num_parts: int = 2) -> CollisionShape:
    return CollisionShape(
        parts=tuple(part(0.1 * number) for number in range(num_parts)),
        geometry=geometry,
        bounds=np.array([[0.0, 0.0, 0.0], [0.2, 0.4, 0.6]]),
        padding_m=0.01,
        is_watertight=True,
        volume_m3=0.001,
        uncovered_m=0.0,
        hausdorff_m=0.0,
        seconds=0.0,
    )


def change(operation: Operation, made: CollisionShape) -> Change:
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    obstacle = Obstacle(
        name="sam3d_mug_3",
        class_id="mug",
        planning_from_object=Similarity(turn, np.array([1.0, 2.0, 3.0])),
        stamp_ns=1_500_000_000,
        seen_ns=1_500_000_000,
        shape=made,
    )
    return Change(operation=operation, name=obstacle.name, obstacle=obstacle)


def encoded(messages: PlanningMessages, operation: Operation, made: CollisionShape) -> Any:
    encoder = CollisionEncoder(messages, "base_link")
    return encoder.message(change(operation, made), encoder.geometry(made))


def is_identity(pose: Any) -> bool:
    position, turn = pose.position, pose.orientation
    return (position.x, position.y, position.z) == (0, 0, 0) and (turn.w, turn.x) == (1, 0)


def test_an_added_object_has_all_that_planners_ask_for(messages: PlanningMessages) -> None:
    message = encoded(messages, Operation.ADD, shape())
    assert message.operation == messages.moveit.CollisionObject.ADD
    assert (message.id, message.type.key) == ("sam3d_mug_3", "mug")
    assert message.header.frame_id == "base_link"
    assert stamp_ns_from_msg(message.header.stamp) == 1_500_000_000
    assert (message.pose.position.x, message.pose.position.z) == (1.0, 3.0)
    assert message.pose.orientation.w == pytest.approx(np.sqrt(0.5))
    assert message.pose.orientation.z == pytest.approx(np.sqrt(0.5))
    assert len(message.meshes) == len(message.mesh_poses) == 2
    assert all(is_identity(pose) for pose in message.mesh_poses)
    assert not message.primitives


def test_meshes_lie_in_the_frame_of_the_object(messages: PlanningMessages) -> None:
    mesh = encoded(messages, Operation.ADD, shape()).meshes[1]
    vertices = np.array([(each.x, each.y, each.z) for each in mesh.vertices])
    np.testing.assert_allclose(vertices, part(0.1).vertices)
    triangles = np.array([list(each.vertex_indices) for each in mesh.triangles])
    np.testing.assert_array_equal(triangles, part(0.1).triangles)


def test_subframes_are_top_bottom_and_center(messages: PlanningMessages) -> None:
    message = encoded(messages, Operation.ADD, shape())
    places = {
        name: (pose.position.x, pose.position.y, pose.position.z, pose.orientation.w)
        for name, pose in zip(message.subframe_names, message.subframe_poses, strict=True)
    }
    assert places["top"] == pytest.approx((0.1, 0.2, 0.6, 1.0))
    assert places["bottom"] == pytest.approx((0.1, 0.2, 0.0, 1.0))
    assert places["center"] == pytest.approx((0.1, 0.2, 0.3, 1.0))


def test_a_box_is_a_solid(messages: PlanningMessages) -> None:
    message = encoded(messages, Operation.ADD, shape("box", 1))
    (primitive,) = message.primitives
    assert primitive.type == messages.shapes.SolidPrimitive.BOX
    assert list(primitive.dimensions) == pytest.approx([0.22, 0.42, 0.62])
    (pose,) = message.primitive_poses
    assert (pose.position.x, pose.position.y, pose.position.z) == pytest.approx((0.1, 0.2, 0.3))
    assert not message.meshes


def test_a_moved_object_has_a_pose_and_no_geometry(messages: PlanningMessages) -> None:
    message = encoded(messages, Operation.MOVE, shape())
    assert message.operation == messages.moveit.CollisionObject.MOVE
    assert message.pose.position.y == 2.0
    for geometry in (message.meshes, message.mesh_poses, message.primitives):
        assert not geometry
    assert not message.subframe_names


def test_a_removed_object_is_named_and_has_a_valid_pose(messages: PlanningMessages) -> None:
    encoder = CollisionEncoder(messages, "base_link")
    message = encoder.message(Change(operation=Operation.REMOVE, name="sam3d_mug_3"))
    assert message.operation == messages.moveit.CollisionObject.REMOVE
    assert (message.id, message.header.frame_id) == ("sam3d_mug_3", "base_link")
    assert is_identity(message.pose)


def test_a_scene_changes_nothing_but_the_objects(messages: PlanningMessages) -> None:
    message = encoded(messages, Operation.ADD, shape())
    scene = CollisionEncoder(messages, "base_link").request([message]).scene
    assert scene.is_diff
    assert scene.robot_state.is_diff
    assert [each.id for each in scene.world.collision_objects] == ["sam3d_mug_3"]


# What the robot holds


def monitored(is_diff: bool, attached: dict[str, str], world: dict[str, str]) -> Any:
    """Return a scene as move_group publishes it: operation by id."""
    scene = stand_ins.PlanningScene(is_diff=is_diff)
    made = stand_ins.CollisionObject
    scene.robot_state.attached_collision_objects = [
        stand_ins.AttachedCollisionObject(made(id=name, operation=getattr(made, operation)))
        for name, operation in attached.items()
    ]
    scene.world.collision_objects = [
        made(id=name, operation=getattr(made, operation)) for name, operation in world.items()
    ]
    return scene


def test_a_whole_scene_names_all_that_is_attached() -> None:
    assert attached_after(monitored(False, {"a": "ADD"}, {"c": "ADD"}), {"b"}) == {"a"}
    assert attached_after(monitored(False, {}, {}), {"b"}) == set()


def test_a_difference_without_a_word_on_it_leaves_what_is_attached() -> None:
    assert attached_after(monitored(True, {}, {"c": "ADD"}), {"a"}) == {"a"}


def test_what_is_attached_and_taken_from_the_world_at_once_is_attached() -> None:
    assert attached_after(monitored(True, {"a": "ADD"}, {"a": "REMOVE"}), set()) == {"a"}


def test_what_comes_back_to_the_world_or_is_removed_is_attached_no_more() -> None:
    assert attached_after(monitored(True, {}, {"a": "ADD"}), {"a", "b"}) == {"b"}
    assert attached_after(monitored(True, {"a": "REMOVE"}, {}), {"a", "b"}) == {"b"}
