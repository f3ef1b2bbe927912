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

"""``config/sam3d.yaml`` from the settings: ``python -m sam3d_ros.apps.parameters``."""

import json
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from sam3d_ros.config import Limits, NodeConfig, limits_of

HEAD = """\
# All parameters of sam3d_node with their defaults. Written from sam3d_ros/config by
#   python3 -m sam3d_ros.apps.parameters > config/sam3d.yaml
# Copy what you change into a file of your own and pass it as params_file.
/**:
  ros__parameters:
"""


def yaml_from_config(config: NodeConfig) -> str:
    """Write ``config`` as a ROS parameter file with one comment per parameter."""
    return HEAD + "".join(f"    {line}\n" for line in _lines(config))


def _lines(config: Any) -> Iterator[str]:
    """Yield the lines of one dataclass: its own leaves first, then the nested ones."""
    leaves = [leaf for leaf in fields(config) if not is_dataclass(getattr(config, leaf.name))]
    for leaf in leaves:
        yield f"# {_comment(limits_of(leaf))}"
        # JSON is YAML, and never writes a float like an integer.
        yield f"{leaf.name}: {json.dumps(getattr(config, leaf.name))}"
    for branch in fields(config):
        if branch not in leaves:
            yield f"{branch.name}:"
            yield from (f"  {line}" for line in _lines(getattr(config, branch.name)))


def _comment(limits: Limits) -> str:
    """Say what a parameter means and which values it takes."""
    if limits.several:
        return f"{limits.description} (one or more of {limits.listed_choices})"
    if limits.choices:
        return f"{limits.description} ({limits.listed_choices})"
    if limits.low is None:
        return limits.description
    return f"{limits.description} [{limits.low:.10g} .. {limits.high:.10g}]"


def main() -> int:
    """Print the file."""
    sys.stdout.write(yaml_from_config(NodeConfig()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
