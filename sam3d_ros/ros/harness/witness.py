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


"""Who watches while others are killed: what a viewer shows, and what the node says it has."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from visualization_msgs.msg import Marker, MarkerArray

from sam3d_ros.errors import ReportCode
from sam3d_ros.msg import FrameReport, ObjectArray
from sam3d_ros.ros.harness.peer import NODE
from sam3d_ros.ros.qos import latched, reliable

SPIN_S = 0.05


class Witness(AbstractContextManager["Witness"]):
    """Hears reports, objects and markers, from before the first death to after the last.

    ``shown`` is what a viewer shows that has heard every marker: track ids of meshes.
    """

    def __init__(self, name: str = "sam3d_witness") -> None:
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node(
            name, context=self._context, enable_rosout=False, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.num_successes = 0
        self.known: set[int] = set()  # by the last list of objects
        self.shown: set[int] = set()
        self.num_cleared = 0  # how often all markers were deleted
        for kind, topic, callback, qos in (
            (FrameReport, "report", self._on_report, reliable(100)),
            (ObjectArray, "objects", self._on_objects, latched(1)),
            (MarkerArray, "markers", self._on_markers, latched(200)),
        ):
            self._node.create_subscription(kind, f"{NODE}/{topic}", callback, qos)

    def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Listen until something holds; return whether it does."""
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline_s:
                return False
            self._executor.spin_once(timeout_sec=SPIN_S)
        return True

    def listen(self, seconds: float) -> None:
        """Listen for so long."""
        self.until(lambda: False, seconds)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _on_report(self, report: FrameReport) -> None:
        self.num_successes += report.code == ReportCode.OK

    def _on_objects(self, message: ObjectArray) -> None:
        self.known = {each.track_id for each in message.objects}

    def _on_markers(self, message: MarkerArray) -> None:
        for marker in message.markers:
            if marker.action == Marker.DELETEALL:
                self.shown.clear()
                self.num_cleared += 1
            elif marker.action == Marker.DELETE:
                self.shown.discard(marker.id)
            else:
                self.shown.add(marker.id)
