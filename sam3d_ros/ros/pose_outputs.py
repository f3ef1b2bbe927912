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


"""What goes out with every image: transforms, objects, detections, labels.

Two threads send here, what was reconstructed and what was followed. What the slower of them knows
of an earlier image must not take back what the other has said about a later one.
"""

import time
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from sam3d_ros.config import NodeConfig
from sam3d_ros.msg import Object, ObjectArray
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.ros import markers
from sam3d_ros.ros.compat import tf_message_type, vision_messages
from sam3d_ros.ros.encode import detection_msg, header_of, object_msg, transform_msg
from sam3d_ros.ros.qos import TF_DEPTH, latched, reliable
from sam3d_ros.ros.rebroadcast import Standing
from sam3d_ros.scene.names import object_name
from sam3d_ros.structures import ObjectState, SceneObject, SceneSnapshot, Similarity

LABEL_LIFETIME_S = (1.0, 10.0)  # shortest, longest
LABEL_PERIOD_S = 0.2  # between images that have no mask
MakePublisher = Callable[[Any, str, QoSProfile], Any]
Heard = Callable[[SceneSnapshot, int], None]


class PoseOutputs:
    """The publishers of what moves; every method may be called from any thread.

    Args:
        make_publisher: Of a type, a topic and its QoS.
        config: The settings in force.
        heard: Gets each snapshot that is news, and the stamp at which its objects hold.
        uri_of: Names the file of an object's mesh, or nothing; called from any thread.
    """

    def __init__(
        self,
        make_publisher: MakePublisher,
        config: NodeConfig,
        heard: Heard = lambda snapshot, stamp_ns: None,
        uri_of: Callable[[SceneObject], str] = lambda known: "",
    ) -> None:
        self._config = config
        self._uri_of = uri_of
        self._heard = heard
        self._vision = vision_messages()
        self._tf = make_publisher(tf_message_type(), "/tf", reliable(TF_DEPTH))
        self._labels = make_publisher(MarkerArray, "~/labels", reliable(10))
        self._objects = make_publisher(ObjectArray, "~/objects", latched(1))
        self._detections = (
            make_publisher(self._vision.Detection3DArray, "~/detections", reliable(10))
            if self._vision
            else None
        )
        self._lock = Lock()
        self._number = 0  # of the newest snapshot that was sent
        self._stamp_ns = 0  # of the same
        self._sent_ns: dict[int, int] = {}  # stamp of the last transform, by track id
        self._labels_s = time.monotonic()  # when labels were sent
        self._standing = Standing()
        self._newest: SceneSnapshot | None = None

    def send_frame(self, snapshot: SceneSnapshot) -> None:
        """Send what a frame with masks has shown."""
        with self._lock:
            shown = self._send_poses(snapshot)
            self._send_labels(shown, snapshot)

    def send_found(self, snapshot: SceneSnapshot) -> None:
        """Send where some objects of a frame are, while others are not finished.

        Labels and detections, which tell what all of an image shows, come with the last of them.
        """
        with self._lock:
            self._send_seen(snapshot)

    def send_followed(self, snapshot: SceneSnapshot, cancelled: Cancelled = never) -> bool:
        """Send what an image between masks has shown, unless that was called off; say so."""
        with self._lock:
            if cancelled():
                return False
            shown = self._send_poses(snapshot)
            if time.monotonic() - self._labels_s >= LABEL_PERIOD_S:
                self._send_labels(shown, snapshot)
        return True

    def send_change(self, snapshot: SceneSnapshot) -> None:
        """Send what became of objects without an image; that is news of the last one."""
        with self._lock:
            self._send_objects(snapshot, self._stamp_ns)

    def send_again(self, stamp_ns: int, period_s: float) -> None:
        """Send transforms of what stands still in the fixed frame and was silent for a period."""
        now_s = time.monotonic()
        with self._lock:
            if self._newest is None:
                return
            due = [
                known
                for known in self._newest.objects
                if known.state != ObjectState.LOST
                and self._standing.is_due(known.track_id, period_s, now_s)
            ]
            self._send_at(due, self._newest, lambda _: stamp_ns)

    def forget(self, track_ids: Iterable[int]) -> None:
        """Keep nothing of objects that are known no more."""
        with self._lock:
            for track_id in track_ids:
                self._sent_ns.pop(track_id, None)
                self._standing.forget(track_id)

    def start_over(self, stamp_ns: int) -> None:
        """Let stamps go back once, to this one."""
        with self._lock:
            self._sent_ns.clear()
            self._standing.clear()
            self._newest = None
            self._stamp_ns = stamp_ns

    def names(self, snapshot: SceneSnapshot) -> dict[int, str]:
        """Return the frame and file name of each object by track id."""
        return {known.track_id: self._name(known) for known in snapshot.objects}

    def messages(self, snapshot: SceneSnapshot, objects: Iterable[SceneObject]) -> list[Object]:
        """Return objects of a snapshot as messages, without their geometry."""
        frame = self.frame(snapshot)
        return [
            object_msg(known, self._name(known), frame, self.pose(known), self._uri_of(known))
            for known in objects
        ]

    def frame(self, snapshot: SceneSnapshot) -> str:
        """Return the frame in which poses are sent."""
        return self._config.output_frame or snapshot.frame_id

    def pose(self, known: SceneObject) -> Similarity:
        """Return where an object is in that frame."""
        if not self._config.output_frame:
            return known.reconstruction.camera_from_object
        assert known.fixed_from_object is not None
        return known.fixed_from_object

    def _name(self, known: SceneObject) -> str:
        return object_name(known.track_id, known.class_id, self._config.tf.prefix)

    def _send_poses(self, snapshot: SceneSnapshot) -> list[SceneObject]:
        """Send transforms, objects and detections; return the objects seen."""
        seen = self._send_seen(snapshot)
        self._send_detections(seen, snapshot)
        return seen

    def _send_seen(self, snapshot: SceneSnapshot) -> list[SceneObject]:
        """Send transforms and objects; return the objects seen."""
        known_later = self._newest if snapshot.number < self._number else None
        newest = snapshot if known_later is None else known_later
        there = {known.track_id for known in newest.objects}
        seen = [
            known
            for known in snapshot.objects
            if known.track_id in snapshot.updated and known.track_id in there
        ]
        # Transforms go first, so that a viewer knows the frames in which the rest hangs.
        self._send_transforms(seen if known_later else self._shown(snapshot), snapshot)
        self._send_objects(snapshot, snapshot.stamp_ns)
        return seen

    def _shown(self, snapshot: SceneSnapshot) -> list[SceneObject]:
        """Return the objects whose pose holds at the stamp of a snapshot.

        In a fixed frame it does until the object is lost; in the frame of a camera, which may
        move, only where the object was seen.
        """
        return [
            known
            for known in snapshot.objects
            if known.track_id in snapshot.updated
            or (self._config.output_frame and known.state != ObjectState.LOST)
        ]

    def _send_transforms(self, shown: Iterable[SceneObject], snapshot: SceneSnapshot) -> None:
        """Send a transform of each object of which none as new was sent."""
        updated = set(snapshot.updated)
        self._send_at(
            shown,
            snapshot,
            lambda known: known.last_seen_ns if known.track_id in updated else snapshot.stamp_ns,
        )

    def _send_at(
        self,
        objects: Iterable[SceneObject],
        snapshot: SceneSnapshot,
        stamp_ns_of: Callable[[SceneObject], int],
    ) -> None:
        if not self._config.tf.publish:
            return
        frame, transforms, now_s = self.frame(snapshot), [], time.monotonic()
        for known in objects:
            stamp_ns = stamp_ns_of(known)
            if stamp_ns > self._sent_ns.get(known.track_id, -1):
                self._sent_ns[known.track_id] = stamp_ns
                pose, name = self.pose(known), self._name(known)
                self._standing.say(known.track_id, pose, now_s)
                transforms.append(transform_msg(pose, frame, name, stamp_ns))
        if transforms:
            self._tf.publish(tf_message_type()(transforms=transforms))

    def _send_objects(self, snapshot: SceneSnapshot, stamp_ns: int) -> None:
        """Send all objects, unless one who knew more has done so."""
        if snapshot.number < self._number:
            return
        self._number, self._stamp_ns = snapshot.number, stamp_ns
        self._newest = snapshot
        objects = self.messages(snapshot, snapshot.objects)
        header = header_of(self.frame(snapshot), stamp_ns)
        self._objects.publish(ObjectArray(header=header, objects=objects))
        self._heard(snapshot, stamp_ns)

    def _send_labels(self, seen: Iterable[SceneObject], snapshot: SceneSnapshot) -> None:
        """Send texts and boxes that outlive one missing frame."""
        now_s = time.monotonic()
        shortest, longest = LABEL_LIFETIME_S
        lifetime_s = min(max(2 * (now_s - self._labels_s), shortest), longest)
        self._labels_s = now_s
        header = header_of(self.frame(snapshot), snapshot.stamp_ns)
        labels = [
            marker
            for known in seen
            for marker in markers.label_markers(known, header, self.pose(known), lifetime_s)
        ]
        self._labels.publish(MarkerArray(markers=labels))

    def _send_detections(self, seen: Iterable[SceneObject], snapshot: SceneSnapshot) -> None:
        if self._vision is None or self._detections is None:
            return
        header: Header = header_of(self.frame(snapshot), snapshot.stamp_ns)
        detections = [
            detection_msg(self._vision, known, self._name(known), self.pose(known))
            for known in seen
        ]
        for detection in detections:
            detection.header = header
        array = self._vision.Detection3DArray(header=header, detections=detections)
        self._detections.publish(array)
