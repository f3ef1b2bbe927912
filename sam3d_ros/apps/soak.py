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


"""``sam3d soak``: a long run of the node, watched from outside."""

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sam3d_ros.apps import trials
from sam3d_ros.apps.processes import RosProcesses, ros_environment
from sam3d_ros.apps.soak_figures import (
    MAX_GROWTH,
    MAX_SLOWDOWN,
    process_figures,
    restarts,
    slowdown,
)
from sam3d_ros.apps.usage import Usage, num_shared_files, usages
from sam3d_ros.errors import ConfigError
from sam3d_ros.evaluation.changing_table import OBJECTS, ChangingTable
from sam3d_ros.scene.export import write_json

if TYPE_CHECKING:
    from sam3d_ros.ros.harness.soaking import SoakLog

DESCRIPTION = """\
Send images of a table (320x240, with masks and depth) to the node at a steady pace; every few
seconds an object goes or comes back, with a new id once it was forgotten. Watched are memory,
threads and open files of the node's processes, shared memory, the queue, and the time from image
to TF. Exit code 1: memory grew by more than --growth, or anything else at all, after --warm frames;
masks had no report; or the 95th percentile of the latency rose by more than --slowdown.
"""
FRAMES_PER_VIEW = 150
COMPARED = 1000  # frames at either end whose latency is compared
NODE = trials.node_options(
    "masks.min_pixels:=100",
    "lift.grid:=32",
    # What is gone is forgotten before it comes back.
    "registry.lost_after:=1.0",
    "registry.remove_after:=3.0",
    # ~/meshes and ~/markers keep the last messages of so many objects and one more, for whoever
    # comes late; that takes 1 MB each, and is not what this looks for.
    "registry.max_objects:=10",
    "tracking.max_rate:=0.0",
    # Each mask has a report, so none may be lost on the way.
    *trials.heard_reliably("masks"),
    "qos_overrides./sam3d/masks.subscription.depth:=100",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.add_argument("--frames", type=int, default=20_000, help="images with masks and depth")
    parser.add_argument("--hz", type=float, default=30.0, help="images per second")
    parser.add_argument("--warm", type=int, default=2000, help="frames after which nothing grows")
    parser.add_argument("--growth", type=float, default=MAX_GROWTH, help="of memory, at most")
    parser.add_argument("--slowdown", type=float, default=MAX_SLOWDOWN, help="at most")
    trials.add_arguments(parser, Path("out/soak"))


def run(arguments: argparse.Namespace) -> int:
    """Run, judge, write ``soak.json``; 0 when nothing grew.

    Raises:
        ConfigError: Where ROS is not installed, or there are too few frames to compare.
    """
    if arguments.frames <= arguments.warm:
        raise ConfigError(f"--frames must exceed --warm ({arguments.warm})")
    os.environ.update(ros_environment(arguments.domain))
    with trials.ros_required("soak"):
        from sam3d_ros.ros.harness.peer import Peer, exposures  # noqa: PLC0415  # needs ROS
        from sam3d_ros.ros.harness.soaking import Soak  # noqa: PLC0415
        from sam3d_ros.ros.recording import recording_from_frames  # noqa: PLC0415
    recording = recording_from_frames(ChangingTable().frames(comings_and_goings()), 1.0, "sam3d")
    with RosProcesses(arguments.output / "logs", arguments.domain) as processes:
        processes.start("node", "sam3d_ros.ros.start", *NODE)

        def measure() -> tuple[tuple[Usage, ...], int]:
            return tuple(usages(processes.pids("node"))), num_shared_files()

        with Peer(recording) as peer:
            peer.wait_until_heard(180.0)
            soak = Soak(peer, exposures(recording), measure, FRAMES_PER_VIEW, len(OBJECTS))
            with suppress(KeyboardInterrupt):  # then it was shorter
                soak.run(
                    arguments.frames, arguments.hz, lambda: processes.exit_code("node") is None
                )
        ended = processes.stop("node")
        problems = [f"the node ended with exit code {ended.exit_code}"] if ended.exit_code else []
        problems += [f"left in /dev/shm: {name}" for name in processes.files_left()]
    return _judge(soak.log, problems, arguments)


def comings_and_goings() -> list[list[int]]:
    """Return which objects are on the table, view by view: each goes once and comes back."""
    every = list(range(len(OBJECTS)))
    views = []
    for gone in every:
        views += [every, [index for index in every if index != gone]]
    return views


def _judge(log: "SoakLog", problems: list[str], arguments: argparse.Namespace) -> int:
    """Print and write what was seen."""
    warm = [sample.usages for sample in log.samples if sample.frame >= arguments.warm]
    processes = process_figures(warm)
    for each in processes:
        problems += each.problems(arguments.growth)
        print(
            f"{each.name}: {each.warm_mb:.1f} MB, at the end {each.last_mb:.1f} MB "
            f"({each.growth:+.2%}); threads {each.threads[0]}, {each.threads[1]}; handles "
            f"{each.handles[0]}, {each.handles[1]}"
        )
    if num := restarts(warm):
        problems.append(f"{num} processes came or went")
    problems += _problems_of_frames(log, arguments)
    files = [sample.shared_files for sample in log.samples if sample.frame >= arguments.warm]
    print(f"files in /dev/shm, of everybody: {files[0] if files else 0} to {max(files, default=0)}")
    write_json(
        {
            "frames": len(log.sent_ns),
            "followed": len(log.latency_s),
            "codes": log.codes,
            "objects": len(log.names),
            "problems": problems,
            "samples": [_row(sample.frame, sample.usages) for sample in log.samples],
            "latency_s": log.latency_s,
        },
        arguments.output / "soak.json",
    )
    return trials.exit_code(problems)


def _problems_of_frames(log: "SoakLog", arguments: argparse.Namespace) -> list[str]:
    """Print what became of the frames; return what must not be."""
    problems = []
    num_sent, num_reports = len(log.sent_ns), sum(log.codes.values())
    codes = ", ".join(f"{num} x {code}" for code, num in sorted(log.codes.items()))
    print(f"{num_sent} of {arguments.frames} frames sent, {len(log.latency_s)} followed to TF")
    print(f"{log.num_reported} masks reported on, {num_reports} reports heard: {codes}")
    print(f"{len(log.names)} objects had a name")
    if num_sent < arguments.frames:
        problems.append(f"it ended after {num_sent} frames")
    if log.num_reported != num_sent + log.num_before:
        num_masks = num_sent + log.num_before
        problems.append(f"{num_masks} masks had {log.num_reported} reports")
    if log.num_wrong:
        problems.append(f"{log.num_wrong} transforms had the stamp of no image")
    waiting = max((sample.waiting for sample in log.samples), default=0)
    print(f"frames that waited in the queue: at most {waiting}")
    if waiting > 1:
        problems.append(f"{waiting} frames waited, queue.depth is 1")
    compared = min(COMPARED, num_sent // 2)
    first = [value for number, value in log.latency_s.items() if number < compared]
    last = [value for number, value in log.latency_s.items() if number >= num_sent - compared]
    if not first or not last:
        return [*problems, "nothing was followed"]
    before, after, rise = slowdown(first, last)
    print(
        f"image to TF, p95: {1e3 * before:.0f} ms in the first {compared} frames, "
        f"{1e3 * after:.0f} ms in the last ({rise:+.0%})"
    )
    if rise > arguments.slowdown:
        problems.append(f"the latency rose by {rise:.0%}")
    return problems


def _row(frame: int, row: Sequence[Usage]) -> list[object]:
    return [frame, *([u.pid, round(u.rss_mb, 2), u.threads, u.handles] for u in row)]
