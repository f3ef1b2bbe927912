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


"""What a process takes of the machine, as Linux tells it."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SHARED_MEMORY = Path("/dev/shm")
KB_PER_MB = 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One process at one moment."""

    pid: int
    rss_mb: float  # memory that is in use, shared memory included
    threads: int
    handles: int  # open files, sockets and pipes


def usages(pids: Iterable[int]) -> list[Usage]:
    """Return what processes take; nothing of those that have ended."""
    found = []
    for pid in pids:
        with suppress(OSError, KeyError):
            found.append(_usage(pid))
    return found


def num_shared_files() -> int:
    """Return how many files there are in shared memory."""
    return sum(1 for _ in SHARED_MEMORY.glob("*"))


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that has ended may wait for its parent to notice."""
    try:
        state = (PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _usage(pid: int) -> Usage:
    lines = (PROC / str(pid) / "status").read_text(encoding="utf-8").splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return Usage(
        pid=pid,
        rss_mb=int(values["VmRSS"].split()[0]) / KB_PER_MB,
        threads=int(values["Threads"]),
        handles=sum(1 for _ in (PROC / str(pid) / "fd").iterdir()),
    )
