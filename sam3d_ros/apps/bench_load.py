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


"""The running node under more than it needs: large images and a LiDAR, on two cores."""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from sam3d_ros.apps.bench_node import (
    CORES,
    RATE_HZ,
    Camera,
    cpu_name,
    limited_to_cores,
    measure_node,
    real_time_priority,
    running_text,
    topic_lines,
    verdict,
)
from sam3d_ros.apps.node_figures import INPUTS, NodeFigures
from sam3d_ros.evaluation.changing_table import OBJECTS, ChangingTable, table_spec
from sam3d_ros.evaluation.synthetic import orbit, render_view, write_scene_folder
from sam3d_ros.scene.export import write_json

SIZE = 1280, 720
NUM_VIEWS = 3  # one of them with a cloud: a third of the camera's rate
NUM_POINTS = 300_000
CALLBACK_MS = 8.0
TRANSPORT_MS = 15.0


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; 0 when everything could be measured and no frame was refused.

    Raises:
        BenchError: When a process failed; ends with its last output.
        ConfigError: When no node can be started.
    """
    output: Path = arguments.output / "load"
    load = os.getloadavg()[0]
    print(f"{cpu_name()}, {os.cpu_count()} cores, load average {load:.1f} before the start")
    width, height = SIZE
    print(f"rendering {len(OBJECTS)} objects at {width}x{height}", flush=True)
    _render(output / "input")
    priority = real_time_priority(arguments.realtime)
    print(running_text(arguments, priority), flush=True)
    camera = Camera(
        module="sam3d_ros.ros.harness.camera",
        arguments=(str(output / "input"), f"--hz={RATE_HZ}", f"--points={NUM_POINTS}"),
        inputs=(*INPUTS, "points"),
    )
    with limited_to_cores(CORES):
        node = measure_node(output, arguments, camera)
    figures = {
        "cpu": cpu_name(),
        "cores": CORES,
        "load_before": load,
        "real_time_priority": priority,
        "node": asdict(node),
    }
    write_json(figures, output / "bench.json")
    print(f"\n{_text(node)}\n\nwritten: {output / 'bench.json'}")
    return int(bool(node.refusals))


def _render(folder: Path) -> None:
    table = ChangingTable(spec=table_spec(*SIZE))
    world = table.world()
    for index, pose in enumerate(orbit(table.spec, NUM_VIEWS, table.sweep_rad)):
        view = render_view(world, table.spec, pose, seed=index)
        write_scene_folder(world, view, folder / f"view_{index}")


def _text(node: NodeFigures) -> str:
    """Lay out the figures."""
    longest = max(each.callback_max_ms for each in node.topics.values())
    slowest = max(each.transport_p50_ms for each in node.topics.values())
    tracking = node.tracking
    refused = ", ".join(f"{num} x {code}" for code, num in node.refusals.items())
    return "\n".join(
        [
            *topic_lines(node),
            "",
            verdict("longest input callback", longest, CALLBACK_MS, "ms"),
            verdict("transport, p50 of the slowest topic", slowest, TRANSPORT_MS, "ms"),
            f"frames with masks done: {node.frames_done}, dropped for newer ones and reported: "
            f"{node.frames_dropped}, refused: {refused or 'none'}",
            f"images followed: {tracking.rate_hz:.1f} of {RATE_HZ:g} per s, "
            f"{tracking.images - tracking.followed} left out for newer ones; "
            f"{tracking.objects:.1f} of {len(OBJECTS)} objects in each",
            f"image to TF: p50 {tracking.latency_p50_ms:.0f} ms, p95 "
            f"{tracking.latency_p95_ms:.0f} ms",
        ]
    )
