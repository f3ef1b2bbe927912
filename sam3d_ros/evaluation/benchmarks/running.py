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

"""What all benchmarks have in common as commands."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sam3d_ros.errors import Sam3dError


def parser_of(module: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of ``python -m module``, with the folder for results."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/bench"), help="results")
    return parser


def run_parsed(
    name: str,
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None,
) -> int:
    """Run one benchmark; return 1 for a failure said in one sentence."""
    try:
        return run(parser.parse_args(argv))
    except Sam3dError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def use_one_core() -> None:
    """Let this process run on one core, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
