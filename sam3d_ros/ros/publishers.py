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

"""Snapshots to topics: what moves goes to ``PoseOutputs``, geometry and reports go out here."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from sam3d_ros.config import NodeConfig
from sam3d_ros.msg import FrameReport, ObjectMesh
from sam3d_ros.ros import markers
from sam3d_ros.ros.encode import CLOUD_POINT, cloud_msg, header_of, mesh_msg
from sam3d_ros.ros.gaussians import GaussianClouds
from sam3d_ros.ros.grasp_points import grasp_points
from sam3d_ros.ros.latch import Latch
from sam3d_ros.ros.mesh_files import MeshFile, MeshFiles
from sam3d_ros.ros.overlay import OverlayTopics
from sam3d_ros.ros.people.outputs import PeopleOutputs
from sam3d_ros.ros.planning.people import people_obstacles
from sam3d_ros.ros.planning.planner import Planner
from sam3d_ros.ros.pose_outputs import PoseOutputs
from sam3d_ros.ros.qos import latched, reliable
from sam3d_ros.ros.tap import Tap
from sam3d_ros.ros.textured_markers import file_marker, textured_marker
from sam3d_ros.scene.output_folder import OutputFolder
from sam3d_ros.scene.reconstructor import RememberedView
from sam3d_ros.structures import SceneObject, SceneSnapshot

# By default each publisher has two that only log what its subscribers log too, and before every
# message that comes in the executor looks at all of them.
NO_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
ViewsOf: TypeAlias = Callable[[int], Sequence[RememberedView]]  # of an object
MarkerMsg: TypeAlias = MarkerArray | bytes  # rclpy sends bytes as they are


class Outputs:
    """The publishers of one configuration, and its folder of files.

    ``poses`` belongs to all threads, ``send_report`` to that of the reports, the rest to the one
    that reconstructs.
    """

    def __init__(
        self, node: LifecycleNode, config: NodeConfig, planner: Planner | None = None
    ) -> None:
        self._node = node
        self._config = config
        self.planner = planner
        self._taps: list[Tap] = []
        num_latched = config.registry.max_objects + 1  # one of each object, and what removes one
        self._markers = self._publisher(MarkerArray, "~/markers", latched(num_latched))
        self._meshes = self._publisher(ObjectMesh, "~/meshes", latched(num_latched))
        self._points = self._publisher(PointCloud2, "~/object_points", reliable(5))
        self._reports = self._publisher(FrameReport, "~/report", reliable(10))
        self._gaussians: GaussianClouds | None = None
        if config.gaussians.publish:
            topic = self._publisher(PointCloud2, "~/gaussians", latched(num_latched))
            self._gaussians = GaussianClouds(topic.publish, num_latched)
        self.folder = OutputFolder(config.output_directory)
        self.files = MeshFiles(self.folder, config, self._warn)
        self.poses = PoseOutputs(
            self._publisher, config, self._hear, lambda known: self.files.of(known).uri
        )
        self.people = (
            PeopleOutputs(node, self._publisher, config, people_obstacles(planner, config))
            if config.body.enabled
            else None
        )
        self.overlay = OverlayTopics(self._publisher, config)
        self._revisions: dict[int, int] = {}  # what was sent, by track id
        self._marker_latch: Latch[MarkerMsg] = Latch(self._markers.publish, num_latched)
        self._mesh_latch: Latch[ObjectMesh] = Latch(self._meshes.publish, num_latched)

    def start(self) -> None:
        """Begin a new life: viewers forget what they show, everything is sent again."""
        self._revisions.clear()
        self.start_over(0)
        self._markers.publish(markers.delete_all())

    def start_over(self, stamp_ns: int) -> None:
        """Let stamps go back once, to this one."""
        self.poses.start_over(stamp_ns)
        self.forget_people()
        if self.planner is not None:
            self.planner.start_over()

    def forget_people(self) -> None:
        """Let viewers forget who they show."""
        if self.people is not None:
            self.people.start_over()

    def publish(self, snapshot: SceneSnapshot, views: ViewsOf = lambda track_id: ()) -> None:
        """Send what a frame with masks has shown: the small and urgent first, geometry last."""
        self._send_people(snapshot)
        self._write_files(snapshot)
        self.poses.send_frame(snapshot)
        self.forget(snapshot.removed)
        self._send_points(snapshot, views)
        self._send_geometry(snapshot)

    def publish_found(self, snapshot: SceneSnapshot) -> None:
        """Send people and objects of a frame with masks that are finished before others."""
        self._send_people(snapshot)
        if not snapshot.updated:
            return
        self._write_files(snapshot)
        self.poses.send_found(snapshot)
        self.forget(snapshot.removed)
        self._send_geometry(snapshot)

    def publish_change(self, snapshot: SceneSnapshot) -> None:
        """Send what became of objects while no frame came."""
        self._write_files(snapshot)
        self.poses.send_change(snapshot)
        self.forget(snapshot.removed)
        self._send_geometry(snapshot)

    def publish_again(self, snapshot: SceneSnapshot) -> None:
        """Send everything again that is sent only when it changes."""
        self._revisions.clear()
        self.publish_change(snapshot)

    def forget(self, track_ids: tuple[int, ...]) -> None:
        """Remove objects that the registry has dropped."""
        self.files.forget(track_ids)
        self.poses.forget(track_ids)
        for track_id in track_ids:
            if self._revisions.pop(track_id, None) is not None:
                self._marker_latch.retire(track_id, markers.deletion(track_id))
                self._mesh_latch.forget(track_id)
                if self._gaussians is not None:
                    self._gaussians.remove(track_id)

    def send_report(self, report: FrameReport) -> None:
        """Send one report."""
        self._reports.publish(report)

    def destroy(self) -> None:
        """Give the publishers back."""
        for tap in self._taps:
            self._node.destroy_lifecycle_publisher(tap.take())
        self._taps.clear()
        if self.people is not None:
            self.people.close()
        if self.planner is not None:
            self.planner.destroy()
        self.folder.close()

    def _publisher(self, message_type: Any, topic: str, qos: QoSProfile) -> Tap:
        publisher = self._node.create_lifecycle_publisher(
            message_type, topic, qos, event_callbacks=NO_EVENTS
        )
        self._taps.append(Tap(publisher))
        return self._taps[-1]

    def _hear(self, snapshot: SceneSnapshot, stamp_ns: int) -> None:
        if self.planner is not None:
            self.planner.see(snapshot, stamp_ns)

    def _send_people(self, snapshot: SceneSnapshot) -> None:
        if self.people is not None:
            self.people.send(snapshot)

    def _send_geometry(self, snapshot: SceneSnapshot) -> None:
        """Send mesh and marker of each new revision."""
        names = self.poses.names(snapshot)
        for known in snapshot.objects:
            if self._revisions.get(known.track_id) != known.revision:
                self._revisions[known.track_id] = known.revision
                self._send_mesh(known, names[known.track_id])

    def _send_mesh(self, known: SceneObject, name: str) -> None:
        file = self.files.of(known)
        self._mesh_latch.send(known.track_id, mesh_msg(known, name, file))
        self._send_marker(known, name, file)
        if self._gaussians is not None:
            self._gaussians.send(known, name)

    def _send_marker(self, known: SceneObject, name: str, file: MeshFile) -> None:
        """Show an object; as triangles where an image or a file for its style is missing."""
        style, key, latch = self._config.markers.style, known.track_id, self._marker_latch
        mesh, texture = known.reconstruction.preview, known.reconstruction.preview_texture
        if style == "none":
            return
        if style == "box":
            latch.send(key, markers.box_marker(known, name))
        elif style == "mesh_resource" and file.marker_uri:
            latch.send(key, file_marker(known, name, file.marker_uri))
        elif style == "texture" and mesh is not None and texture is not None:
            # RViz multiplies a marker's new image by its old one, so that one has to go first.
            latch.exchange(key, markers.deletion(key), textured_marker(known, name, mesh, texture))
        else:
            latch.send(key, markers.mesh_marker(known, name))

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(text)

    def _write_files(self, snapshot: SceneSnapshot) -> None:
        """Write files before anything tells of them."""
        names = self.poses.names(snapshot)
        for known in snapshot.objects:
            self.files.write(known, names[known.track_id])

    def _send_points(self, snapshot: SceneSnapshot, views: ViewsOf) -> None:
        clouds = [
            grasp_points(known, views(known.track_id), self.poses.pose(known))
            for known in snapshot.objects
            if known.track_id in snapshot.updated
        ]
        points = np.concatenate([np.zeros(0, dtype=CLOUD_POINT), *clouds])
        header = header_of(self.poses.frame(snapshot), snapshot.stamp_ns)
        self._points.publish(cloud_msg(points, header))
