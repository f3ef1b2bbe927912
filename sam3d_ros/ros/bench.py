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

"""What ``sam3d bench`` runs in place of ``sam3d_node``: the same node, with a stopwatch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sam3d_ros.ros.start import settle


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT, then write what was measured."""
    parser = argparse.ArgumentParser(prog="python -m sam3d_ros.ros.bench", description=__doc__)
    parser.add_argument("log", type=Path, help="topic, stamp, begin, end and own time of each call")
    arguments, ros_arguments = parser.parse_known_args(argv)
    settle()
    from sam3d_ros.ros.node import main as run_node  # noqa: PLC0415
    from sam3d_ros.ros.timed_node import TimedNode  # noqa: PLC0415

    return run_node(ros_arguments, lambda: TimedNode(arguments.log))


if __name__ == "__main__":
    sys.exit(main())
