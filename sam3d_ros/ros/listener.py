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

"""A process that hears what ``sam3d_node`` publishes and writes it down.

The demo and the tests look at the node from outside with it: objects, meshes, markers, TF and
reports, each as it came over DDS.
"""

import argparse
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from sam3d_ros.config import TfConfig
from sam3d_ros.geometry.mesh_files import write_mesh
from sam3d_ros.geometry.transforms import rotation_from_quat_wxyz
from sam3d_ros.msg import FrameReport, ObjectArray, ObjectMesh
from sam3d_ros.scene.export import write_json
from sam3d_ros.structures import NS_PER_S, Mesh, Similarity

SPIN_S = 0.1
OBJECT_PREFIX = TfConfig().prefix
LATCHED = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Listener(Node):
    """Keeps the last of everything that the node at ``node_name`` published."""

    def __init__(self, node_name: str) -> None:
        super().__init__("sam3d_listener", enable_rosout=False, start_parameter_services=False)
        self.counts: Counter[str] = Counter()
        self.objects = ObjectArray()
        self.first_object_ns: int | None = None  # by the monotonic clock
        self.meshes: dict[str, ObjectMesh] = {}
        self.markers: dict[tuple[str, int], Any] = {}
        self.transforms: dict[str, Any] = {}
        # Of each object's frame: stamp, and when it came by the monotonic clock, ns.
        self.transform_times: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.reports: list[FrameReport] = []
        self._hear(ObjectArray, f"{node_name}/objects", self._on_objects, LATCHED)
        self._hear(ObjectMesh, f"{node_name}/meshes", self._on_mesh, LATCHED)
        self._hear(MarkerArray, f"{node_name}/markers", self._on_markers, LATCHED)
        self._hear(FrameReport, f"{node_name}/report", self._on_report, QoSProfile(depth=50))
        self._hear(TFMessage, "/tf", self._on_tf, QoSProfile(depth=100))

    @property
    def is_consistent(self) -> bool:
        """Whether every object of the last list came with the mesh of its revision."""
        known = {name: mesh.revision for name, mesh in self.meshes.items()}
        return all(known.get(each.id) == each.mesh_revision for each in self.objects.objects)

    def num_reports(self, code: int) -> int:
        """Return how many reports came with a code."""
        return sum(report.code == code for report in self.reports)

    def _hear(self, kind: type, topic: str, callback: Any, qos: QoSProfile) -> None:
        def on_message(message: Any) -> None:
            self.counts[topic] += 1
            callback(message)

        self.create_subscription(kind, topic, on_message, qos)

    def _on_objects(self, message: ObjectArray) -> None:
        self.objects = message
        if message.objects and self.first_object_ns is None:
            self.first_object_ns = time.monotonic_ns()

    def _on_mesh(self, message: ObjectMesh) -> None:
        self.meshes[message.id] = message

    def _on_markers(self, message: MarkerArray) -> None:
        for marker in message.markers:
            if marker.action == marker.DELETEALL:
                self.markers.clear()
            elif marker.action == marker.DELETE:
                self.markers.pop((marker.ns, marker.id), None)
            else:
                self.markers[marker.ns, marker.id] = marker

    def _on_report(self, message: FrameReport) -> None:
        self.reports.append(message)

    def _on_tf(self, message: TFMessage) -> None:
        now_ns = time.monotonic_ns()
        for transform in message.transforms:
            child = transform.child_frame_id
            self.transforms[child] = transform
            if child.startswith(f"{OBJECT_PREFIX}_"):
                self.transform_times[child].append((_ns(transform.header.stamp), now_ns))


