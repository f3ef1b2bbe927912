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

"""What the node and its processes hold of the machine, as Linux counts it."""

import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
OWN = Path("/proc/self")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a process and its children hold at one moment."""

    resident_mb: float
    num_threads: int
    num_files: int  # open handles, of sockets too
    children_mb: dict[str, float]  # by name of the process


def resources() -> Resources:
    """Look at this process and those that it has started."""
    children = {child.name: child.pid for child in multiprocessing.active_children()}
    return Resources(
        resident_mb=resident_mb(OWN),
        num_threads=_num_entries(OWN / "task"),
        num_files=_num_entries(OWN / "fd"),
        children_mb={name: resident_mb(Path(f"/proc/{pid}")) for name, pid in children.items()},
    )


def resident_mb(process: Path) -> float:
    """Return the memory of a process, shared libraries included; NaN where it is gone."""
    try:
        return int((process / "statm").read_text().split()[1]) * PAGE_MB
    except OSError:
        return float("nan")


def _num_entries(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())
