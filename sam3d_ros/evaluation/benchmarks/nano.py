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

"""How good nano is beside lift, what each stage of its training did, what its steps cost.

Needs weights of nano: those that come with the package, or a folder of them.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sam3d_ros.config import ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import ConfigError
from sam3d_ros.evaluation.backends import Named, make_backend
from sam3d_ros.evaluation.benchmarks.nano_cases import (
    CAPTURES,
    FAMILIES,
    Case,
    capture_cases,
    family_cases,
    medians_of,
    rows_by_group,
    with_sums,
)
from sam3d_ros.evaluation.benchmarks.nano_cost import Cost, cost_of
from sam3d_ros.evaluation.benchmarks.results import write_json
from sam3d_ros.evaluation.benchmarks.running import parser_of, run_parsed
from sam3d_ros.evaluation.report import Row
from sam3d_ros.evaluation.table import groups_table
from sam3d_ros.objects.files import NANO_FILE, nano_folder
from sam3d_ros.objects.provenance import record_evaluation, why_not_trusted
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.structures import Observation
from sam3d_ros.training.recipe import STAGES
from sam3d_ros.training.scenes.recipes import FULL_SENSOR, RECIPES

DESCRIPTION = """\
Compare nano with lift and with the carved hull on objects of generator families that it never saw
and on captures: one seed, the best of four by agreement with the view, and the better of nano and
lift, which is what auto takes where nano alone and both together win on both sets. --record writes
the medians into the provenance of the weights, which is what auto goes by. Then its cost with 25, 4
and 1 steps. With --ladder DIR the same objects with every export in DIR, which is what each stage
of the training did. Writes nano.json. Takes minutes.
"""
BESIDE = ("carved", "lift", "nano", "nano:4", "nano+lift", "nano:4+lift")
NUM_TIMED = 8
DATA = Path("../shared/data")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsCost:
    """What a number of steps costs."""

    steps: int
    cost: Cost


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--nano", default="", metavar="DIR", help="weights, else those shipped")
    parser.add_argument("--ladder", type=Path, metavar="DIR", help="folder of exports, by stage")
    parser.add_argument("--families", type=int, default=200, metavar="N", help="objects of these")
    parser.add_argument(
        "--recipe", default=FULL_SENSOR.name, choices=RECIPES, help="of their views"
    )
    parser.add_argument("--seed", type=int, default=0, help="of objects and views")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with captures")
    parser.add_argument("--steps", default="25,4,1", help="numbers of steps to compare")
    parser.add_argument("--record", action="store_true", help="into the weights' provenance")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return 0.

    Raises:
        WeightsError: There are no weights, or they cannot be used.
        DatasetError: There are no captures.
    """
    config = config_of(arguments.nano)
    folder = nano_folder(arguments.nano)
    steps = [int(each) for each in arguments.steps.split(",")]
    cases = [
        *capture_cases(arguments.data),
        *family_cases(arguments.families, arguments.seed, arguments.recipe),
    ]
    beside = with_sums(rows_by_group(cases, [make_backend(name, config) for name in BESIDE]))
    print(f"{groups_table(beside)}\n")
    medians = medians_of(beside)
    if arguments.record:
        recorded = {name: medians[name] for name in (FAMILIES, CAPTURES) if name in medians}
        record_evaluation(folder, recorded)
    print(f"auto does not take it: {reason}\n" if (reason := why_not_trusted(folder)) else "")
    costs = steps_costs(config, steps, [case.observation for case in cases[:NUM_TIMED]])
    print(f"{_cost_text(costs)}\n")
    ladder = with_sums(_ladder(arguments.ladder, steps, cases)) if arguments.ladder else {}
    sums = {name: rows for name, rows in ladder.items() if name in (FAMILIES, CAPTURES)}
    print(groups_table(sums) if sums else "no --ladder: what the stages did was not measured")
    written = {
        "beside": medians,
        "steps": [asdict(each) for each in costs],
        "ladder": medians_of(ladder),
        "objects": len(cases),
        "recipe": arguments.recipe,
    }
    write_json(written, arguments.output / "nano.json")
    print(f"written: {arguments.output / 'nano.json'}")
    return 0


def config_of(folder: str, steps: int | None = None) -> SceneConfig:
    """Return the settings of nano with weights of a folder, unfitted steps as usual."""
    objects = ObjectsConfig(backend="nano")
    if steps is not None:
        objects = replace(objects, nano_steps=steps)
    return SceneConfig(objects=objects, weights=WeightsConfig(nano=folder))


def steps_costs(
    config: SceneConfig, steps: Sequence[int], observations: Sequence[Observation]
) -> list[StepsCost]:
    """Measure what each number of steps costs."""
    return [
        StepsCost(
            steps=num,
            cost=cost_of(
                replace(config, objects=replace(config.objects, nano_steps=num)), observations
            ),
        )
        for num in steps
    ]


def exports_of(folder: Path) -> list[Path]:
    """Return the exports in a folder, in the order of training, others after it by name.

    Raises:
        ConfigError: There are none.
    """
    found = [path.parent for path in folder.glob(f"*/{NANO_FILE}")]
    if not found:
        raise ConfigError(f"--ladder needs folders with a {NANO_FILE}, found none in {folder}")
    place = {name: number for number, name in enumerate(STAGES)}
    return sorted(found, key=lambda path: (place.get(path.name, len(STAGES)), path.name))


def _ladder(folder: Path, steps: Sequence[int], cases: Sequence[Case]) -> dict[str, list[Row]]:
    """Evaluate every export with every number of steps, as it is: without fit and choice."""
    backends = [
        Named(make_object_backend(config_of(str(export), num)), f"{export.name}, {num} steps")
        for export in exports_of(folder)
        for num in steps
    ]
    return rows_by_group(cases, backends)


def _cost_text(costs: Sequence[StepsCost]) -> str:
    lines = ["steps   imports, s   load, s   object, s   peak, MB   before, MB"]
    lines += [
        f"{each.steps:5} {each.cost.import_s:12.2f} {each.cost.load_s:9.2f} "
        f"{each.cost.object_s:11.2f} {each.cost.peak_mb:10.0f} {each.cost.before_mb:12.0f}"
        for each in costs
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 1 for a failure said in one sentence."""
    parser = parser_of("sam3d_ros.evaluation.benchmarks.nano", DESCRIPTION)
    add_arguments(parser)
    return run_parsed("nano", parser, run, argv)


if __name__ == "__main__":
    sys.exit(main())
