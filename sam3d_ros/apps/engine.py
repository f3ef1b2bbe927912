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

"""``sam3d engine``: nano's own answers, judged or chosen by hand, as data to train on."""

import argparse
from itertools import islice
from pathlib import Path

import torch

from sam3d_ros.apps.candidate_sheets import write_sheets
from sam3d_ros.apps.settings import changed_by
from sam3d_ros.nn.devices import device_named
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.training.engine.choices import CHOICES_FILE, ChosenPair, read_choices, write_choices
from sam3d_ros.training.engine.judging import JUDGES
from sam3d_ros.training.engine.pairs import judged
from sam3d_ros.training.engine.plan import Answers, EnginePlan, answers_of, rounds
from sam3d_ros.training.engine.store import EngineStore
from sam3d_ros.training.presets import PRESETS, preset
from sam3d_ros.training.scenes.recipes import RECIPES

SHEETS = "sheets"
DESCRIPTION = """\
Ask nano several times about each object, judge the answers, keep them in OUTPUT. Stopped, it goes
on where it was. Then train on them:

  sam3d engine data --init WEIGHTS -o runs/pairs                procedural objects, judged by truth
  sam3d engine data --init WEIGHTS --captures DIR -o runs/mine  your captures, judged by the view
  sam3d engine data ... --sheets                                pictures, and choices.txt to edit
  sam3d engine choices runs/mine                                check what you edited
  sam3d train dpo --init WEIGHTS --data runs/mine -o runs/aligned  prefer the better answers
  sam3d train sft --init WEIGHTS --data runs/mine -o runs/taught   take the best ones for the truth
  sam3d engine loop --init WEIGHTS --rounds 3 -o runs/loop      all of it, three times over
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    data = verbs.add_parser("data", help="make candidates and judge them")
    _add_asking(data)
    data.add_argument("--sheets", action="store_true", help="write pictures and choices.txt")
    choices = verbs.add_parser("choices", help="read the choices of a person")
    choices.add_argument("folder", type=Path, help="of candidates, with an edited choices.txt")
    loop = verbs.add_parser("loop", help="make candidates, learn, begin again with the new weights")
    _add_asking(loop)
    loop.add_argument("--rounds", type=int, default=2, help="how often (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Make candidates, go through rounds, or check what a person chose."""
    if arguments.verb == "choices":
        return _check_choices(arguments.folder)
    config = changed_by(arguments.config, preset(arguments.preset))
    device, plan = device_named(arguments.device), _plan(arguments)
    if arguments.verb == "loop":
        made = rounds(plan, config, arguments.output, device, _report)
        for weights in islice(made, arguments.rounds):
            print(f"weights: {weights}")
        return 0
    answers = answers_of(plan, config, arguments.output, device)
    _report(answers)
    if arguments.sheets:
        _write_sheets(answers.store, answers.model.cpu())
    return 0


def _add_asking(parser: argparse.ArgumentParser) -> None:
    plan = EnginePlan(init=Path())
    add = parser.add_argument
    add("--init", type=Path, required=True, metavar="DIR", help="weights of nano")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="where to")
    add("--captures", type=Path, metavar="DIR", help="scene folders; no truth is needed")
    add("--recipe", choices=tuple(RECIPES), default=plan.recipe, help="default: %(default)s")
    add("--cases", type=int, default=plan.num_cases, help="procedural objects (%(default)s)")
    add("-n", "--candidates", type=int, default=plan.candidates, help="of each (%(default)s)")
    add("--steps", type=int, default=plan.steps, help="of the flow (%(default)s)")
    add("--judge", choices=tuple(JUDGES), default="", help="default: truth, of captures the view")
    add("--seed", type=int, default=plan.seed, help="of the candidates' noise (%(default)s)")
    add("--preset", choices=PRESETS, default="nano", help="of the training (%(default)s)")
    add("--config", type=Path, metavar="FILE", help="settings over the preset's")
    add("--device", default="auto", help="default: %(default)s")


def _plan(arguments: argparse.Namespace) -> EnginePlan:
    return EnginePlan(
        init=arguments.init,
        captures=arguments.captures,
        recipe=arguments.recipe,
        num_cases=arguments.cases,
        candidates=arguments.candidates,
        steps=arguments.steps,
        judge=arguments.judge,
        seed=arguments.seed,
    )


def _report(answers: Answers) -> None:
    """Say what was made, and what several answers are worth."""
    store = answers.store
    print(f"{answers.made} cases made, {len(store.parts())} parts in {store.folder}")
    if answers.recovery is not None:
        print(answers.recovery.text())
    parts = [store.read(number) for number in store.parts()]
    num_pairs = sum(len(judged(part)) for part in parts)
    best = torch.cat([part.scores.amax(dim=1) for part in parts])
    print(f"{num_pairs} pairs of preferences, median score of the best {float(best.median()):.2f}")


def _write_sheets(store: EngineStore, model: NanoModel) -> None:
    """Write pictures of all candidates, and the file of choices with what the judge chose."""
    choices: dict[str, ChosenPair | None] = {}
    names: dict[str, str] = {}
    for number in store.parts():
        part = store.read(number)
        best = judged(part)
        write_sheets(part, model, best, store.folder / SHEETS)
        choices |= {case: best.get(case) for case in part.ids}
        names |= dict(zip(part.ids, part.names, strict=True))
    write_choices(store.folder / CHOICES_FILE, choices, names)
    print(f"look at {store.folder / SHEETS}, then edit {store.folder / CHOICES_FILE}")


def _check_choices(folder: Path) -> int:
    store = EngineStore.open(folder)
    cases = [case for number in store.parts() for case in store.read(number).ids]
    chosen = read_choices(folder / CHOICES_FILE, cases, store.record.candidates)
    print(f"{len(chosen)} of {len(cases)} cases have a best and a worst candidate")
    return 0
