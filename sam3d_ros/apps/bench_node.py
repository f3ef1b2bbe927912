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

"""The running node under a camera's load, and the backend on one core."""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sam3d_ros.apps.node_figures import (
    INPUTS,
    BenchError,
    NodeFigures,
    TrackingFigures,
    node_figures,
)
from sam3d_ros.apps.processes import RosProcesses
from sam3d_ros.apps.trials import node_options
from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ConfigError
from sam3d_ros.evaluation.benchmarks.lift import one_core_environment
from sam3d_ros.evaluation.files import read_json
from sam3d_ros.evaluation.synthetic import (
    SceneSpec,
    arrange,
    orbit,
    render_view,
    write_scene_folder,
)
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.ros.realtime import level_to_take, priority_here, refusal
from sam3d_ros.scene.export import write_json

OBJECTS = ("box", "can", "bowl", "mug", "bottle")
NUM_VIEWS = 3
SWEEP_RAD = 0.02  # a slowly moving camera
RATE_HZ = 30.0
LEAST_HZ = 20.0  # of images followed
CORES = 2
START_S = 12.0  # for the node and its reconstruction process to be there
CAMERA_S = 60.0  # for the camera, which loads its pictures
PUBLISHING = "publishing"  # what it says then


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A process that publishes until it is interrupted; takes ``--log FILE`` besides."""

    module: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...] = INPUTS  # of the node that it publishes


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this part."""
    parser.add_argument("--seconds", type=float, default=20.0, help="of camera stream")
    parser.add_argument("--domain", type=int, help="ROS domain; a private one unless given")
    parser.add_argument(
        "--realtime",
        type=int,
        choices=range(-1, 100),
        default=NodeConfig().realtime_priority,
        metavar="N",
        help="realtime_priority of the node, -1 to 99",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; 0 when everything could be measured and no frame was refused.

    Raises:
        BenchError: When a process failed; ends with its last output.
        ConfigError: When no node can be started.
    """
    output: Path = arguments.output
    load = os.getloadavg()[0]
    print(f"{cpu_name()}, {os.cpu_count()} cores, load average {load:.1f} before the start")
    print(f"rendering {len(OBJECTS)} objects", flush=True)
    scene = _render(output / "input")
    print("reconstructing them on one core", flush=True)
    objects = _measure_backend(scene)
    priority = real_time_priority(arguments.realtime)
    print(running_text(arguments, priority), flush=True)
    with limited_to_cores(CORES):
        node = measure_node(output, arguments, _camera(output))
    write_json(
        {
            "cpu": cpu_name(),
            "cores": CORES,
            "load_before": load,
            "real_time_priority": priority,
            "objects": objects,
            "node": asdict(node),
        },
        output / "bench.json",
    )
    print(f"\n{_node_text(node)}\n\n{_objects_text(objects)}\n\nwritten: {output / 'bench.json'}")
    return int(bool(node.refusals))


def running_text(arguments: argparse.Namespace, priority: int) -> str:
    """Say how the node is going to run, and with which real-time priority."""
    return (
        f"running the node for {arguments.seconds:g} s on {CORES} cores, real-time priority "
        f"{priority or 'none'} (realtime_priority {arguments.realtime})"
    )


def real_time_priority(wanted: int) -> int:
    """Return what a node gets that we start with this parameter; 0 is none."""
    level = level_to_take(wanted)
    return level if level and not refusal(level) else priority_here()  # which it inherits


def _camera(output: Path) -> Camera:
    replay = ("replay", str(output / "input"), "--hz", str(RATE_HZ), "--loop")
    return Camera(module="sam3d_ros.apps", arguments=(*replay, "--best-effort", "--wait", "20"))


def _render(folder: Path) -> Path:
    """Render the camera's frames; return the first scene folder."""
    spec = SceneSpec(objects=OBJECTS, quality=Quality(supersampling=1))
    world = arrange(spec, seed=0)
    for index, pose in enumerate(orbit(spec, NUM_VIEWS, SWEEP_RAD)):
        view = render_view(world, spec, pose, seed=index)
        write_scene_folder(world, view, folder / f"view_{index}")
    return folder / "view_0"


def _measure_backend(scene: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "sam3d_ros.evaluation.benchmarks.lift", str(scene)],
        env=one_core_environment(),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"the backend's benchmark ended with exit code {done.returncode}")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def measure_node(output: Path, arguments: argparse.Namespace, camera: Camera) -> NodeFigures:
    """Run node, camera and listener; return what their logs say together.

    Args:
        output: Where logs go.
        arguments: As ``add_options`` declares them.
        camera: What publishes.

    Raises:
        BenchError: When one of them failed; ends with its last output.
    """
    sent_log, call_log = output / "published.csv", output / "callbacks.csv"
    heard_file = output / "received" / "heard.json"
    for old in (sent_log, call_log, heard_file):
        old.unlink(missing_ok=True)
    seconds: float = arguments.seconds
    options = node_options(f"realtime_priority:={arguments.realtime}")
    with RosProcesses(output / "logs", arguments.domain) as processes:
        processes.start("node", "sam3d_ros.ros.bench", str(call_log), *options)
        listen = ("--reports=1000000", f"--timeout={seconds + START_S + 60.0}")
        processes.start("listener", "sam3d_ros.ros.listener", str(output / "received"), *listen)
        time.sleep(START_S)
        processes.start("camera", camera.module, *camera.arguments, "--log", str(sent_log))
        _await_camera(processes)
        started = time.monotonic()
        while time.monotonic() < started + seconds + 1.0:  # some for the first of all subscribers
            time.sleep(0.1)
            _check_alive(processes)
        for name in ("camera", "listener", "node"):  # the node hears what is still on the way
            ended = processes.stop(name)
            # The listener is never content here, and says so with 1.
            if ended.exit_code != int(name == "listener"):
                raise BenchError(f"the {name} failed\n{processes.last_lines(name)}")
            time.sleep(0.5)
    return node_figures(_read(sent_log), _read(call_log), read_json(heard_file), camera.inputs)


