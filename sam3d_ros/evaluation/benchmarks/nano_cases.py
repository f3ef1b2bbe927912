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

"""Objects on which nano is measured: of families that it never saw, of scans, of real cameras."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.datasets import TruthObject, load_scene, scene_folders
from sam3d_ros.evaluation.evaluate import evaluate_object
from sam3d_ros.evaluation.families import family_objects
from sam3d_ros.evaluation.report import HOLLOW, Row, hollow, summarise
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Observation

FAMILIES, CAPTURES = "families", "captures"  # the sets of ``objects.provenance``
# Both count as captures; each is shown alone, too. The first is rendered from scanned objects.
CAPTURE_FOLDERS = ("synthetic_tabletop", "ycb_tabletop")
ALONE = ("realsense_single",)  # hardly any truth: shown, and not counted
RECORDED = ("viou", "f1_005", "f1_10mm", "chamfer_mm", "centre_error_mm", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One object as one camera saw it, and what it truly is."""

    group: str  # family, or folder of captures
    scene: str
    observation: Observation
    truth: TruthObject


def family_cases(num: int, seed: int, recipe: str) -> Iterator[Case]:
    """Yield objects of families that were not learned from."""
    for each in family_objects(num, seed, recipe):
        yield Case(
            group=each.family, scene=each.family, observation=each.observation, truth=each.truth
        )


def capture_cases(data: Path) -> Iterator[Case]:
    """Yield the objects of captures whose true mesh is known.

    Raises:
        DatasetError: There are no captures in the folder.
    """
    present = [name for name in (*CAPTURE_FOLDERS, *ALONE) if (data / name).is_dir()]
    if not present:
        raise DatasetError(
            f"expected {' or '.join(CAPTURE_FOLDERS)} in {data}, found neither; name the folder "
            "that has them with --data"
        )
    for name in present:
        for folder in scene_folders(data / name):
            scene = load_scene(folder)
            truth = {each.instance_id: each for each in scene.truth if each.mesh_camera is not None}
            for observation in observe(scene.frame, SceneConfig()).observations:
                known = truth.get(observation.instance.instance_id)
                if known is not None:
                    yield Case(group=name, scene=scene.name, observation=observation, truth=known)


def rows_by_group(cases: Sequence[Case], backends: Sequence[ObjectBackend]) -> dict[str, list[Row]]:
    """Evaluate backends on cases, with a progress bar; the rows of each group."""
    groups: dict[str, list[Row]] = {}
    for case in tqdm(cases, unit="object", disable=None):
        evaluated = evaluate_object(case.scene, case.observation, case.truth, backends)
        groups.setdefault(case.group, []).extend(evaluated.rows)
    return groups


def with_sums(groups: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """Add what the groups are together: all families, what is hollow among them, all captures."""
    families = [row for name, rows in groups.items() if not _is_folder(name) for row in rows]
    captures = [row for name in CAPTURE_FOLDERS for row in groups.get(name, ())]
    shells = {(row.scene, row.object_name) for row in hollow(families)}
    sums = {
        f"fills <= {HOLLOW:g} of its hull": [
            row for row in families if (row.scene, row.object_name) in shells
        ],
        FAMILIES: families,
        CAPTURES: captures,
    }
    return {**groups, **{name: rows for name, rows in sums.items() if rows}}


def medians_of(groups: Mapping[str, list[Row]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the medians by group, backend and metric, as ``objects.provenance`` has them."""
    return {
        group: {
            backend: {name: spread[name].median for name in RECORDED if name in spread}
            for backend, spread in summarise(rows).items()
        }
        for group, rows in groups.items()
    }


def _is_folder(group: str) -> bool:
    return group in (*CAPTURE_FOLDERS, *ALONE)
