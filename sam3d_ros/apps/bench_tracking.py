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


"""``sam3d bench tracking``: objects followed through rendered sequences and a bag, with pictures.

Run as a process of its own, so that times and memory are its own.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sam3d_ros.apps.bags import Bag, BagTopics, choose_topics
from sam3d_ros.apps.drawing import beside, blank, fitted, stacked, with_text, write_image
from sam3d_ros.apps.pictures import Pictured, draw_labels, draw_silhouettes
from sam3d_ros.apps.settings import changed
from sam3d_ros.apps.sources import bag_source
from sam3d_ros.apps.timelines import error_strips
from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ConfigError
from sam3d_ros.evaluation.benchmarks.results import write_csv, write_json
from sam3d_ros.evaluation.benchmarks.running import parser_of, run_parsed
from sam3d_ros.evaluation.benchmarks.tracking import (
    MAX_DEG,
    MAX_MM,
    MAX_SPREAD_MM,
    MeasuredSequence,
    Speed,
    Spread,
    measured_steps,
    object_figures,
    plain,
    row_tables,
    sequence_json,
    speeds,
    spreads,
    verdicts,
)
from sam3d_ros.evaluation.sequences import SequenceSpec, Step
from sam3d_ros.evaluation.table import aligned
from sam3d_ros.evaluation.tracking import TrackingFigures, by_object, figures
from sam3d_ros.evaluation.tracking_runs import Run
from sam3d_ros.structures import Bytes, Frame, ObjectState, Similarity

DESCRIPTION = """\
Follow objects through rendered sequences whose truth is known: a moving camera, one object that is
slid, turned and lifted, one that is taken away and put down elsewhere, one that leaves the view,
and an arm that hides some. Once with true meshes and the follower alone, once with the whole
pipeline and the lift backend, whose errors count from where it first saw a mesh. Then the bag
shelf_rgbd, where nothing moves but the camera. Writes tracking.json, tracking.csv and pictures.
"""
DATA = Path("../shared/data")
SHELF = Path("bags/shelf_rgbd")
FIXED_FRAME = "world"
NUM_PICTURES, PICTURE_COLUMNS, PICTURE_SIZE_PX, LABEL_PX = 12, 4, (400, 300), 15.0
COLUMNS = (
    ("mm", "median_mm", 2),
    ("p95", "p95_mm", 2),
    ("centre", "median_center_mm", 2),
    ("deg", "median_deg", 2),
    ("p95", "p95_deg", 2),
    ("mesh mm", "median_mesh_mm", 1),
    ("drift mm", "drift_mm", 2),
    ("followed", "followed_share", 3),
    ("wrong", "wrong_claims", 0),
    ("switches", "id_switches", 0),
    ("lost after", "lost_after", 0),
    ("found after", "recovered_after", 0),
)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, draw, write; return 0.

    Raises:
        Sam3dError: A sequence has no images or cannot be rendered, or the bag cannot be read.
    """
    if arguments.frames < 1:
        raise ConfigError(f"--frames must be positive, got {arguments.frames}")
    config = NodeConfig()
    fast = speeds()
    print(_speed_lines(fast), flush=True)
    described, rows = [], []
    for seed in arguments.seeds:
        spec = SequenceSpec(seed=seed, num_frames=arguments.frames)
        measured = _followed(spec, config, arguments.output)
        print(f"\n{_sequence_lines(measured)}", flush=True)
        described.append(sequence_json(measured))
        rows += row_tables(measured)
    shelf = _shelf(arguments.data / SHELF, config)
    values = {
        "speed": [asdict(each) for each in fast],
        "sequences": described,
        "shelf": {name: [plain(asdict(s)) for s in found] for name, found in shelf.items()},
    }
    write_json(values, arguments.output / "tracking.json")
    write_csv(rows, arguments.output / "tracking.csv")
    print(f"\nwritten: {arguments.output}/tracking.json, tracking.csv and pictures tracking_*.png")
    return 0


def _followed(spec: SequenceSpec, config: NodeConfig, output: Path) -> MeasuredSequence:
    """Follow one sequence, and draw what happened."""
    chosen = set(np.linspace(0, spec.num_frames - 1, NUM_PICTURES + 1).astype(int)[1:].tolist())
    pictures: list[Bytes] = []
    measured: MeasuredSequence | None = None
    steps = measured_steps(spec, config)
    name = f"sequence {spec.seed}"
    for step, so_far in tqdm(steps, total=spec.num_frames, desc=name, unit="image", disable=None):
        measured = so_far
        if step.index in chosen:
            pictures.append(_picture(step, so_far))
    assert measured is not None  # there is at least one image
    write_image(_sheet(pictures, name), output / f"tracking_{spec.seed}_overlays.png")
    for level, result in (("meshes", measured.alone.run), ("scene", measured.scene.run)):
        path = output / f"tracking_{spec.seed}_{level}.png"
        write_image(_strips(measured, result, f"{name}, {level}"), path)
    return measured


def _strips(measured: MeasuredSequence, result: Run, title: str) -> Bytes:
    names = measured.sequence.names
    tracks = {names[track[0].number]: track for track in by_object(result.rows)}
    return error_strips(tracks, title, MAX_MM, MAX_DEG)


