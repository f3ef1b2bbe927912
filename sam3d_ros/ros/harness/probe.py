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


"""How long a node's executor is held up, seen from a process of its own."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import rclpy
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sam3d_ros.ros.harness.peer import NODE
from sam3d_ros.scene.export import write_json
from sam3d_ros.structures import NS_PER_S

PERIOD_S = 0.05
ALLOWED_S = 0.01  # by which waking up may be late without being starved


class Probe:
    """Asks for a parameter again and again; whatever holds the node up holds the answer up."""

    def __init__(self, node: Node, stopped: Event, pid: int) -> None:
        # Without an answer; the time that we or the node's main thread had to wait for a processor
        # is taken off.
        self.longest_s = 0.0
        self._schedule = Path(f"/proc/{pid}/task/{pid}/schedstat")
        self.num_answers = 0
        self._stopped = stopped
        self._client: Any = node.create_client(GetParameters, f"{NODE}/get_parameters")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)

    def run(self) -> None:
        """Ask until stopped."""
        while not self._stopped.is_set() and not self._client.wait_for_service(0.2):
            pass
        while not self._stopped.wait(PERIOD_S):
            self._ask()
        self._executor.shutdown()

    def _ask(self) -> None:
        future = self._client.call_async(GetParameters.Request(names=["autostart"]))
        waited_s, starved_s = 0.0, self._starved_s()
        while not future.done() and not self._stopped.is_set():
            began_s = time.monotonic()
            self._executor.spin_once(timeout_sec=PERIOD_S)
            took_s = time.monotonic() - began_s
            waited_s += took_s if took_s < PERIOD_S + ALLOWED_S else PERIOD_S
            silent_s = waited_s - (self._starved_s() - starved_s)
            self.longest_s = max(self.longest_s, silent_s)
        self.num_answers += future.done()

    def _starved_s(self) -> float:
        """Return how long the node's main thread waited for a processor; 0 if that is secret."""
        try:
            return int(self._schedule.read_text(encoding="utf-8").split()[1]) / NS_PER_S
        except (OSError, IndexError):
            return 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Ask until SIGINT, then write what was measured."""
    parser = argparse.ArgumentParser(prog="python -m sam3d_ros.ros.harness.probe")
    parser.add_argument("output", type=Path, help="file for the figures")
    parser.add_argument("--pid", type=int, required=True, help="of the node")
    arguments = parser.parse_args(argv)
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("sam3d_probe", enable_rosout=False, start_parameter_services=False)
    probe = Probe(node, stopped, arguments.pid)
    probe.run()
    write_json({"longest_s": probe.longest_s, "answers": probe.num_answers}, arguments.output)
    node.destroy_node()
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
