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

"""The report as text: one line per object and backend, then the medians."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.evaluation.report import Row, backends_of, failures, values_of

UNKNOWN = "-"
GROUP_METRICS = ("viou", "f1_005", "f1_10mm", "scale_ratio", "centre_error_mm", "seconds")


@dataclass(frozen=True, slots=True)
class Column:
    """How one metric is shown."""

    title: str
    metric: str
    decimals: int
    shown: Callable[[float], float] = float


def scale_error_percent(ratio: float) -> float:
    """Return how far a scale ratio is from 1, in percent."""
    return 100.0 * abs(ratio - 1.0)


COLUMNS = (
    Column("vIoU", "viou", 3),
    Column("F1@5mm", "f1_5mm", 3),
    Column("F1@10mm", "f1_10mm", 3),
    Column("F1@.05", "f1_005", 3),
    Column("CD mm", "chamfer_mm", 1),
    Column("box IoU", "box_iou", 3),
    Column("scale err %", "scale_ratio", 1, scale_error_percent),
    Column("centre mm", "centre_error_mm", 1),
    Column("depth mm", "depth_residual_mm", 1),
    Column("outline IoU", "silhouette_iou", 3),
    Column("s", "seconds", 2),
)


def objects_table(rows: Sequence[Row]) -> str:
    """Return one line per object and backend; failures say why."""
    header = ["scene", "object", "backend", *(column.title for column in COLUMNS)]
    lines = [[row.scene, row.object_name, row.backend, *_cells(row)] for row in rows]
    return aligned(header, lines, num_left=3)


def medians_table(rows: Sequence[Row]) -> str:
    """Return one line per backend: medians of what is shown, how many objects, how many failed.

    ``scale err %`` is the median of ``|ratio - 1|``, not the ratio of the medians.
    """
    header = ["median", *(column.title for column in COLUMNS), "objects", "with truth", "failed"]
    failed = failures(rows)
    lines = []
    for backend in backends_of(rows):
        total = sum(1 for row in rows if row.backend == backend)
        with_truth = len(values_of(rows, backend, "viou"))
        counts = [str(total), str(with_truth), str(failed[backend])]
        lines.append([backend, *(_median(rows, backend, column) for column in COLUMNS), *counts])
    return aligned(header, lines, num_left=1)


def groups_table(groups: Mapping[str, Sequence[Row]]) -> str:
    """Return one line per group of objects and backend: medians that compare across sizes."""
    shown = [column for column in COLUMNS if column.metric in GROUP_METRICS]
    header = ["median", "backend", *(column.title for column in shown), "objects", "failed"]
    lines = []
    for name, rows in groups.items():
        failed = failures(rows)
        for backend in backends_of(rows):
            cells = [_median(rows, backend, column) for column in shown]
            total = sum(1 for row in rows if row.backend == backend)
            lines.append([name, backend, *cells, str(total), str(failed[backend])])
    return aligned(header, lines, num_left=2)


def failures_text(rows: Sequence[Row]) -> str:
    """Return one line per failure with its reason; empty where nothing failed."""
    return "\n".join(
        f"{row.backend} failed on {row.scene} / {row.object_name}: {row.failure}"
        for row in rows
        if row.failure
    )


def aligned(header: list[str], lines: list[list[str]], num_left: int) -> str:
    """Set cells in columns, the first ``num_left`` to the left, all others to the right."""
    table = [header, *lines]
    widths = [max(len(line[index]) for line in table) for index in range(len(header))]
    rule = "  ".join("-" * width for width in widths)
    texts = [
        "  ".join(
            cell.ljust(width) if index < num_left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
    return "\n".join([texts[0], rule, *texts[1:]])


def _cells(row: Row) -> list[str]:
    return [
        _number(column.shown(row.metrics.get(column.metric, np.nan)), column.decimals)
        for column in COLUMNS
    ]


def _median(rows: Sequence[Row], backend: str, column: Column) -> str:
    values = [column.shown(value) for value in values_of(rows, backend, column.metric)]
    return _number(float(np.median(values)) if values else np.nan, column.decimals)


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if np.isfinite(value) else UNKNOWN
