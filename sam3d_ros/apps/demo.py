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

"""``sam3d demo``: the whole way, from a rendered camera over DDS through the node and back.

Three processes: one replays a rendered table top as topics, one is the node, one listens. What the
listener heard is compared with the exact truth of the rendering.
"""

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

from sam3d_ros.apps.demo_beside import PICTURE, beside_lift, why_no_nano
from sam3d_ros.apps.demo_truth import Heard, Limits, Row, compare, table, write_result
from sam3d_ros.apps.processes import Ended, RosProcesses
from sam3d_ros.apps.trials import exit_code, node_options
from sam3d_ros.errors import Sam3dError
from sam3d_ros.evaluation.datasets import Scene
from sam3d_ros.evaluation.synthetic import (
    SceneSpec,
    arrange,
    orbit,
    render_view,
    scene_from_view,
    write_scene_folder,
)

DESCRIPTION = """\
Render a table top with several objects, replay it over DDS to sam3d_node, listen to the result and
compare it with the truth. Exit code 0: every object came back within the stated limits, and all
processes ended cleanly.
"""
NODE = node_options()
SWEEP_RAD = 0.4  # of the camera around the table, over all views
NUM_REPORTS = 3  # frames that the node must get done


class DemoError(Sam3dError, RuntimeError):
    """A process of the demo failed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-o", "--output", type=Path, default=Path("out/demo"), help="results")
    parser.add_argument("--seed", type=int, default=4, help="of the arrangement of the objects")
    parser.add_argument("--views", type=int, default=3, help="positions of the moving camera")
    parser.add_argument("--hz", default="0.5", help="views per second")
    parser.add_argument("--timeout", type=float, default=120.0, help="longest wait for results, s")
    parser.add_argument(
        "--render-only", action="store_true", help="write the views as scene folders and end"
    )
    parser.add_argument("--domain", type=int, help="ROS domain; a private one unless given")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 when everything is as it should be.

    Raises:
        DemoError: When a process failed or nothing came back; ends with its last output.
    """
    output: Path = arguments.output
    started = time.monotonic()
    for part in ("input", "received"):  # of an earlier run
        shutil.rmtree(output / part, ignore_errors=True)
    if arguments.render_only:
        _render(arguments, started)
        return 0
    with RosProcesses(output / "logs", arguments.domain) as processes:
        _say(started, "starting the node and a listener")
        processes.start("node", "sam3d_ros.ros.start", *NODE)
        scenes = _render(arguments, started)
        processes.start(
            "listener", "sam3d_ros.ros.listener", *_listener_arguments(arguments, scenes)
        )
        _say(started, "replaying over DDS, waiting for the node's results")
        replay = ("replay", str(output / "input"), "--hz", arguments.hz, "--loop")
        processes.start("replay", "sam3d_ros.apps", *replay)
        _await_listener(processes, arguments.timeout)
        _say(started, "results are in, ending the processes with SIGINT")
        ended = [processes.stop(name) for name in ("replay", "node", "listener")]
        left = processes.files_left()
    return _judge(output, scenes, ended, left, started)


def _render(arguments: argparse.Namespace, started: float) -> list[Scene]:
    """Render the views, write them as scene folders and return them.

    Only the view that is pictured in the end gets several rays per pixel: that takes most of the
    time, and nobody looks at the others.
    """
    spec = SceneSpec()
    plain = replace(spec, quality=replace(spec.quality, supersampling=1))
    world = arrange(spec, arguments.seed)
    scenes = []
    for index, pose in enumerate(orbit(spec, arguments.views, SWEEP_RAD)):
        _say(started, f"rendering view {index + 1} of {arguments.views}")
        pictured = index == arguments.views // 2
        view = render_view(world, spec if pictured else plain, pose, seed=arguments.seed + index)
        folder = arguments.output / "input" / f"view_{index}"
        write_scene_folder(world, view, folder)
        scenes.append(scene_from_view(world, view, folder.name))
    return scenes


def _listener_arguments(arguments: argparse.Namespace, scenes: list[Scene]) -> list[str]:
    return [
        str(arguments.output / "received"),
        f"--reports={NUM_REPORTS}",
        f"--objects={len(scenes[0].truth)}",
        f"--timeout={arguments.timeout}",
    ]


def _await_listener(processes: RosProcesses, timeout_s: float) -> None:
    """Wait until the listener has everything.

    Raises:
        DemoError: When it gave up, or another process ended before.
    """
    code = processes.wait("listener", timeout_s + 10.0)
    if code == 0:
        return
    texts = [
        f"  {name} (exit code {processes.exit_code(name)}):\n{processes.last_lines(name)}"
        for name in ("node", "replay", "listener")
    ]
    raise DemoError("the node's results did not come back\n" + "\n".join(texts))


def _judge(
    output: Path, scenes: list[Scene], ended: list[Ended], left: list[str], started: float
) -> int:
    """Compare, print, draw; 1 when anything is not as it should be."""
    scene = scenes[len(scenes) // 2]
    heard = Heard.read(output / "received")
    limits = Limits()
    rows = compare(heard, scene, limits)
    picture = write_result(output, heard, scene, rows)
    print(f"\n{table(rows)}\n")
    print(limits.text)
    print(heard.text)
    if reason := why_no_nano():
        print(f"the node made all with lift: {reason}")
    else:
        print(f"\n{beside_lift(heard, scenes, scene, output)}\n")
        print(f"beside lift: {output / PICTURE}")
    problems = [*_problems_of_rows(rows), *heard.problems(), *_problems_of_processes(ended, left)]
    for one in ended:
        print(f"{one.name}: exit code {one.exit_code}, {one.seconds:.1f} s after SIGINT")
    print(f"picture: {picture}\nmeshes:  {output / 'received'}/*.glb")
    _say(started, "failed" if problems else "everything as it should be")
    return exit_code(problems)


def _problems_of_rows(rows: list[Row]) -> list[str]:
    return [f"{row.name}: {row.problem}" for row in rows if row.problem]


def _problems_of_processes(ended: list[Ended], left: list[str]) -> list[str]:
    problems = [
        f"{one.name} ended with exit code {one.exit_code}" for one in ended if one.exit_code
    ]
    if left:
        problems.append(f"left in /dev/shm: {', '.join(left)}")
    return problems


def _say(started: float, text: str) -> None:
    print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)
