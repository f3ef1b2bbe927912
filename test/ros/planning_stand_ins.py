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

"""What stands in for moveit_msgs and shape_msgs where they are not installed.

The classes have the fields and defaults of the definitions (moveit_msgs of ROS 2, shape_msgs 5);
like real messages they take keywords only for fields that there are.
"""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

from geometry_msgs.msg import Pose
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

from sam3d_ros.ros.planning import messages as real
from sam3d_ros.ros.planning.messages import CollisionEncoder, PlanningMessages


@dataclass
class ObjectType:
    key: str = ""
    db: str = ""


@dataclass
class SolidPrimitive:
    BOX: ClassVar[int] = 1
    type: int = 0
    dimensions: list[float] = field(default_factory=list)


@dataclass
class MeshTriangle:
    vertex_indices: Any = None


@dataclass
class Mesh:
    triangles: list[MeshTriangle] = field(default_factory=list)
    vertices: list[Any] = field(default_factory=list)


@dataclass
class CollisionObject:
    ADD: ClassVar[bytes] = b"\x00"
    REMOVE: ClassVar[bytes] = b"\x01"
    APPEND: ClassVar[bytes] = b"\x02"
    MOVE: ClassVar[bytes] = b"\x03"
    header: Header = field(default_factory=Header)
    pose: Pose = field(default_factory=Pose)
    id: str = ""
    type: ObjectType = field(default_factory=ObjectType)
    primitives: list[SolidPrimitive] = field(default_factory=list)
    primitive_poses: list[Pose] = field(default_factory=list)
    meshes: list[Mesh] = field(default_factory=list)
    mesh_poses: list[Pose] = field(default_factory=list)
    subframe_names: list[str] = field(default_factory=list)
    subframe_poses: list[Pose] = field(default_factory=list)
    operation: bytes = ADD


@dataclass
class AttachedCollisionObject:
    object: CollisionObject = field(default_factory=CollisionObject)


@dataclass
class RobotState:
    attached_collision_objects: list[AttachedCollisionObject] = field(default_factory=list)
    is_diff: bool = False


@dataclass
class PlanningSceneWorld:
    collision_objects: list[CollisionObject] = field(default_factory=list)


@dataclass
class PlanningScene:
    robot_state: RobotState = field(default_factory=RobotState)
    world: PlanningSceneWorld = field(default_factory=PlanningSceneWorld)
    is_diff: bool = False


class ApplyPlanningScene:
    """The service."""

    @dataclass
    class Request:
        scene: PlanningScene


def stand_ins() -> PlanningMessages:
    """Return messages that can be filled in and read, not sent."""
    moveit = SimpleNamespace(CollisionObject=CollisionObject, PlanningScene=PlanningScene)
    services = SimpleNamespace(ApplyPlanningScene=ApplyPlanningScene)
    shapes = SimpleNamespace(Mesh=Mesh, MeshTriangle=MeshTriangle, SolidPrimitive=SolidPrimitive)
    return PlanningMessages(moveit, services, shapes)  # type: ignore[arg-type]


def sendable() -> PlanningMessages:
    """Return types that can be sent over DDS in place of those of moveit_msgs."""
    moveit = SimpleNamespace(CollisionObject=String, PlanningScene=String)
    services = SimpleNamespace(ApplyPlanningScene=Trigger)
    return PlanningMessages(moveit, services, SimpleNamespace())  # type: ignore[arg-type]


class TextEncoder(CollisionEncoder):
    """Sends the essence of what the encoder makes of a change as text."""

    def __init__(self, _: PlanningMessages, frame_id: str) -> None:
        super().__init__(stand_ins(), frame_id)

    def message(self, change: Any, geometry: Any = None) -> String:
        made = super().message(change, geometry)
        position = made.pose.position
        essence = {
            "id": made.id,
            "operation": change.operation.name,
            "frame": made.header.frame_id,
            "class": made.type.key,
            "position": [round(each, 4) for each in (position.x, position.y, position.z)],
            "num_meshes": len(made.meshes),
            "num_boxes": len(made.primitives),
        }
        return String(data=json.dumps(essence))

    def request(self, objects: Any) -> Trigger.Request:
        self.num_asked = len(list(objects))
        return Trigger.Request()


def attached_after(scene: String, before: set[str]) -> set[str]:
    """Read a stand-in of the monitored scene: the ids of all that is attached."""
    told = json.loads(scene.data)
    attached = [AttachedCollisionObject(CollisionObject(id=name)) for name in told]
    return real.attached_after(PlanningScene(RobotState(attached)), before)
