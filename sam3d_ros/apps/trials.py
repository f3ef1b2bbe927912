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

"""What the commands share that try a running node from outside: its settings, options, verdict."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sam3d_ros.errors import ConfigError

NAMESPACE = "sam3d"


def node_options(*parameters: str) -> tuple[str, ...]:
    """Return the command line of a node in ``NAMESPACE``; parameters are ``name:=value``."""
    options = ("--ros-args", "-r", f"__ns:=/{NAMESPACE}", "-p", "output_frame:=world")
    return (*options, *(part for each in parameters for part in ("-p", each)))


def heard_reliably(*topics: str) -> tuple[str, ...]:
    """Return the parameters by which a node loses nothing of its inputs.

    Cameras' best effort is the node's default, and loses what comes while the machine is busy.
    """
    return tuple(
        f"qos_overrides./{NAMESPACE}/{topic}.subscription.reliability:=reliable" for topic in topics
    )


def add_arguments(parser: argparse.ArgumentParser, output: Path) -> None:
    """Declare where results go, and on which network."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-o", "--output", type=Path, default=output, help="results")
    parser.add_argument("--domain", type=int, help="ROS domain; a private one unless given")


def add_chance_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare for how long chance decides, and from which seed."""
    parser.add_argument("--seconds", type=float, default=1800.0, help="longest run")
    parser.add_argument("--seed", type=int, default=0, help=f"of {what}")


@contextmanager
def ros_required(command: str) -> Iterator[None]:
    """Say by name what a command lacks whose imports inside need ROS.

    Raises:
        ConfigError: Where ROS is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"sam3d {command} needs ROS 2 with rclpy: {error}") from error


def exit_code(problems: Sequence[str]) -> int:
    """Print what went wrong; return 0 when nothing did."""
    for problem in problems:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    return int(bool(problems))
