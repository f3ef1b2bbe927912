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

"""Obstacles to ``moveit_msgs/CollisionObject``, for MoveIt and for those who read the same topic.

What readers are known to do with it decides how it is filled in. MoveIt takes an empty pose for
that of the only shape (planning_scene.cpp, ``processCollisionObjectAdd``) and warns of geometry in
a MOVE; cuMotion indexes ``mesh_poses`` by the number of the mesh (cumotion_planner.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion

from sam3d_ros.ros.compat import optional_module
from sam3d_ros.ros.encode import header_of, pose_msg
from sam3d_ros.scene.obstacles import Change, Obstacle, Operation
from sam3d_ros.structures import CollisionPart, CollisionShape, Floats, Similarity

WHAT_IS_MISSING = "moveit_msgs is not installed (ros-$ROS_DISTRO-moveit-msgs)"


@dataclass(frozen=True, slots=True)
class PlanningMessages:
    """The modules of the messages, which only some machines have."""

    moveit: ModuleType  # moveit_msgs.msg
    services: ModuleType  # moveit_msgs.srv
    shapes: ModuleType  # shape_msgs.msg


def planning_messages() -> PlanningMessages | None:
    """Return the messages that planners understand, None where they are not installed."""
    names = ("moveit_msgs.msg", "moveit_msgs.srv", "shape_msgs.msg")
    moveit, services, shapes = (optional_module(name) for name in names)
    if moveit is None or services is None or shapes is None:
        return None
    return PlanningMessages(moveit, services, shapes)


class CollisionEncoder:
    """Makes messages of changes; the geometry of a shape is made once, ahead."""

    def __init__(self, messages: PlanningMessages, frame_id: str) -> None:
        self._messages = messages
        self._frame_id = frame_id
        collision_object = messages.moveit.CollisionObject
        self._operations = {
            Operation.ADD: collision_object.ADD,
            Operation.MOVE: collision_object.MOVE,
            Operation.REMOVE: collision_object.REMOVE,
        }

    def message(self, change: Change, geometry: Any = None) -> Any:
        """Return one ``CollisionObject``; ``geometry`` is what ``geometry`` made of its shape."""
        message = self._messages.moveit.CollisionObject(
            id=change.name, operation=self._operations[change.operation]
        )
        message.header.frame_id = self._frame_id
        message.pose = identity()
        if (obstacle := change.obstacle) is not None:
            message.header = header_of(self._frame_id, obstacle.stamp_ns)
            message.pose = pose_msg(obstacle.planning_from_object)
            message.type.key = obstacle.class_id
        if change.operation is Operation.ADD and obstacle is not None:
            self._dress(message, obstacle, geometry)
        return message

    def geometry(self, shape: CollisionShape) -> list[Any]:
        """Return the parts of a shape, in its frame, as messages; takes some milliseconds.

        A box is a solid to every planner, a mesh of one only a surface to some.
        """
        if shape.geometry != "box":
            return [self._mesh(part) for part in shape.parts]
        primitive = self._messages.shapes.SolidPrimitive()
        primitive.type = primitive.BOX
        size_m = np.ptp(shape.bounds, axis=0) + 2 * shape.padding_m
        primitive.dimensions = [float(side) for side in size_m]
        return [primitive]

    def request(self, objects: Iterable[Any]) -> Any:
        """Return a request of ``ApplyPlanningScene`` that changes nothing but these objects."""
        scene = self._messages.moveit.PlanningScene(is_diff=True)
        scene.robot_state.is_diff = True
        scene.world.collision_objects = list(objects)
        return self._messages.services.ApplyPlanningScene.Request(scene=scene)

    def _dress(self, message: Any, obstacle: Obstacle, geometry: list[Any]) -> None:
        shape = obstacle.shape
        if shape.geometry == "box":
            message.primitives = geometry
            message.primitive_poses = [_at(shape.bounds.mean(axis=0))]
        else:
            message.meshes = geometry
            message.mesh_poses = [identity() for _ in geometry]
        low, high = shape.bounds
        middle = (low + high) / 2
        places = {
            "top": np.array([middle[0], middle[1], high[2]]),
            "bottom": np.array([middle[0], middle[1], low[2]]),
            "center": middle,
        }
        message.subframe_names = list(places)
        message.subframe_poses = [_at(place) for place in places.values()]

    def _mesh(self, part: CollisionPart) -> Any:
        shapes = self._messages.shapes
        triangles = part.triangles.astype(np.uint32)
        return shapes.Mesh(
            vertices=[Point(x=x, y=y, z=z) for x, y, z in part.vertices.tolist()],
            triangles=[shapes.MeshTriangle(vertex_indices=corners) for corners in triangles],
        )


def attached_after(scene: Any, before: set[str]) -> set[str]:
    """Return the ids attached to the robot after one ``PlanningScene`` of the monitored scene.

    A whole scene names all of them. A difference names those that changed, and sometimes none
    although there are some; what it adds to the world has been put down.
    """
    attached = set() if not scene.is_diff else set(before)
    for each in scene.robot_state.attached_collision_objects:
        if each.object.operation == each.object.REMOVE:
            attached.discard(each.object.id)
        else:
            attached.add(each.object.id)
    in_world = {each.id for each in scene.world.collision_objects if each.operation != each.REMOVE}
    return attached - in_world


def identity() -> Pose:
    """Return the pose that changes nothing; one without its quaternion means nothing."""
    return Pose(orientation=Quaternion(w=1.0))


def _at(place: Floats) -> Pose:
    return pose_msg(Similarity(np.eye(3), np.asarray(place, dtype=np.float64)))