def _await_camera(processes: RosProcesses) -> None:
    """Wait until the camera says that it publishes."""
    deadline_s = time.monotonic() + CAMERA_S
    while PUBLISHING not in processes.log("camera").read_text(encoding="utf-8"):
        _check_alive(processes)
        if time.monotonic() > deadline_s:
            raise BenchError(f"the camera was not ready after {CAMERA_S:g} s")
        time.sleep(0.1)


def _check_alive(processes: RosProcesses) -> None:
    for name in ("node", "listener", "camera"):
        if processes.exit_code(name) is not None:
            raise BenchError(f"the {name} ended early\n{processes.last_lines(name)}")


def _read(path: Path) -> dict[str, list[tuple[int, ...]]]:
    """Read a log: rows of integers by topic."""
    rows: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for topic, *values in csv.reader(file):
            rows[topic].append(tuple(int(value) for value in values))
    return rows


def topic_lines(node: NodeFigures) -> list[str]:
    """Lay out what happened to the messages of each topic."""
    head = f"{'topic':18} {'sent':>6} {'lost':>5} {'transport p50, p99 ms':>22}"
    head += f" {'callback p50, max, own max ms':>30}"
    return [
        head,
        "-" * len(head),
        *(
            f"{name:18} {each.published:6} {each.lost:5} {each.transport_p50_ms:14.2f} "
            f"{each.transport_p99_ms:7.2f} {each.callback_p50_ms:13.2f} "
            f"{each.callback_max_ms:7.2f} {each.own_max_ms:8.2f}"
            for name, each in node.topics.items()
        ),
    ]


def _node_text(node: NodeFigures) -> str:
    """Lay out the node's figures."""
    every = node.topics.values()
    longest = max(each.callback_max_ms for each in every)
    own = max(each.own_max_ms for each in every)
    slowest = max(each.transport_p50_ms for each in every)
    lost = sum(each.lost for each in every)
    rate = node.frames_done / node.seconds
    refused = ", ".join(f"{num} x {code}" for code, num in node.refusals.items())
    return "\n".join(
        [
            *topic_lines(node),
            "",
            verdict("longest input callback", longest, 5.0, "ms"),
            f"most that one had a processor: {own:.2f} ms; meanwhile others had it, and its lock",
            verdict("transport, p50 of the slowest topic", slowest, 8.0, "ms"),
            verdict("messages lost", lost, 0, ""),
            verdict("first result after the first mask", node.first_result_s, 2.0, "s"),
            f"all objects of the first frame: {node.first_frame_s:.2f} s",
            f"frames done: {node.frames_done} ({rate:.2f} per s, {node.frame_s:.2f} s each), newer "
            f"ones preferred to {node.frames_dropped}",
            f"frames refused: {refused or 'none'}",
            "",
            *_tracking_lines(node.tracking),
        ]
    )


def _tracking_lines(tracking: TrackingFigures) -> list[str]:
    """Say how objects were followed."""
    dropped = tracking.images - tracking.followed
    return [
        f"images once objects were known: {tracking.images}, left out for newer ones {dropped}; "
        f"{tracking.objects:.1f} of {len(OBJECTS)} objects in each of the others",
        verdict("image to TF, p50", tracking.latency_p50_ms, 60.0, "ms"),
        verdict("image to TF, p95", tracking.latency_p95_ms, 60.0, "ms"),
        f"images followed: {tracking.rate_hz:.1f} per s  (limit {LEAST_HZ:g} per s: "
        f"{'kept' if tracking.rate_hz >= LEAST_HZ else 'BROKEN'})",
    ]


def _objects_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay out the backend's figures."""
    names = list(rows[0]["ms"])
    head = f"{'object, one core':18} {'points':>7} " + " ".join(
        f"{name + ' ms':>12}" for name in names
    )
    lines = [head, "-" * len(head)]
    for row in rows:
        cells = " ".join(f"{row['ms'][name]:12.0f}" for name in names)
        lines.append(f"{row['object']:18} {row['points']:7} {cells}")
    own = float(np.median([row["ms"][names[0]] for row in rows]))
    ratios = [
        f"{own / float(np.median([row['ms'][name] for row in rows])):.2f} x Open3D {name}"
        for name in names[1:]
    ]
    slowest = max(row["ms"][names[0]] for row in rows)
    return "\n".join(
        [
            *lines,
            "",
            verdict(f"{names[0]}, slowest object", slowest, 400.0, "ms"),
            f"{names[0]}, median: {own:.0f} ms = {', '.join(ratios)}",
        ]
    )


def verdict(name: str, value: float, limit: float, unit: str) -> str:
    """Put a figure beside its limit."""
    state = "kept" if value <= limit else "BROKEN"
    return (
        f"{name}: {value:.3g} {unit}".rstrip()
        + f"  (limit {limit:g} {unit}".rstrip()
        + f": {state})"
    )


@contextmanager
def limited_to_cores(num: int) -> Iterator[None]:
    """Let the processes started meanwhile run on ``num`` cores, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    if len(before) < num:
        raise ConfigError(f"the benchmark needs {num} cores, this process may use {len(before)}")
    os.sched_setaffinity(0, sorted(before)[:num])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_name() -> str:
    """Return the processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
