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


"""``sam3d fuzz``: thousands of hostile messages to a running node, good ones between them."""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sam3d_ros.apps import trials
from sam3d_ros.apps.node_figures import INPUTS
from sam3d_ros.apps.processes import RosProcesses, ros_environment
from sam3d_ros.evaluation.changing_table import OBJECTS, ChangingTable
from sam3d_ros.evaluation.files import read_json

if TYPE_CHECKING:
    from sam3d_ros.ros.harness.fuzzing import Findings

DESCRIPTION = """\
Send hostile messages on every input of a running node: sizes, steps and lengths that lie, NaN,
unknown encodings, impossible cameras, stamps and labels at the limits, broken transforms and
loops of them, names that are no UTF-8. Each stands in an exposure that is otherwise good, or alone;
a good exposure follows every few. Exit code 1: the node ended, was silent for more than a second,
gave a mask no report or two, published a transform where no object is, took what it should have
refused, or refused a good exposure.
"""
MAX_SILENCE_S = 1.0
LIDAR_STRIDE = 4
NODE = trials.node_options(
    "queue.depth:=100",
    "masks.min_pixels:=100",
    "tracking.max_mask_rate:=0.0",
    "sync.timeout:=0.2",
    "tf.timeout:=0.1",
    # Exposures follow each other within a millisecond; each has its own messages, or none. A mask
    # that took the image before would be reported on under the stamp of that image.
    "sync.slop:=0.0",
    # Shapes are not what is looked at; neither is how long it takes to make them again and again.
    "lift.grid:=24",
    "registry.keep_on_time_jump:=true",
    # Each exposure waits for its report, so none may be lost on the way; and where a hostile depth
    # image were lost, points would stand in for it, and nothing would be there to refuse.
    *trials.heard_reliably(*INPUTS, "points"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.add_argument("--messages", type=int, default=10_000, help="hostile ones")
    trials.add_chance_arguments(parser, "what comes when")
    parser.add_argument("--only", default="", help='only attacks with this in "topic: name"')
    trials.add_arguments(parser, Path("out/fuzz"))


def run(arguments: argparse.Namespace) -> int:
    """Attack, judge, write ``fuzz.json``; 0 when nothing went wrong.

    Raises:
        ConfigError: Where ROS is not installed.
    """
    os.environ.update(ros_environment(arguments.domain))
    with trials.ros_required("fuzz"):
        from sam3d_ros.ros.harness.fuzzing import Choice, Fuzzer  # noqa: PLC0415  # needs ROS
        from sam3d_ros.ros.harness.peer import Peer, exposures  # noqa: PLC0415
        from sam3d_ros.ros.recording import recording_from_frames  # noqa: PLC0415
    table = ChangingTable()
    frames = table.frames([range(len(OBJECTS))], LIDAR_STRIDE)
    recording = recording_from_frames(frames, 1.0, "sam3d")
    silence = arguments.output / "silence.json"
    with RosProcesses(arguments.output / "logs", arguments.domain) as processes:
        processes.start("node", "sam3d_ros.ros.start", *NODE)
        with Peer(recording) as peer:
            peer.wait_until_heard(180.0)
            pid = processes.pids("node")[0]
            processes.start("probe", "sam3d_ros.ros.harness.probe", str(silence), f"--pid={pid}")
            fuzzer = Fuzzer(
                peer,
                exposures(recording)[0],
                table.centers_m(),
                lambda: processes.exit_code("node") is None,
                Choice(seed=arguments.seed, only=arguments.only),
            )
            findings = fuzzer.run(arguments.messages, arguments.seconds)
        processes.stop("probe")
        findings.longest_silence_s = float(read_json(silence)["longest_s"])
        ended = processes.stop("node")
        if ended.exit_code:
            findings.problem(f"the node ended with exit code {ended.exit_code}")
        log = processes.log("node").read_text(encoding="utf-8", errors="replace")
        if "Traceback" in log:
            findings.problem(f"the node's log has a traceback\n{processes.last_lines('node')}")
    return _judge(findings, arguments.output)


def _judge(findings: "Findings", output: Path) -> int:
    """Print and write what was found."""
    if findings.longest_silence_s > MAX_SILENCE_S:
        findings.problem(f"the node was silent for {findings.longest_silence_s:.2f} s")
    (output / "fuzz.json").write_text(json.dumps(asdict(findings), indent=1), encoding="utf-8")
    codes = ", ".join(f"{num} x {code}" for code, num in sorted(findings.codes.items()))
    print(f"{findings.num_hostile} hostile messages, {findings.num_good} good exposures between")
    print(f"reports on exposures with one of them: {codes}")
    print(f"{findings.num_transforms} transforms of objects checked against the truth")
    print(
        f"longest silence of the node {findings.longest_silence_s:.2f} s, slowest report on a "
        f"good exposure {findings.slowest_good_s:.2f} s, on another "
        f"{findings.slowest_hostile_s:.2f} s"
    )
    return trials.exit_code(findings.problems)
