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

"""``sam3d_node`` as it is, with a stopwatch around each of its subscription callbacks.

Only ``create_subscription`` is wrapped: what is measured is the code that users run, plus four
clock readings and one list append per message.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.qos import QoSProfile

from sam3d_ros.ros.node import Sam3dNode
from sam3d_ros.structures import NS_PER_S


class TimedNode(Sam3dNode):
    """Notes when each callback began and ended, and how long it had a processor meanwhile."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._calls: list[tuple[str, int, int, int, int]] = []
        super().__init__()

    def create_subscription(
        self,
        msg_type: Any,
        topic: str,
        callback: Callable[..., None],
        qos_profile: QoSProfile | int,
        **options: Any,
    ) -> Any:
        """Subscribe with a timed callback."""
        timed = self._timed(self.resolve_topic_name(topic), callback)
        return super().create_subscription(msg_type, topic, timed, qos_profile, **options)

    def _timed(self, topic: str, callback: Callable[..., None]) -> Callable[[Any], None]:
        def on_message(message: Any) -> None:
            began_ns, before_ns = time.monotonic_ns(), time.thread_time_ns()
            callback(message)
            own_ns, ended_ns = time.thread_time_ns() - before_ns, time.monotonic_ns()
            self._calls.append((topic, _stamp_ns(message), began_ns, ended_ns, own_ns))

        return on_message

    def destroy_node(self) -> None:
        """Write one line per call: topic, stamp, begin, end and own time in ns."""
        lines = [",".join(map(str, call)) + "\n" for call in self._calls]
        self._log.write_text("".join(lines), encoding="utf-8")
        super().destroy_node()


def _stamp_ns(message: Any) -> int:
    """Return the stamp of a message; 0 for one without a header."""
    header = getattr(message, "header", None)
    return 0 if header is None else header.stamp.sec * NS_PER_S + header.stamp.nanosec
