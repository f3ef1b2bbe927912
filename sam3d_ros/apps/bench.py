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

"""``sam3d bench``: the running node, then every part of the models, each in its own process."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sam3d_ros.apps import bench_load, bench_node
from sam3d_ros.errors import ConfigError

NODE = "node"
LOAD = "load"
TRACKING = "tracking"
BENCHMARKS = "sam3d_ros.evaluation.benchmarks."
# Modules of evaluation.benchmarks. On a machine with a GPU they measure the released sizes there.
MODELS = ("first_stage", "sparse", "decoders", "meshing", "pipeline", "body")
SCENES = ("registration", TRACKING, "multiview", "choosing")
NANO = "nano"
PARTS = (NODE, LOAD, *SCENES, NANO, *MODELS)
DESCRIPTION = """\
Measure the node under a camera's load and the backend on one core beside Open3D (part node), the
node under larger images and a LiDAR (part load), poses fitted to half hidden objects beside Open3D
(part registration; minutes), objects followed through
rendered sequences whose truth is known and through a bag (part tracking; minutes), what further
views do for a mesh (part multiview; minutes), how often the best of several reconstructions is
chosen (part choosing; minutes), nano beside lift, what the stages of its training did and what its
steps cost (part nano; minutes; needs its weights), and the models with random weights beside their
arithmetic, plain alternatives and limits (the other parts; reduced sizes on a CPU, the released
ones on a GPU). A busy machine breaks the limits that are printed beside the figures. Exit code 1:
something could not be measured.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; else all")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/bench"), help="results")
    bench_node.add_options(parser)
    group = parser.add_argument_group("part nano")
    group.add_argument("--nano", default="", metavar="DIR", help="its weights, else those shipped")
    group.add_argument("--ladder", default="", metavar="DIR", help="folder of exports, by stage")
    group.add_argument("--families", default="200", metavar="N", help="objects (%(default)s)")
    group.add_argument(
        "--record", action="store_true", help="write the figures into the weights' provenance"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; 0 when everything could be measured."""
    parts = arguments.parts or PARTS
    unknown = sorted({*parts} - {*PARTS})
    if unknown:
        raise ConfigError(f"parts are {', '.join(PARTS)}; got {', '.join(unknown)}")
    codes = []
    for part in parts:
        print(f"== {part}", flush=True)
        if part == NODE:
            codes.append(bench_node.run(arguments))
        elif part == LOAD:
            codes.append(bench_load.run(arguments))
        else:
            options = _nano_options(arguments) if part == NANO else []
            codes.append(_measure(part, arguments.output, options))
        print(flush=True)
    return max(codes)


def _nano_options(arguments: argparse.Namespace) -> list[str]:
    options = [f"--nano={arguments.nano}", f"--families={arguments.families}"]
    if arguments.ladder:
        options.append(f"--ladder={arguments.ladder}")
    return [*options, "--record"] if arguments.record else options


def _measure(part: str, output: Path, options: Sequence[str]) -> int:
    """Run a benchmark in a process of its own, so that its peak of memory is its own."""
    # Pictures of what was followed are drawn in apps.
    module = BENCHMARKS + part if part != TRACKING else "sam3d_ros.apps.bench_tracking"
    command = [sys.executable, "-m", module, "-o", str(output), *options]
    return subprocess.run(command, check=False).returncode
