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

"""How often the view tells which of several reconstructions is the best one.

Needs no ROS, no weights and no torch; needs scenes of which the true meshes are known.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sam3d_ros.config import LiftConfig, RefineConfig, SceneConfig
from sam3d_ros.errors import DatasetError, Sam3dError
from sam3d_ros.evaluation.benchmarks.choosing_cases import GRID, Candidates, cases
from sam3d_ros.evaluation.benchmarks.results import write_csv, write_json
from sam3d_ros.evaluation.benchmarks.running import parser_of, run_parsed
from sam3d_ros.evaluation.datasets import load_scene, scene_folders
from sam3d_ros.evaluation.metrics import volume_iou
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.scene.choosing import CLEAR, likelihood
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.refining import refined
from sam3d_ros.structures import Mesh, ObjectReconstruction, Observation

DESCRIPTION = """\
Choose among several reconstructions of every object by how well they agree with depth, silhouette
and free space, and compare the choice with the true meshes. Right: within 0.02 of the best vIoU.
closed: lift's own reconstruction, then its hypotheses, forced one at a time. spoiled: lift's own
beside wrong sizes, upside down, turned aside; in random order. drawn: as off in pose, size and
proportions as a generator's seeds are. Writes choosing.json and .csv. Takes minutes.
"""
NEAR = 0.02  # of the vIoU; choices this near to the best one are right
DATA = Path("../shared/data")
SCENES = ("synthetic_tabletop", "ycb_tabletop")
MS_PER_S = 1e3


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """One choice: what each candidate is worth and how well it agrees with the view."""

    kind: str
    viou: list[float]
    score: list[float]
    ms: float  # to compare one candidate

    @property
    def index(self) -> int:
        """Which one is kept; see ``scene.choosing.chosen``."""
        score = np.array(self.score)
        return int(np.flatnonzero(score >= score.max() - CLEAR)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceFigures:
    """How choices of one kind turned out."""

    kind: str
    objects: int
    candidates: float  # mean
    right: float  # share of the choices
    first_right: float  # share of the first candidates, which are taken without a choice
    viou: float  # means from here on
    first_viou: float
    best_viou: float
    margin: float  # median, of the best score over the second best
    ms: float  # per candidate, median


def choices(folders: Sequence[Path], config: RefineConfig) -> Iterator[Chosen]:
    """Choose for every object of the scenes whose true mesh is known."""
    scene_config = SceneConfig(lift=LiftConfig(grid=GRID))
    backend = make_object_backend(scene_config)
    for folder in folders:
        scene = load_scene(folder)
        truth = {each.instance_id: each.mesh_camera for each in scene.truth}
        for observation in observe(scene.frame, scene_config).observations:
            mesh_camera = truth.get(observation.instance.instance_id)
            (made,) = backend.reconstruct([observation])
            if mesh_camera is None or isinstance(made, Sam3dError):
                continue
            for each in cases(observation, made, observation.instance.instance_id):
                yield _chosen(each, observation, mesh_camera, config)


def _chosen(
    candidates: Candidates, observation: Observation, truth_camera: Mesh, config: RefineConfig
) -> Chosen:
    started = time.process_time()
    several = candidates.several
    if config.enabled:
        several = [refined(each, observation, config) for each in several]
    score = [likelihood(each, observation) for each in several]
    ms = MS_PER_S * (time.process_time() - started) / len(several)
    viou = [volume_iou(_placed(each), truth_camera) for each in several]
    return Chosen(candidates.kind, viou, score, ms)


def _placed(reconstruction: ObjectReconstruction) -> Mesh:
    return reconstruction.mesh_object.transformed(reconstruction.camera_from_object)


def figures(kind: str, found: Sequence[Chosen]) -> ChoiceFigures:
    """Summarise choices of one kind."""
    kept = np.array([each.viou[each.index] for each in found])
    first = np.array([each.viou[0] for each in found])
    best = np.array([max(each.viou) for each in found])
    margins = [np.diff(sorted(each.score)[-2:])[0] for each in found]
    return ChoiceFigures(
        kind=kind,
        objects=len(found),
        candidates=float(np.mean([len(each.viou) for each in found])),
        right=float((kept >= best - NEAR).mean()),
        first_right=float((first >= best - NEAR).mean()),
        viou=float(kept.mean()),
        first_viou=float(first.mean()),
        best_viou=float(best.mean()),
        margin=float(np.median(margins)),
        ms=float(np.median([each.ms for each in found])),
    )


_HEAD = (
    f"{'candidates':22} {'objects':>7} {'each':>5} {'right':>7} {'first':>7} {'vIoU':>7} "
    f"{'first':>7} {'best':>7} {'gain':>7} {'margin':>7} {'ms':>6}"
)


def _line(row: ChoiceFigures) -> str:
    """Lay out the figures of one kind."""
    return (
        f"{row.kind:22} {row.objects:7} {row.candidates:5.1f} {row.right:7.1%} "
        f"{row.first_right:7.1%} {row.viou:7.3f} {row.first_viou:7.3f} {row.best_viou:7.3f} "
        f"{row.viou - row.first_viou:+7.3f} {row.margin:7.3f} {row.ms:6.1f}"
    )


def measure(folders: Sequence[Path]) -> list[ChoiceFigures]:
    """Return the figures of every kind of candidates, as they are and after the fit."""
    rows = []
    for config in (RefineConfig(enabled=False), RefineConfig(enabled=True)):
        found = list(choices(folders, config))
        for kind in dict.fromkeys(each.kind for each in found):
            name = f"{kind}, fitted" if config.enabled else kind
            rows.append(figures(name, [each for each in found if each.kind == kind]))
    return rows


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return 0.

    Raises:
        DatasetError: There are no scenes, or one cannot be read.
    """
    present = [arguments.data / name for name in SCENES if (arguments.data / name).is_dir()]
    if not present:
        raise DatasetError(
            f"expected {' or '.join(SCENES)} in {arguments.data}, found neither; name the folder "
            "that has them with --data"
        )
    rows = measure([folder for path in present for folder in scene_folders(path)])
    print("\n".join((_HEAD, "-" * len(_HEAD), *(_line(row) for row in rows))))
    written = [asdict(row) for row in rows]
    write_json({"near": NEAR, "kinds": written}, arguments.output / "choosing.json")
    write_csv(written, arguments.output / "choosing.csv")
    print(f"written: {arguments.output / 'choosing.json'}, choosing.csv")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 1 for a failure said in one sentence."""
    parser = parser_of("sam3d_ros.evaluation.benchmarks.choosing", DESCRIPTION)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with data sets")
    return run_parsed("choosing", parser, run, argv)


if __name__ == "__main__":
    sys.exit(main())