def _picture(step: Step, measured: MeasuredSequence) -> Bytes:
    """Draw all known meshes into an image, those that are not lost."""
    snapshot, frame = measured.scene.snapshot, measured.sequence.masked(step)
    pictured, lost = [], []
    fixed_from_camera = frame.fixed_from_camera or Similarity.identity()
    for known in snapshot.objects if snapshot is not None else ():
        if known.state == ObjectState.LOST or known.fixed_from_object is None:
            lost.append(known.track_id)
            continue
        pose = known.camera_from_object(fixed_from_camera)
        mesh_camera = known.reconstruction.mesh_object.transformed(pose)
        pictured.append(Pictured(number=known.track_id, name="", mesh_camera=mesh_camera))
    image, regions = draw_silhouettes(frame.rgb, pictured, frame.camera)
    labels = [(str(item.number),) for item in pictured]
    image = draw_labels(image, pictured, regions, labels, 2 * LABEL_PX)
    text = f"frame {step.index}" + (f"   lost: {', '.join(map(str, lost))}" if lost else "")
    cell = blank(PICTURE_SIZE_PX[0], int(1.8 * LABEL_PX))
    return stacked([fitted(image, *PICTURE_SIZE_PX), with_text(cell, text, (4, 20), LABEL_PX)])


def _sheet(pictures: Sequence[Bytes], title: str) -> Bytes:
    rows = [pictures[k : k + PICTURE_COLUMNS] for k in range(0, len(pictures), PICTURE_COLUMNS)]
    page = stacked([beside(row, 8) for row in rows])
    return stacked([with_text(blank(page.shape[1], 40), title, (8, 28), 20.0), page])


def _speed_lines(fast: Sequence[Speed]) -> str:
    lines = [
        [str(s.num_objects), *(f"{v:.1f}" for v in (s.median_ms, s.p95_ms, s.processor_ms))]
        for s in fast
    ]
    return aligned(["objects", "ms per image", "p95", "processor ms"], lines, num_left=0)


def _sequence_lines(measured: MeasuredSequence) -> str:
    """Lay out what came of a sequence, object by object, and the verdicts."""
    names = measured.sequence.names
    header = ["", *(title for title, _, _ in COLUMNS)]
    parts = []
    for level, result in (("true meshes", measured.alone.run), ("pipeline", measured.scene.run)):
        lines = [_cells(names[k], each) for k, each in object_figures(result.rows).items()]
        lines.append(_cells("all", figures(result.rows)))
        title = f"sequence {measured.sequence.spec.seed}, {level}: "
        times = (
            f"{np.median(result.follow_ms):.0f} ms per image, p95 "
            f"{np.quantile(result.follow_ms, 0.95):.0f}"
        )
        parts += [title + times, aligned(header, lines, num_left=1)]
        parts += [
            f"{each.name}: {each.value:.3g}  (limit {each.limit}: "
            f"{'kept' if each.kept else 'BROKEN'})"
            for each in verdicts(result)
        ]
    return "\n".join(parts)


def _cells(name: str, values: TrackingFigures) -> list[str]:
    known = asdict(values)
    cells = [f"{known[key]:.{decimals}f}" for _, key, decimals in COLUMNS]
    return [name, *("-" if cell == "nan" else cell for cell in cells)]


def _shelf(path: Path, config: NodeConfig) -> dict[str, list[Spread]]:
    """Measure the bag with and without following; nothing where there is no bag."""
    if not path.exists():
        print(f"\nno bag {path}: left out")
        return {}
    found = {}
    for name, enabled in (("followed", True), ("each view anew", False)):
        settings = {"output_frame": FIXED_FRAME, "tracking.enabled": enabled}
        chosen = changed(config, settings, "bench")
        found[name] = spreads(_bag_frames(path, chosen), chosen)
        print(f"\n{path.name}, {name}: places over all views\n{_spread_lines(found[name])}")
    return found


def _bag_frames(path: Path, config: NodeConfig) -> Iterator[Frame]:
    with Bag(path) as bag:
        topics = choose_topics(bag.topics, BagTopics())
        for item in bag_source(path.name, bag, topics, config).items:
            if isinstance(item, Frame):
                yield item


def _spread_lines(found: Sequence[Spread]) -> str:
    lines = [
        [
            str(each.track_id),
            str(each.num_views),
            str(each.num_revisions),
            f"{each.revision_mm:.1f}",
            f"{each.diameter_mm:.1f}",
            f"{each.radius_mm:.1f}",
            "kept" if each.radius_mm <= MAX_SPREAD_MM else "BROKEN",
        ]
        for each in found
    ]
    header = ["object", "views", "meshes", "mm, one mesh", "mm between any two", "mm, all"]
    header.append(f"<= {MAX_SPREAD_MM:g} mm")
    return aligned(header, lines, num_left=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 1 for a failure said in one sentence."""
    parser = parser_of("sam3d_ros.apps.bench_tracking", DESCRIPTION)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of sequences, default 0")
    parser.add_argument("--frames", type=int, default=300, help="of each sequence, default 300")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with bags/shelf_rgbd")
    return run_parsed("tracking", parser, run, argv)


if __name__ == "__main__":
    sys.exit(main())
