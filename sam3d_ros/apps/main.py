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

"""The ``sam3d`` command; each subcommand is one module with ``add_arguments`` and ``run``."""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from sam3d_ros.errors import Sam3dError

COMMANDS = {
    "offline": "reconstruct a scene folder or a bag into meshes, poses and pictures",
    "replay": "publish a scene folder or a bag as ROS topics",
    "evaluate": "compare reconstructions with ground truth",
    "demo": "render a scene, run the node on it over DDS, compare with the truth",
    "bench": "measure the running node, and the models beside limits and plain alternatives",
    "fuzz": "send hostile messages to a running node, good ones between them",
    "soak": "run the node for long while objects come and go, and watch what it takes",
    "kills": "kill node, publisher and subscriber again and again, see that all recovers",
    "train": "train the small model of backend nano on procedural data",
    "engine": "ask nano several times, judge its answers, keep them as training data",
    "check": "say what is installed and which outputs are off",
}
DESCRIPTION = "Camera, masks and depth in; metric object meshes with 6-DoF poses out."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return 0, 1 for a failure said in one sentence, 2 for wrong usage."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    given = sys.argv[1:] if argv is None else list(argv)
    arguments = _parser(given).parse_args(given)
    try:
        return int(arguments.run(arguments))
    except Sam3dError as error:
        print(f"sam3d {arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"sam3d {arguments.command}: interrupted", file=sys.stderr)
        return 130


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; only the module of the command that was asked for is imported."""
    parser = argparse.ArgumentParser(prog="sam3d", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name in given:
            module = importlib.import_module(f"sam3d_ros.apps.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser
