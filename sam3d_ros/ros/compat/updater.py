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

"""Who publishes ``/diagnostics``: the Updater of ``diagnostic_updater``, or one like it."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from sam3d_ros.ros.compat.packages import optional_module

PERIOD_PARAMETER = "diagnostic_updater.period"
NAMES_PARAMETER = "diagnostic_updater.use_fqn"
NO_HARDWARE = "none"

Task: TypeAlias = Callable[[DiagnosticStatus], DiagnosticStatus]  # fills in what it is given


class Updater(Protocol):
    """What the node needs of ``diagnostic_updater.Updater``."""

    def add(self, name: str, task: Task) -> None:
        """Have a status made by ``task`` at each update."""
        ...

    def force_update(self) -> None:
        """Run all tasks and publish what they say."""
        ...


def make_updater(node: Node, period_s: float) -> tuple[Updater, float]:
    """Return who publishes, and every how many seconds the parameters want that.

    Whoever asks calls ``force_update`` then. The timer of ``diagnostic_updater`` itself would stand
    still where a simulation is paused or a ``/clock`` is missing, which diagnostics are to tell.
    """
    if not node.has_parameter(NAMES_PARAMETER):  # of several nodes in one graph
        node.declare_parameter(NAMES_PARAMETER, True)
    package = optional_module("diagnostic_updater")
    if package is None:
        period_s = float(node.declare_parameter(PERIOD_PARAMETER, period_s).value)
        return OwnUpdater(node), period_s
    updater = package.Updater(node, period_s)
    updater.timer.cancel()
    updater.setHardwareID(NO_HARDWARE)
    return updater, float(node.get_parameter(PERIOD_PARAMETER).value)


class OwnUpdater:
    """Publishes what ``diagnostic_updater.Updater`` would."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self._tasks: list[tuple[str, Task]] = []

    def add(self, name: str, task: Task) -> None:
        """Have a status made by ``task`` at each update."""
        self._tasks.append((name, task))

    def force_update(self) -> None:
        """Run all tasks and publish what they say."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [task(self._blank(name)) for name, task in self._tasks]
        self._publisher.publish(message)

    def _blank(self, name: str) -> DiagnosticStatus:
        is_long = self._node.get_parameter(NAMES_PARAMETER).value
        node_name = self._node.get_fully_qualified_name() if is_long else self._node.get_name()
        return DiagnosticStatus(name=f"{node_name}: {name}", hardware_id=NO_HARDWARE)
