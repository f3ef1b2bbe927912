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


"""How much better ``lift`` gets with further views of an object, whose poses are a little off.

Needs no ROS, no weights and no torch. Where there is no data folder the rendered cases are all
there is.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from sam3d_ros.completion.lift import LiftBackend
from sam3d_ros.config import SceneConfig
from sam3d_ros.evaluation.benchmarks.multiview_cases import ViewsCase, ViewsSpec, cases
from sam3d_ros.evaluation.benchmarks.multiview_shelf import SHELF, ShelfFigures, shelf_figures
from sam3d_ros.evaluation.benchmarks.results import write_csv, write_json
from sam3d_ros.evaluation.benchmarks.running import parser_of, run_parsed, use_one_core
from sam3d_ros.evaluation.metrics import compare_shapes

DESCRIPTION = """\
Reconstruct objects of rendered tables from one to four views around them, with the noise of a
depth camera and poses between views that are off by 3 mm and 1 degree; and real objects on a
shelf, judged in a view that was kept back. Times are processor times per object on one core.
Writes multiview.json and .csv.
"""
MAX_MS, MAX_MS_PER_VIEW = 400.0, 150.0
MS_PER_S = 1e3
DATA = Path("../shared/data")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsFigures:
    """What a number of views achieved, of one object or as the mean over several."""

    views: int
    viou: float
    chamfer_mm: float
    f1_5mm: float
    f1_10mm: float
    centre_mm: float
    scale: float  # |ratio - 1|
    observed: float  # share of the surface
    left_out: float  # views
    ms: float


def measure(all_cases: Iterable[ViewsCase], max_views: int) -> list[ViewsFigures]:
    """Return the mean figures for each number of views, one first."""
    backend = LiftBackend(SceneConfig().lift)
    found = [
        _result(case, views, backend) for case in all_cases for views in range(1, max_views + 1)
    ]
    return [
        _mean([result for result in found if result.views == views])
        for views in range(1, max_views + 1)
    ]


def _result(case: ViewsCase, views: int, backend: LiftBackend) -> ViewsFigures:
    observation = case.observation(views)
    started = time.process_time()
    made = backend.reconstruct(observation)
    ms = MS_PER_S * (time.process_time() - started)
    mesh_camera = made.mesh_object.transformed(made.camera_from_object)
    shape = compare_shapes(mesh_camera, case.truth_camera)
    return ViewsFigures(
        views=views,
        viou=shape.viou,
        chamfer_mm=shape.chamfer_mm,
        f1_5mm=shape.f1_5mm,
        f1_10mm=shape.f1_10mm,
        centre_mm=shape.centre_error_mm,
        scale=abs(shape.scale_ratio - 1.0),
        observed=made.quality.observed_fraction,
        left_out=float(sum("left out" in note for note in made.provenance.notes)),
        ms=ms,
    )


def _mean(results: Sequence[ViewsFigures]) -> ViewsFigures:
    names = [field.name for field in fields(ViewsFigures)]
    means = np.mean([[getattr(result, name) for name in names] for result in results], axis=0)
    number, *others = (float(mean) for mean in means)
    return ViewsFigures(views=int(number), **dict(zip(names[1:], others, strict=True)))


_HEAD = (
    f"{'views':>5} {'vIoU':>6} {'chamfer':>8} {'F1@5':>6} {'F1@10':>6} {'centre':>8} {'scale':>7} "
    f"{'seen':>6} {'left out':>8} {'ms':>5}"
)
_SHELF_HEAD = f"{'views':>5} {'outline IoU':>11} {'depth residual':>14} {'left out':>8}"


def _line(row: ViewsFigures) -> str:
    return (
        f"{row.views:5} {row.viou:6.3f} {row.chamfer_mm:5.2f} mm {row.f1_5mm:6.3f} "
        f"{row.f1_10mm:6.3f} {row.centre_mm:5.2f} mm {row.scale:7.2%} {row.observed:6.1%} "
        f"{row.left_out:8.2f} {row.ms:5.0f}"
    )


def _shelf_line(row: ShelfFigures) -> str:
    residual = f"{row.depth_residual_mm:11.1f} mm"
    return f"{row.views:5} {row.silhouette_iou:11.3f} {residual} {row.left_out:8.2f}"


def _verdicts(rows: Sequence[ViewsFigures]) -> str:
    """Lay out what has a limit, with the limit."""
    first, last = rows[0], rows[-1]
    each_ms = (last.ms - first.ms) / max(1, last.views - first.views)
    return "\n".join(
        (
            f"one view: {first.ms:.0f} ms  (limit {MAX_MS:.0f}: {_kept(first.ms <= MAX_MS)})",
            f"each further one: {each_ms:.0f} ms  "
            f"(limit {MAX_MS_PER_VIEW:.0f}: {_kept(each_ms <= MAX_MS_PER_VIEW)})",
        )
    )


def _kept(kept: bool) -> str:
    return "kept" if kept else "BROKEN"


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return 0.

    Raises:
        DatasetError: The shelf cannot be read.
    """
    config, spec = SceneConfig(), ViewsSpec()
    max_views = len(spec.azimuths_deg)
    rows = measure(cases(range(arguments.scenes), spec, config), max_views)
    print("\n".join((_HEAD, "-" * len(_HEAD), *map(_line, rows), "", _verdicts(rows))))
    shelf: list[ShelfFigures] = []
    if (arguments.data / SHELF).is_dir():
        shelf = shelf_figures(arguments.data / SHELF, config)
        print("\nreal shelf, judged in a view that was kept back")
        print("\n".join((_SHELF_HEAD, "-" * len(_SHELF_HEAD), *map(_shelf_line, shelf))))
    _write(rows, shelf, arguments.output)
    return 0


def _write(rows: Sequence[ViewsFigures], shelf: Sequence[ShelfFigures], folder: Path) -> None:
    """Write the figures as JSON, those of the rendered cases as CSV, too."""
    written = [asdict(row) for row in rows]
    written_shelf = [asdict(row) for row in shelf]
    write_json({"rendered": written, "shelf": written_shelf}, folder / "multiview.json")
    write_csv(written, folder / "multiview.csv")
    print(f"written: {folder / 'multiview.json'}, multiview.csv")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure on one core; return 1 for a failure said in one sentence."""
    parser = parser_of("sam3d_ros.evaluation.benchmarks.multiview", DESCRIPTION)
    parser.add_argument("--scenes", type=int, default=6, help="of six objects each, default 6")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with data sets")
    use_one_core()
    return run_parsed("multiview", parser, run, argv)


if __name__ == "__main__":
    sys.exit(main())
