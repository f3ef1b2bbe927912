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

"""Whole runs of the engine: ask and judge once, or again and again with what was learned."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import torch

from sam3d_ros.errors import ConfigError, TrainingError
from sam3d_ros.objects.volume.loading import load_nano, nano_flow
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.training.curriculum import EXPORT_FOLDER, TrainingRun
from sam3d_ros.training.engine.judging import JUDGES
from sam3d_ros.training.engine.making import (
    PART_CASES,
    CaseSource,
    DataEngine,
    captured_cases,
    procedural_cases,
    record_of,
)
from sam3d_ros.training.engine.pairs import MIN_MARGIN, MIN_SCORE, lessons_in
from sam3d_ros.training.engine.recovery import Recovery, RecoveryMeter
from sam3d_ros.training.engine.store import EngineStore
from sam3d_ros.training.presets import for_own_data
from sam3d_ros.training.ranks import ALONE
from sam3d_ros.training.recipe import TrainingConfig
from sam3d_ros.training.scenes.recipes import RECIPES
from sam3d_ros.training.starts import source_of

ANSWERS = "answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlan:
    """What to ask of which weights, and who judges."""

    init: Path  # folder of weights of nano
    captures: Path | None = None  # folder of scenes without truth, in place of procedural ones
    recipe: str = "full_sensor"  # of procedural scenes
    num_cases: int = 256  # procedural ones
    candidates: int = 4
    steps: int = 4  # of the flow
    judge: str = ""  # one of JUDGES; empty for the truth where there is one
    seed: int = 0

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ConfigError(f"recipe must be one of {', '.join(RECIPES)}, got {self.recipe!r}")
        if self.judge and self.judge not in JUDGES:
            raise ConfigError(f"judge must be one of {', '.join(JUDGES)}, got {self.judge!r}")
        if self.num_cases < 1:
            raise ConfigError(f"num_cases must be at least 1, got {self.num_cases}")
        if self.judge == "truth" and self.captures is not None:
            raise ConfigError("captures are judged without truth; judge must be view, got truth")

    @property
    def judge_name(self) -> str:
        """Who judges."""
        return self.judge or ("truth" if self.captures is None else "view")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a run of the engine made."""

    store: EngineStore
    model: NanoModel
    made: int  # cases in this run; others were there
    recovery: Recovery | None  # of those, where there is a truth


def answers_of(
    plan: EnginePlan, config: TrainingConfig, folder: Path, device: torch.device
) -> Answers:
    """Ask, judge and keep; goes on where it was stopped.

    Raises:
        Sam3dError: The weights, the captures or the folder are not as they should be.
    """
    model = load_nano(plan.init, device=device, dtype=torch.float32)
    config = replace(config, architecture=model.architecture)
    judge = JUDGES[plan.judge_name]()
    flow = nano_flow(plan.init, plan.steps)
    source = _cases(plan, config, device)
    record = record_of(model, source, judge, plan.candidates, flow, plan.seed)
    store = EngineStore.create(folder, record)
    meter = RecoveryMeter()
    watch = meter.add if plan.captures is None else None
    made = DataEngine(model, judge, flow, store).run(source, watch)
    return Answers(store=store, model=model, made=made, recovery=meter.result())


def rounds(
    plan: EnginePlan,
    config: TrainingConfig,
    folder: Path,
    device: torch.device,
    tell: Callable[[Answers], None] = lambda _answers: None,
) -> Iterator[Path]:
    """Answer, learn, begin again with the new weights, without end; yield each round's folder.

    A round takes good answers for the truth, and prefers the better of those that differ.

    Each round asks about other objects and has a folder of its own, in which every step goes on
    where it was stopped.
    """
    weights = plan.init
    for number in count():
        place = folder / f"round_{number:02d}"
        seeded = replace(config, seed=config.seed + number)
        now = replace(plan, init=weights, seed=plan.seed + number)
        answers = answers_of(now, seeded, place / ANSWERS, device)
        tell(answers)
        training = TrainingRun(
            config=replace(for_own_data(seeded, "sft"), architecture=answers.model.architecture),
            folder=place,
            device=device,
            ranks=ALONE,
            init=weights,
            data=place / ANSWERS,
        )
        lessons = _lessons(answers.store)
        for name in lessons:
            training.train(name)
            training = replace(training, init=None)
        weights = place / EXPORT_FOLDER
        training.export(lessons[-1], weights)
        yield weights


def _lessons(store: EngineStore) -> list[str]:
    """Return the stages that can learn from judged answers.

    Raises:
        TrainingError: None can.
    """
    found = lessons_in(store)
    stages = ["sft"] * bool(found.num_good) + ["dpo"] * bool(found.num_pairs)
    if not stages:
        raise TrainingError(
            f"{store.folder} has neither an answer that scored {MIN_SCORE} nor two whose scores "
            f"differ by {MIN_MARGIN}; train the model further first"
        )
    return stages


def _cases(plan: EnginePlan, config: TrainingConfig, device: torch.device) -> CaseSource:
    if plan.captures is not None:
        return captured_cases(plan.captures, config.data.crop_px, device)
    scenes = source_of(config, RECIPES[plan.recipe], "dpo", device)
    return procedural_cases(scenes, f"recipe {plan.recipe}", -(-plan.num_cases // PART_CASES))