def listen(
    listener: Listener, num_reports: int, num_objects: int, timeout_s: float, stopped: Event
) -> str:
    """Spin until enough came or ``stopped``; return what is missing, empty for nothing."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and not stopped.is_set():
        rclpy.spin_once(listener, timeout_sec=SPIN_S)
        if not _missing(listener, num_reports, num_objects):
            return ""
    when = "interrupted when" if stopped.is_set() else f"after {timeout_s:g} s"
    return f"{when} {_missing(listener, num_reports, num_objects)}"


def write_down(listener: Listener, directory: Path) -> None:
    """Write ``heard.json`` and one ``.glb`` per object."""
    for each in listener.objects.objects:
        if each.id in listener.meshes:
            write_mesh(mesh_from_msg(listener.meshes[each.id]), directory / f"{each.id}.glb")
    write_json(
        {
            "counts": dict(listener.counts),
            "first_object_monotonic_ns": listener.first_object_ns,
            "objects": [_object_json(each) for each in listener.objects.objects],
            "meshes": {name: _mesh_json(mesh) for name, mesh in listener.meshes.items()},
            "markers": [_marker_json(marker) for marker in listener.markers.values()],
            "tf_times": listener.transform_times,
            "tf": {child: _tf_json(each) for child, each in listener.transforms.items()},
            "reports": [_report_json(report) for report in listener.reports],
        },
        directory / "heard.json",
    )


def mesh_from_msg(message: ObjectMesh) -> Mesh:
    """Return the mesh of a message, in the object frame."""
    return Mesh(
        vertices=np.array(message.vertices, dtype=np.float32).reshape(-1, 3),
        triangles=np.array(message.triangles, dtype=np.int32).reshape(-1, 3),
        colors=np.array(message.colors, dtype=np.uint8).reshape(-1, 4)[:, :3],
        observed=np.array(message.observed, dtype=np.float32) / 255.0,
    )


def _missing(listener: Listener, num_reports: int, num_objects: int) -> str:
    good = listener.num_reports(FrameReport.OK)
    if good < num_reports:
        last = listener.reports[-1].message if listener.reports else "no report at all"
        return f"{good} of {num_reports} successful reports came; the last one: {last}"
    if len(listener.objects.objects) < num_objects:
        return f"{len(listener.objects.objects)} of {num_objects} objects came"
    return "" if listener.is_consistent else "not every object came with its mesh"


def _object_json(message: Any) -> dict[str, Any]:
    return {
        "id": message.id,
        "track_id": message.track_id,
        "class": message.class_id,
        "frame_id": message.header.frame_id,
        "stamp_ns": _ns(message.header.stamp),
        "state": message.state,
        "revision": message.mesh_revision,
        "size_m": [message.size.x, message.size.y, message.size.z],
        "frame_from_object": _matrix(message.pose.pose.position, message.pose.pose.orientation),
    }


def _mesh_json(message: ObjectMesh) -> dict[str, Any]:
    return {
        "revision": message.revision,
        "frame_id": message.header.frame_id,
        "vertices": len(message.vertices) // 3,
        "triangles": len(message.triangles) // 3,
        "watertight": message.watertight,
        "volume_m3": _number(message.volume),
    }


def _marker_json(marker: Any) -> dict[str, Any]:
    return {
        "ns": marker.ns,
        "id": marker.id,
        "type": marker.type,
        "frame_id": marker.header.frame_id,
        "points": len(marker.points),
    }


def _tf_json(message: Any) -> dict[str, Any]:
    return {
        "parent": message.header.frame_id,
        "stamp_ns": _ns(message.header.stamp),
        "parent_from_child": _matrix(message.transform.translation, message.transform.rotation),
    }


def _report_json(report: FrameReport) -> dict[str, Any]:
    return {
        "stamp_ns": _ns(report.header.stamp),
        "code": report.code,
        "message": report.message,
        "latency_s": _number(report.latency),
        "age_s": _number(report.age),
        "dropped": report.dropped,
        "objects": list(report.object_ids),
        "stages_s": {stage.name: _number(stage.seconds) for stage in report.stages},
    }


def _matrix(position: Any, orientation: Any) -> list[list[float]]:
    quat_wxyz = np.array([orientation.w, orientation.x, orientation.y, orientation.z])
    translation = np.array([position.x, position.y, position.z])
    matrix = Similarity(rotation_from_quat_wxyz(quat_wxyz), translation).matrix
    rows: list[list[float]] = matrix.tolist()
    return rows


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _ns(stamp: Any) -> int:
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sam3d_ros.ros.listener", description=__doc__)
    parser.add_argument("output", type=Path, help="folder for heard.json and the meshes")
    parser.add_argument("--node", default="/sam3d/sam3d_node", help="full name of the node")
    parser.add_argument("--reports", type=int, default=1, help="successful reports to wait for")
    parser.add_argument("--objects", type=int, default=1, help="objects to wait for")
    parser.add_argument("--timeout", type=float, default=60.0, help="longest wait, s")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Listen until enough came; 0 when it did, 1 after the timeout, with the reason."""
    arguments = _arguments(argv)
    stopped = Event()
    # An exception out of a signal handler could come in the middle of rclpy.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    listener = Listener(arguments.node)
    wanted = arguments.reports, arguments.objects
    missing = listen(listener, *wanted, arguments.timeout, stopped)
    write_down(listener, arguments.output)
    listener.destroy_node()
    rclpy.shutdown()
    if missing:
        print(f"sam3d_listener: {missing}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
