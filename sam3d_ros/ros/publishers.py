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


"""Snapshots to topics: transforms, meshes, markers, objects, points, detections."""

import time
from typing import Any, TypeAlias

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from sam3d_ros.config import NodeConfig
from sam3d_ros.msg import FrameReport, ObjectArray, ObjectMesh
from sam3d_ros.ros import markers
from sam3d_ros.ros.compat import tf_message_type, vision_messages
from sam3d_ros.ros.encode import (
    CLOUD_POINT,
    cloud_msg,
    cloud_points,
    detection_msg,
    header_of,
    mesh_msg,
    object_msg,
    transform_msg,
)
from sam3d_ros.ros.latch import Latch
from sam3d_ros.ros.qos import TF_DEPTH, latched, reliable
from sam3d_ros.scene.names import object_name
from sam3d_ros.structures import ObjectState, SceneObject, SceneSnapshot, Similarity

MarkerMsg: TypeAlias = MarkerArray | bytes  # rclpy sends bytes as they are
LABEL_LIFETIME_S = (1.0, 10.0)  # shortest, longest


class Outputs:
    """The publishers of one configuration.

    ``publish`` belongs to the worker's thread, ``send_report`` to that of the reports.
    """

    def __init__(self, node: LifecycleNode, config: NodeConfig) -> None:
        self._node = node
        self._config = config
        self._publishers: list[Any] = []
        self._vision = vision_messages()
        num_latched = config.registry.max_objects + 1  # one of each object, and what removes one
        self._tf = self._publisher(tf_message_type(), "/tf", reliable(TF_DEPTH))
        self._markers = self._publisher(MarkerArray, "~/markers", latched(num_latched))
        self._meshes = self._publisher(ObjectMesh, "~/meshes", latched(num_latched))
        self._labels = self._publisher(MarkerArray, "~/labels", reliable(10))
        self._objects = self._publisher(ObjectArray, "~/objects", latched(1))
        self._points = self._publisher(PointCloud2, "~/object_points", reliable(5))
        self._reports = self._publisher(FrameReport, "~/report", reliable(10))
        self._detections = (
            self._publisher(self._vision.Detection3DArray, "~/detections", reliable(10))
            if self._vision
            else None
        )
        self._revisions: dict[int, int] = {}  # what was sent, by track id
        self._last_s = time.monotonic()
        self._marker_latch: Latch[MarkerMsg] = Latch(self._markers.publish, num_latched)
        self._mesh_latch: Latch[ObjectMesh] = Latch(self._meshes.publish, num_latched)

    def start(self) -> None:
        """Begin a new life: viewers forget what they show, everything is sent again."""
        self._revisions.clear()
        self._markers.publish(markers.delete_all())

    def names(self, snapshot: SceneSnapshot) -> dict[int, str]:
        """Return the frame and file name of each object by track id."""
        prefix = self._config.tf.prefix
        return {
            known.track_id: object_name(known.track_id, known.class_id, prefix)
            for known in snapshot.objects
        }

    def publish(self, snapshot: SceneSnapshot, *, is_frame: bool = True) -> None:
        """Send what changed, and unless no frame made the snapshot also what goes with each frame.

        Transforms go first, so that a viewer knows the frames in which the rest hangs; then what
        is small and urgent, and geometry last.
        """
        names = self.names(snapshot)
        shown = [known for known in snapshot.objects if self._is_shown(known, snapshot)]
        if is_frame:
            self._send_transforms(shown, names, snapshot)
        for track_id in snapshot.removed:
            self._remove(track_id)
        self._send_objects(snapshot, names)
        if is_frame:
            header = header_of(self._frame(snapshot), snapshot.stamp_ns)
            seen = [known for known in shown if known.track_id in snapshot.updated]
            self._send_detections(seen, names, header)
            self._send_labels(seen, header)
            self._send_points(seen, header)
        for known in snapshot.objects:
            self._send_geometry(known, names[known.track_id])

    def forget(self, track_ids: tuple[int, ...]) -> None:
        """Remove objects that the registry has dropped at once."""
        for track_id in track_ids:
            self._remove(track_id)

    def send_report(self, report: FrameReport) -> None:
        """Send one report."""
        self._reports.publish(report)

    def destroy(self) -> None:
        """Give the publishers back."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def _publisher(self, message_type: Any, topic: str, qos: QoSProfile) -> Any:
        publisher = self._node.create_lifecycle_publisher(message_type, topic, qos)
        self._publishers.append(publisher)
        return publisher

    def _frame(self, snapshot: SceneSnapshot) -> str:
        return self._config.output_frame or snapshot.frame_id

    def _pose(self, known: SceneObject) -> Similarity:
        """Return where an object is in the output frame."""
        if not self._config.output_frame:
            return known.reconstruction.camera_from_object
        assert known.fixed_from_object is not None
        return known.fixed_from_object

    def _is_shown(self, known: SceneObject, snapshot: SceneSnapshot) -> bool:
        """Tell whether the pose of an object holds at the stamp of a snapshot.

        In a fixed frame it does until the object is lost; in the frame of a camera, which may
        move, only where the object was seen.
        """
        if known.track_id in snapshot.updated:
            return True
        return bool(self._config.output_frame) and known.state != ObjectState.LOST

    def _send_transforms(
        self, shown: list[SceneObject], names: dict[int, str], snapshot: SceneSnapshot
    ) -> None:
        if not self._config.tf.publish or not shown:
            return
        frame = self._frame(snapshot)
        transforms = [
            transform_msg(self._pose(known), frame, names[known.track_id], snapshot.stamp_ns)
            for known in shown
        ]
        self._tf.publish(tf_message_type()(transforms=transforms))

    def _send_geometry(self, known: SceneObject, name: str) -> None:
        """Send mesh and marker of a new revision."""
        if self._revisions.get(known.track_id) == known.revision:
            return
        self._revisions[known.track_id] = known.revision
        self._mesh_latch.send(known.track_id, mesh_msg(known, name))
        style = self._config.markers.style
        if style == "triangle_list":
            marker = markers.mesh_marker(known, name)
            self._marker_latch.send(known.track_id, marker)
        elif style == "box":
            self._marker_latch.send(known.track_id, markers.box_marker(known, name))

    def _remove(self, track_id: int) -> None:
        if self._revisions.pop(track_id, None) is None:
            return
        self._marker_latch.retire(track_id, markers.deletion(track_id))
        self._mesh_latch.forget(track_id)

    def _send_objects(self, snapshot: SceneSnapshot, names: dict[int, str]) -> None:
        frame = self._frame(snapshot)
        objects = [
            object_msg(known, names[known.track_id], frame, self._pose(known))
            for known in snapshot.objects
        ]
        header = header_of(frame, snapshot.stamp_ns)
        self._objects.publish(ObjectArray(header=header, objects=objects))

    def _send_labels(self, seen: list[SceneObject], header: Header) -> None:
        """Send texts and boxes that outlive one missing frame."""
        now_s = time.monotonic()
        shortest, longest = LABEL_LIFETIME_S
        lifetime_s = min(max(2 * (now_s - self._last_s), shortest), longest)
        self._last_s = now_s
        labels = [
            marker
            for known in seen
            for marker in markers.label_markers(known, header, self._pose(known), lifetime_s)
        ]
        self._labels.publish(MarkerArray(markers=labels))

    def _send_points(self, seen: list[SceneObject], header: Header) -> None:
        clouds = [
            cloud_points(known.reconstruction.mesh_object, self._pose(known), known.track_id)
            for known in seen
        ]
        points = np.concatenate([np.zeros(0, dtype=CLOUD_POINT), *clouds])
        self._points.publish(cloud_msg(points, header))

    def _send_detections(
        self, seen: list[SceneObject], names: dict[int, str], header: Header
    ) -> None:
        if self._vision is None or self._detections is None:
            return
        detections = [
            detection_msg(self._vision, known, names[known.track_id], self._pose(known))
            for known in seen
        ]
        for detection in detections:
            detection.header = header
        array = self._vision.Detection3DArray(header=header, detections=detections)
        self._detections.publish(array)
