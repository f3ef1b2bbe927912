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

"""Rows of results, their summary, the table on screen and the values of ``report.json``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

METRICS = (
    "viou",
    "chamfer_mm",
    "f1_5mm",
    "f1_10mm",
    "f1_001",
    "f1_002",
    "f1_005",
    "box_iou",
    "scale_ratio",
    "centre_error_mm",
    "depth_residual_mm",
    "silhouette_iou",
    "solidity",
    "seconds",
)
HOLLOW = 0.45  # of its convex hull that an object fills at most: shells and what is thin


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object of one scene, as one backend reconstructed it or failed to."""

    scene: str
    object_name: str
    backend: str
    metrics: Mapping[str, float] = field(default_factory=dict)  # of METRICS, what was measured
    failure: str = ""  # why there is no reconstruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The distribution of one metric over objects.

    ``p90`` is the 90th percentile of the values as they are (linear interpolation), not "the worst
    tenth": for an error it is the bad end, for an IoU or F1 the good one.
    """

    median: float
    p90: float
    n: int


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, Spread]]:
    """Return the spread of each metric that a backend has a finite value of.

    A failed object has no values, so ``n`` counts what was reconstructed; see ``failures``.
    """
    summary: dict[str, dict[str, Spread]] = {}
    for backend in backends_of(rows):
        values = {name: values_of(rows, backend, name) for name in METRICS}
        summary[backend] = {name: _spread(known) for name, known in values.items() if known}
    return summary


def backends_of(rows: Iterable[Row]) -> list[str]:
    """Return the backends in the order in which they first appear."""
    return list(dict.fromkeys(row.backend for row in rows))


def values_of(rows: Iterable[Row], backend: str, metric: str) -> list[float]:
    """Return the finite values of a metric of one backend."""
    values = (row.metrics.get(metric, np.nan) for row in rows if row.backend == backend)
    return [float(value) for value in values if np.isfinite(value)]


def hollow(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of objects that fill little of their hull, as far as that is known."""
    return [row for row in rows if row.metrics.get("solidity", np.inf) <= HOLLOW]


def failures(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many objects each backend failed to reconstruct."""
    return {
        backend: sum(1 for row in rows if row.backend == backend and row.failure)
        for backend in backends_of(rows)
    }


def report_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the report as plain JSON values; what was not measured is left out."""
    return {
        "summary": {
            backend: {
                name: {"median": spread.median, "p90": spread.p90, "n": spread.n}
                for name, spread in metrics.items()
            }
            for backend, metrics in summarise(rows).items()
        },
        "failures": failures(rows),
        "objects": [_row_json(row) for row in rows],
    }


def _spread(values: list[float]) -> Spread:
    median, p90 = np.percentile(values, (50, 90))
    return Spread(median=float(median), p90=float(p90), n=len(values))


def _row_json(row: Row) -> dict[str, Any]:
    values: dict[str, Any] = {
        "scene": row.scene,
        "object": row.object_name,
        "backend": row.backend,
    }
    for name in METRICS:
        if np.isfinite(value := row.metrics.get(name, np.nan)):
            values[name] = float(value)
    if row.failure:
        values["failure"] = row.failure
    return values
