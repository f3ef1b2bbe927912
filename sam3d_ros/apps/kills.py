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


"""``sam3d kills``: node, publisher and subscriber are killed at random moments, again and again."""

import argparse
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sam3d_ros.apps import trials
from sam3d_ros.apps.processes import RosProcesses, ros_environment
from sam3d_ros.apps.usage import is_running
from sam3d_ros.evaluation.changing_table import ChangingTable
from sam3d_ros.evaluation.synthetic import render_view, write_scene_folder

if TYPE_CHECKING:
    from sam3d_ros.ros.harness.witness import Witness

DESCRIPTION = """\
Run a camera, the node and a subscriber, and kill one of them (SIGKILL) at a random moment, also
while it starts. The others must go on, the processes of a killed node end with it, and once it is
started again objects come back and viewers show no others. In the end the node is started cleanly
without a camera: no viewer, old or new, shows anything. Exit code 1: any of that did not hold.
"""
NAMES = ("node", "camera", "listener")
LONGEST_S = 5.0  # from one start to the next death
RECOVERY_S = 180.0  # from a start to objects, however busy the machine is
ORPHANS_S = 5.0  # for the processes of a killed node to notice
AGREE_S = 20.0  # for markers to be those of the objects
QUIET_S = 3.0
INTERRUPTED = 130, -signal.SIGINT  # exit codes after Ctrl-C: as shells expect; of a bare Python
NODE = trials.node_options(
    "masks.min_pixels:=100",
    "lift.grid:=24",
)
CAMERA = ("--hz", "5", "--loop", "--best-effort", "--wait", "1")
LISTENER = ("--reports=1000000", "--timeout=100000")  # it is never content


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.add_argument("--times", type=int, default=50, help="deaths")
    trials.add_chance_arguments(parser, "who dies when")
    trials.add_arguments(parser, Path("out/kills"))


def run(arguments: argparse.Namespace) -> int:
    """Kill, judge; 0 when all went on.

    Raises:
        ConfigError: Where ROS is not installed.
    """
    os.environ.update(ros_environment(arguments.domain))
    with trials.ros_required("kills"):
        from sam3d_ros.ros.harness.witness import Witness  # noqa: PLC0415  # needs ROS
    output: Path = arguments.output
    _render(output / "input")
    with RosProcesses(output / "logs", arguments.domain) as processes:
        with Witness() as witness:
            killing = Killing(processes, witness, output, np.random.default_rng(arguments.seed))
            killing.run(arguments.times, arguments.seconds)
            killing.start_over(lambda: Witness("sam3d_late_witness"))
        for name in NAMES:
            if name in killing.started:
                processes.stop(name)
        processes.remove_left()
    counts = ", ".join(f"{killing.deaths.count(name)} x {name}" for name in NAMES)
    print(f"{len(killing.deaths)} deaths: {counts}")
    print(f"slowest recovery {max(killing.recoveries_s, default=0.0):.1f} s after the start")
    return trials.exit_code(killing.problems)


def _render(folder: Path) -> None:
    table = ChangingTable()
    world = table.world()
    view = render_view(world, table.spec, table.spec.world_from_camera, seed=0)
    write_scene_folder(world, view, folder)


@dataclass(slots=True)
class Killing:
    """Starts processes, kills them, and asks the witness how the others do."""

    processes: RosProcesses
    witness: "Witness"
    output: Path
    rng: np.random.Generator
    deaths: list[str] = field(default_factory=list)
    recoveries_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    started: set[str] = field(default_factory=set)

    def run(self, times: int, seconds: float) -> None:
        """Kill so often, or so long."""
        deadline_s = time.monotonic() + seconds
        for name in NAMES:
            self._start(name)
        self._await_recovery("the start")
        while len(self.deaths) < times and time.monotonic() < deadline_s:
            self._kill_one()
            if len(self.problems) > times:
                return

    def start_over(self, make_witness: "Callable[[], Witness]") -> None:
        """Start the node cleanly where nothing is seen; nobody may show what it once had."""
        for name in ("camera", "node"):
            self._stop(name)
        self.witness.listen(1.0)
        cleared = self.witness.num_cleared
        self._start("node")
        if not self.witness.until(lambda: self.witness.num_cleared > cleared, RECOVERY_S):
            self.problems.append("a node that was started anew deleted no markers")
        with make_witness() as late:
            late.listen(QUIET_S)
            self.witness.listen(QUIET_S)
            for who, each in (("an old", self.witness), ("a new", late)):
                if each.shown:
                    self.problems.append(f"{who} viewer shows {sorted(each.shown)} after a restart")

    def _kill_one(self) -> None:
        """Kill somebody sometime, look after the others, start it again and wait for objects."""
        name = str(self.rng.choice(NAMES))
        self.witness.listen(float(self.rng.uniform(0.0, LONGEST_S)))
        self.started.discard(name)
        orphans = self.processes.kill(name)
        self.deaths.append(name)
        which = f"death {len(self.deaths)} ({name})"
        for other in sorted(self.started):
            if self.processes.exit_code(other) is not None:
                lines = self.processes.last_lines(other)
                self.problems.append(f"{which}: the {other} ended, too\n{lines}")
                self.started.discard(other)
        self._await_orphans(which, orphans)
        for missing in sorted(set(NAMES) - self.started):
            self._start(missing)
        # Now and then somebody dies again before all is well.
        if self.rng.random() < 0.8:
            self._await_recovery(which)

    def _await_orphans(self, which: str, orphans: set[int]) -> None:
        def ended() -> bool:
            return not any(is_running(pid) for pid in orphans)

        if not self.witness.until(ended, ORPHANS_S):
            self.problems.append(f"{which}: its processes went on")

    def _await_recovery(self, which: str) -> None:
        """Wait for a success, and for viewers that show what the node has."""
        witness, began_s = self.witness, time.monotonic()
        before = witness.num_successes
        if not witness.until(lambda: witness.num_successes > before, RECOVERY_S):
            lines = self.processes.last_lines("node")
            self.problems.append(f"{which}: no object within {RECOVERY_S:g} s\n{lines}")
            return
        self.recoveries_s.append(time.monotonic() - began_s)
        if not witness.until(lambda: witness.shown == witness.known, AGREE_S):
            self.problems.append(
                f"{which}: viewers show {sorted(witness.shown)}, there are {sorted(witness.known)}"
            )

    def _start(self, name: str) -> None:
        self.started.add(name)
        commands = {
            "node": ("sam3d_ros.ros.start", *NODE),
            "camera": ("sam3d_ros.apps", "replay", str(self.output / "input"), *CAMERA),
            "listener": ("sam3d_ros.ros.listener", str(self.output / "received"), *LISTENER),
        }
        module, *options = commands[name]
        self.processes.start(name, module, *options)

    def _stop(self, name: str) -> None:
        if name in self.started:
            self.started.discard(name)
            ended = self.processes.stop(name)
            # The camera may be starting still; only the node promises to end well even then.
            if ended.exit_code and (name == "node" or ended.exit_code not in INTERRUPTED):
                self.problems.append(f"the {name} ended with exit code {ended.exit_code}")
