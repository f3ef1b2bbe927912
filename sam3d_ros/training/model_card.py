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

"""The model card that ships with weights, written from what their training recorded."""

from collections.abc import Iterable

from sam3d_ros.training.orders import OWN_DATA
from sam3d_ros.training.provenance import StageRecord, TrainingRecord

MEASURES = ("viou", "f1", "scale_error")


def model_card(record: TrainingRecord) -> str:
    """Return a model card in Markdown."""
    hours = sum(stage.hours for stage in record.stages)
    samples = sum(stage.samples for stage in record.stages)
    return f"""\
# nano: object shape from one depth image

A small flow model in the manner of SAM 3D Objects: from the masked depth image of an object, and
the plane that it stands on, to a truncated signed distance in a box around it, whose zero is a
closed mesh. A second stage, `refine` in the table below where there is one, corrects that distance
voxel by voxel beside what was measured. Trained by `sam3d train` on {_subjects(record)}.

| trained by | |
|---|---|
| preset, seed | {record.preset}, {record.seed} |
| commit | {_different(each.commit for each in record.origins)} |
| hardware | {_different(each.hardware for each in record.origins)} |
| time | {hours:.2f} h |
| views seen | {samples} |

## Stages

Figures are medians over fixed objects under the full sensor model, in one step from noise, of
training families / of families never trained on; F1 is that of grid surfaces at 5 % of half the
largest extent.

{_stages_table(record.stages)}

## Limits

- It knows what depth and mask show. Colour is not looked at, nor what kind of thing it is: what no
  view shows is completed by habit.
- Grids are 64 voxels wide, and objects some 60 % of that: walls under two voxels are lost, mugs and
  bowls are the hardest.
- It wants to know which way is up, and is better where the support is known.
- Procedural objects of 3 to 30 cm were all that it saw: people, plants, cloth and cables are
  outside.
- {_budget(record, hours)}

The settings of the run are in `provenance.json`, its curves in `curves.csv`.
"""


def _subjects(record: TrainingRecord) -> str:
    """Say what was learned from."""
    own = [stage.recipe for stage in record.stages if stage.recipe.startswith(OWN_DATA)]
    if not own:
        return "procedural objects alone; no\ndata of others, no downloads"
    return f"procedural objects and on\n{_different(own)}"


def _stages_table(stages: tuple[StageRecord, ...]) -> str:
    lines = [
        "| stage | scenes | steps | views | vIoU | F1 | scale error |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage in stages:
        steps = str(stage.steps)
        if stage.steps < stage.planned_steps:
            steps += f" of {stage.planned_steps}"
        cells = " | ".join(_both(stage, measure) for measure in MEASURES)
        lines.append(f"| {stage.name} | {stage.recipe} | {steps} | {stage.samples} | {cells} |")
    return "\n".join(lines)


def _both(stage: StageRecord, measure: str) -> str:
    figures = [stage.validation.get(f"{name}/{measure}") for name in ("known", "held_out")]
    return " / ".join("-" if figure is None else f"{figure:.3f}" for figure in figures)


def _budget(record: TrainingRecord, hours: float) -> str:
    if any(" cores of " in each.hardware for each in record.origins):
        return (
            f"These weights are what {hours:.1f} hours on a CPU gave. Training on a GPU, with\n"
            "  some hundred times the views, has not been done yet; it is the same command."
        )
    return f"These weights are what {hours:.1f} hours gave."


def _different(values: Iterable[str]) -> str:
    """Join values, each once, in their order."""
    return ", ".join(dict.fromkeys(values))
