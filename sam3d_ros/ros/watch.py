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

"""A process that says in the terminal what ``sam3d_node`` publishes, for ``demo.launch.py``."""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from threading import Event

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions

from sam3d_ros.msg import FrameReport, Object, ObjectArray

SPIN_S = 0.1
STATES = {
    Object.NEW: "new",
    Object.TRACKED: "tracked",
    Object.LOST: "lost",
    Object.LOCKED: "locked",
}


class Watch:
    """Makes a line of each report, and of each object that is not as it was."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}  # state and revision of the mesh, by id

    def of_report(self, report: FrameReport) -> str:
        """Say what became of one image."""
        return f"report {report.code}: {report.message}"

    def of_objects(self, message: ObjectArray) -> Iterator[str]:
        """Say what has changed since the last message."""
        known = {each.id: (each.state, each.mesh_revision) for each in message.objects}
        for gone in self._known.keys() - known.keys():
            yield f"{gone}: removed"
        for each in message.objects:
            if self._known.get(each.id) != known[each.id]:
                yield _line(each)
        self._known = known


def _line(each: Object) -> str:
    at, size = each.pose.pose.position, each.size
    return (
        f"{each.id}: {STATES[each.state]}, mesh {each.mesh_revision}, "
        f"{size.x:.3f} x {size.y:.3f} x {size.z:.3f} m, "
        f"at ({at.x:.3f}, {at.y:.3f}, {at.z:.3f}) in {each.header.frame_id}"
    )


def _listen(node: Node, name: str) -> None:
    """Print a line for everything that comes from the node called ``name``."""
    watch = Watch()

    def on_report(report: FrameReport) -> None:
        print(watch.of_report(report), flush=True)

    def on_objects(message: ObjectArray) -> None:
        for line in watch.of_objects(message):
            print(line, flush=True)

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(FrameReport, f"{name}/report", on_report, QoSProfile(depth=10))
    node.create_subscription(ObjectArray, f"{name}/objects", on_objects, latched)


def main(argv: Sequence[str] | None = None) -> int:
    """Print until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m sam3d_ros.ros.watch", description=__doc__)
    parser.add_argument("node", help="full name of the node, such as /sam3d/sam3d_node")
    name = parser.parse_args(argv).node
    stopped = Event()
    # An exception out of a signal handler could come in the middle of rclpy.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("sam3d_watch", enable_rosout=False, start_parameter_services=False)
    _listen(node, name)
    while not stopped.is_set():
        rclpy.spin_once(node, timeout_sec=SPIN_S)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and then launch: no second one counts
        signal.signal(number, signal.SIG_IGN)
    node.destroy_node()
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
