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


"""What the log of a long run says: growth, threads, handles, queues, latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sam3d_ros.apps.usage import Usage

MAX_GROWTH = 0.02  # of memory in use, once it is warm
MAX_SLOWDOWN = 0.2  # of the 95th percentile of the latency
ROLES = ("node", "resource tracker", "reconstruction", "tracking")  # as they are started


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFigures:
    """One process, from when it was warm to the end."""

    name: str
    warm_mb: float  # median of the first tenth
    last_mb: float  # median of the last tenth
    threads: tuple[int, int]  # most in the first tenth, in the last
    handles: tuple[int, int]

    @property
    def growth(self) -> float:
        """Share by which memory grew."""
        return self.last_mb / self.warm_mb - 1.0

    def problems(self, max_growth: float = MAX_GROWTH) -> list[str]:
        """Say what grew, memory by more than a share of it."""
        texts = []
        if self.growth > max_growth:
            texts.append(f"the {self.name} grew from {self.warm_mb:.1f} to {self.last_mb:.1f} MB")
        for what, (first, last) in (("threads", self.threads), ("handles", self.handles)):
            if last > first:
                texts.append(f"the {self.name} had {first} {what}, and has {last}")
        return texts


def process_figures(rows: Sequence[tuple[Usage, ...]]) -> list[ProcessFigures]:
    """Compare begin and end of what processes took, sample by sample.

    A process that was started anew in between is left out; ``restarts`` tells.
    """
    tenth = max(len(rows) // 10, 1)
    lasting = set.intersection(*({usage.pid for usage in row} for row in rows)) if rows else set()
    figures = []
    for index, pid in enumerate(sorted(lasting)):
        series = [usage for row in rows for usage in row if usage.pid == pid]
        first, last = series[:tenth], series[-tenth:]
        figures.append(
            ProcessFigures(
                name=ROLES[index] if index < len(ROLES) else f"process {index}",
                warm_mb=float(np.median([usage.rss_mb for usage in first])),
                last_mb=float(np.median([usage.rss_mb for usage in last])),
                threads=(max(u.threads for u in first), max(u.threads for u in last)),
                handles=(max(u.handles for u in first), max(u.handles for u in last)),
            )
        )
    return figures


def restarts(rows: Sequence[tuple[Usage, ...]]) -> int:
    """Return how many processes came or went between samples."""
    sets = [{usage.pid for usage in row} for row in rows]
    return sum(len(one ^ other) for one, other in pairwise(sets))


def slowdown(first_s: Sequence[float], last_s: Sequence[float]) -> tuple[float, float, float]:
    """Return the 95th percentiles of two samples of latencies, and by which share it rose."""
    before, after = (float(np.percentile(each, 95)) for each in (first_s, last_s))
    return before, after, after / before - 1.0
