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


"""Who talks to a node in another process: sends what was recorded, hears what comes back."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from sam3d_ros.apps.bags import RawMessage
from sam3d_ros.config import TfConfig
from sam3d_ros.msg import FrameReport
from sam3d_ros.ros.compat import tf_message_type
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.qos import TF_DEPTH, latched, reliable
from sam3d_ros.ros.recording import Recording, message_type
from sam3d_ros.ros.replay import SETTLE_S, restamped

NODE = "/sam3d/sam3d_node"
SPIN_S = 0.02
DEPTH = 100  # messages that a busy node may fall behind
OBJECT_PREFIX = f"{TfConfig().prefix}_"


class Peer(AbstractContextManager["Peer"]):
    """Publishes the topics of a recording reliably; collects reports, transforms, diagnostics.

    What is collected is taken by whoever reads it: ``reports``, ``transforms`` and ``diagnostics``
    are lists that the owner clears.
    """

    def __init__(self, recording: Recording, name: str = "sam3d_harness") -> None:
        self.context = Context()
        rclpy.init(args=[], context=self.context)
        self._node = Node(
            name, context=self.context, enable_rosout=False, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self._node)
        self._types = {topic: message_type(kind) for topic, kind in recording.types.items()}
        self._publishers: dict[str, Publisher[Any]] = {
            topic: self._node.create_publisher(
                kind, topic, latched(1) if topic in recording.latched else reliable(DEPTH)
            )
            for topic, kind in self._types.items()
        }
        self.reports: list[FrameReport] = []
        self.transforms: list[tuple[Any, int]] = []  # of objects, and when they came, steady ns
        self.diagnostics: dict[str, Any] = {}  # the newest status by the last part of its name
        self.hear(FrameReport, f"{NODE}/report", self.reports.append, reliable(1000))
        self.hear(tf_message_type(), "/tf", self._on_tf, reliable(TF_DEPTH))
        self.hear(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable(10))

    def wait_until_heard(self, timeout_s: float) -> bool:
        """Wait until the node listens to all topics and we to it; return whether it does."""

        def is_matched() -> bool:
            heard = all(each.get_subscription_count() for each in self._publishers.values())
            return heard and bool(self._node.count_publishers(f"{NODE}/report"))

        if not self.until(is_matched, timeout_s):
            return False
        self.spin(SETTLE_S)  # the node's side of a match comes a little later
        return is_matched()

    def until(self, holds: Callable[[], Any], timeout_s: float) -> bool:
        """Take in what comes until something holds; return whether it does."""
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline_s:
                return False
            self._executor.spin_once(timeout_sec=min(SPIN_S, max(deadline_s - time.monotonic(), 0)))
        return True

    def spin(self, seconds: float) -> None:
        """Take in what comes for so long."""
        self.until(lambda: False, seconds)

    def send(self, topic: str, data: bytes) -> None:
        """Publish a serialised message."""
        self._publishers[topic].publish(bytes(data))

    def send_all(self, messages: Iterable[RawMessage], stamp_ns: int) -> None:
        """Publish the messages of one exposure with a stamp of their own."""
        for message in messages:
            self.send(message.topic, self.stamped(message, stamp_ns))

    def stamped(self, message: RawMessage, stamp_ns: int) -> bytes:
        """Return a recorded message with another stamp, serialised."""
        return restamped(message.data, self._types[message.topic], lambda _: stamp_ns)

    def read(self, message: RawMessage, stamp_ns: int) -> Any:
        """Return a recorded message with another stamp, to be changed."""
        return deserialize_message(self.stamped(message, stamp_ns), self._types[message.topic])

    def close(self) -> None:
        """Leave the network."""
        if self.context.ok():
            self._executor.shutdown()
            self._node.destroy_node()
            self.context.try_shutdown()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def hear(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile) -> None:
        """Subscribe to one more topic."""
        self._node.create_subscription(kind, topic, callback, qos)

    def _on_tf(self, message: Any) -> None:
        now_ns = time.monotonic_ns()
        self.transforms += [
            (each, now_ns)
            for each in message.transforms
            if each.child_frame_id.startswith(OBJECT_PREFIX)
        ]

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name.rpartition(": ")[2]] = status


def exposures(recording: Recording) -> list[list[RawMessage]]:
    """Return the messages of a recording, those of one stamp together, in their order."""
    groups: dict[int, list[RawMessage]] = {}
    for message in recording.messages():
        groups.setdefault(message.stamp_ns, []).append(message)
    return list(groups.values())


def values_of(status: Any) -> Mapping[str, str]:
    """Return the values of a diagnostic status by key."""
    return {each.key: each.value for each in status.values}


def transform_stamp_ns(transform: Any) -> int:
    """Return the stamp of a transform."""
    return stamp_ns_from_msg(transform.header.stamp)
