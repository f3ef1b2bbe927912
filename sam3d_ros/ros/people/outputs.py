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

"""The publishers of people."""

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from visualization_msgs.msg import MarkerArray

from sam3d_ros.config import NodeConfig
from sam3d_ros.msg import BodyArray, ObjectMesh
from sam3d_ros.ros.compat import hri_messages, tf_message_type
from sam3d_ros.ros.people.humans import Humans
from sam3d_ros.ros.people.markers import BodyMeshes, clearing, deletions, skeleton_markers
from sam3d_ros.ros.people.messages import (
    ParentFrame,
    bodies_msg,
    parent_frame,
    topology_msg,
    transform_msgs,
)
from sam3d_ros.ros.planning.people import PeopleObstacles
from sam3d_ros.ros.qos import TF_DEPTH, latched, reliable
from sam3d_ros.structures import BackendInUse, PeopleSnapshot, SceneSnapshot

MARKER_LIFETIME_S = (1.0, 10.0)  # shortest, longest
MakePublisher = Callable[[Any, str, QoSProfile], Any]


class PeopleOutputs:
    """Sends the people of each image once; belongs to the thread that reconstructs.

    Args:
        node: Gets topics of single people (REP-155) while it runs.
        make_publisher: Makes a publisher that follows the life of the node.
        config: Says what of people is wanted.
        obstacles: Tells a planner of people, where that is wanted.
    """

    def __init__(
        self,
        node: Node,
        make_publisher: MakePublisher,
        config: NodeConfig,
        obstacles: PeopleObstacles | None = None,
    ) -> None:
        self._config = config
        self._obstacles = obstacles
        self._bodies = make_publisher(BodyArray, "~/bodies", reliable(10))
        self._markers = make_publisher(MarkerArray, "~/body_markers", reliable(10))
        self._tf = make_publisher(tf_message_type(), "/tf", reliable(TF_DEPTH))
        self._topology = (
            make_publisher(ObjectMesh, "~/body_topology", latched(1)) if config.body.mesh else None
        )
        hri = hri_messages()
        self._humans = (
            Humans(hri, node.create_publisher, node.destroy_publisher) if hri is not None else None
        )
        self._meshes = BodyMeshes(config.markers.max_triangles)
        self._has_topology = False
        self._stamp_ns: int | None = None  # of the people that were sent last
        self._sent_s = time.monotonic()
        self.last: PeopleSnapshot | None = None
        self.backend: BackendInUse | None = None  # unknown until a frame came back from it

    def start_over(self) -> None:
        """Let stamps go back once; viewers forget everybody."""
        self._stamp_ns = None
        self.last = None
        self._markers.publish(clearing())
        if self._humans is not None:
            self._humans.clear()
        if self._obstacles is not None:
            self._obstacles.forget()

    def send(self, snapshot: SceneSnapshot) -> None:
        """Send the people of a snapshot, if it knows of some image's that were not sent yet."""
        self.backend = snapshot.body_backend or self.backend
        people = snapshot.people
        if people is None or (self._stamp_ns is not None and people.stamp_ns <= self._stamp_ns):
            return
        self._stamp_ns, self.last = people.stamp_ns, people
        parent = parent_frame(snapshot, self._config)
        self._send_transforms(people, parent)
        self._bodies.publish(bodies_msg(people, parent, with_mesh=self._config.body.mesh))
        self._send_topology(people)
        if self._humans is not None:
            self._humans.send(people, snapshot.frame_id)
        self._send_markers(people, parent)
        if self._obstacles is not None:
            self._obstacles.see(people, snapshot.frame_id)

    def close(self) -> None:
        """Give back what does not follow the life of the node."""
        if self._humans is not None:
            self._humans.close()

    def _send_transforms(self, people: PeopleSnapshot, parent: ParentFrame) -> None:
        if not (self._config.tf.publish and people.people):
            return
        transforms = [
            transform
            for person in people.people
            for transform in transform_msgs(
                person, parent, with_joints=self._config.body.joint_frames
            )
        ]
        self._tf.publish(tf_message_type()(transforms=transforms))

    def _send_topology(self, people: PeopleSnapshot) -> None:
        """Send the triangles of all people, once."""
        if self._topology is not None and people.people and not self._has_topology:
            self._topology.publish(topology_msg(people.people[0]))
            self._has_topology = True

    def _send_markers(self, people: PeopleSnapshot, parent: ParentFrame) -> None:
        """Send meshes and skeletons where somebody looks at them."""
        now_s = time.monotonic()
        shortest, longest = MARKER_LIFETIME_S
        lifetime_s = min(max(2 * (now_s - self._sent_s), shortest), longest)
        self._sent_s = now_s
        style = self._config.markers.style
        if style == "none" or not self._markers.get_subscription_count():
            return
        gone = deletions(people.gone)
        shown = skeleton_markers(people.people, parent, lifetime_s)
        self._markers.publish(MarkerArray(markers=[*gone, *shown]))
        if style != "box":
            for person in people.people:
                self._markers.publish(self._meshes.marker(person, parent, lifetime_s))
