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

"""``sam3d evaluate --families``: objects of families that no model learned from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sam3d_ros.apps.comparing import compared
from sam3d_ros.apps.drawing import write_image
from sam3d_ros.apps.sheets import Compared, comparison_sheet
from sam3d_ros.evaluation.evaluate import evaluate_object
from sam3d_ros.evaluation.report import HOLLOW, Row, hollow
from sam3d_ros.evaluation.table import groups_table
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.structures import Floats, Observation

NUM_PICTURED = 8  # of each family


def evaluate_families(
    num: int, seed: int, recipe: str, backends: Sequence[ObjectBackend], pictures: Path | None
) -> list[Row]:
    """Evaluate ``num`` objects with a progress bar, draw the first of each family.

    Args:
        num: Of all objects; 0 needs nothing, not even torch.
        seed: Of objects and views.
        recipe: Of the views; see ``training.scenes.recipes``.
        backends: To compare.
        pictures: Folder of the pages, one per family; None draws none.
    """
    if not num:
        return []
    from sam3d_ros.evaluation.families import family_objects  # noqa: PLC0415  # imports torch

    rows: list[Row] = []
    pages: dict[str, list[Compared]] = {}
    for each in tqdm(family_objects(num, seed, recipe), total=num, unit="object", disable=None):
        evaluated = evaluate_object(each.family, each.observation, each.truth, backends)
        rows.extend(evaluated.rows)
        page = pages.setdefault(each.family, [])
        if pictures is not None and len(page) < NUM_PICTURED:
            rgb = np.round(255.0 * each.observation.rgb).astype(np.uint8)
            page.append(compared(evaluated, rgb, _up(each.observation)))
    for family, page in pages.items():
        if pictures is not None:
            write_image(comparison_sheet(page, family), pictures / f"{family}.png")
    return rows


def family_tables(rows: Sequence[Row]) -> str:
    """Return the medians of every family, of what is hollow or thin, and of all objects."""
    groups = {
        family: [row for row in rows if row.scene == family]
        for family in dict.fromkeys(row.scene for row in rows)
    }
    hollow_objects = {(row.scene, row.object_name) for row in hollow(rows)}
    groups[f"fills <= {HOLLOW:g} of its hull"] = [
        row for row in rows if (row.scene, row.object_name) in hollow_objects
    ]
    groups["all"] = list(rows)
    return groups_table(groups)


def _up(observation: Observation) -> Floats | None:
    if observation.support is not None:
        return observation.support.normal_camera
    return observation.up_camera
