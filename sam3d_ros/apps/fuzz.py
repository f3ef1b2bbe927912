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
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sam3d_ros.apps.processes import RosProcesses, ros_environment
from sam3d_ros.errors import ConfigError
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
NODE = (
    *("--ros-args", "-r", "__ns:=/sam3d"),
    *("-p", "output_frame:=world"),
    *("-p", "queue.policy:=none"),
    *("-p", "masks.min_pixels:=100"),
    *("-p", "tracking.max_mask_rate:=0.0"),
    *("-p", "sync.timeout:=0.2"),
    *("-p", "tf.timeout:=0.1"),
    # Exposures follow each other closely; each has its own messages, or none.
    *("-p", "sync.slop:=0.001"),
    # Shapes are not what is looked at; neither is how long it takes to make them again and again.
    *("-p", "lift.grid:=24"),
    *("-p", "registry.keep_on_time_jump:=true"),
    # Each exposure waits for its report, so none may be lost on the way.
    *("-p", "qos_overrides./sam3d/masks.subscription.reliability:=reliable"),
    *("-p", "qos_overrides./sam3d/image.subscription.reliability:=reliable"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--messages", type=int, default=10_000, help="hostile ones")
    parser.add_argument("--seconds", type=float, default=1800.0, help="longest run")
    parser.add_argument("--seed", type=int, default=0, help="of what comes when")
    parser.add_argument("--only", default="", help='only attacks with this in "topic: name"')
    parser.add_argument("-o", "--output", type=Path, default=Path("out/fuzz"), help="results")
    parser.add_argument("--domain", type=int, help="ROS domain; a private one unless given")


def run(arguments: argparse.Namespace) -> int:
    """Attack, judge, write ``fuzz.json``; 0 when nothing went wrong.

    Raises:
        ConfigError: Where ROS is not installed.
    """
    os.environ.update(ros_environment(arguments.domain))
    try:
        from sam3d_ros.ros.harness.fuzzing import Choice, Fuzzer  # noqa: PLC0415  # needs ROS
        from sam3d_ros.ros.harness.peer import Peer, exposures  # noqa: PLC0415
        from sam3d_ros.ros.recording import recording_from_frames  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"sam3d fuzz needs ROS 2 with rclpy: {error}") from error
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
    for problem in findings.problems:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    return int(bool(findings.problems))
