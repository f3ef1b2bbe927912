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

"""The training loop: repeatable, resumable, watched."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from training_cases import CONFIG, STAGE, Spheres, TinyFlow, spheres

from sam3d_ros.errors import TrainingError
from sam3d_ros.training.averaging import WeightAverage
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.checkpoints import checkpoint_folders
from sam3d_ros.training.curves import Curves, read_curves
from sam3d_ros.training.losses import Losses
from sam3d_ros.training.objectives import FlowObjective
from sam3d_ros.training.optimiser import learning_rate
from sam3d_ros.training.recipe import (
    LossWeights,
    OptimiserConfig,
    StageConfig,
    TimesConfig,
    TrainingConfig,
)
from sam3d_ros.training.trainer import MAX_BAD_STEPS, Stage, Trainer, Watching


def stage(config: StageConfig = STAGE) -> Stage[TinyFlow, TrainingBatch]:
    return Stage(name="pre", config=config, source=Spheres(), objective=FlowObjective(config))


def trained(folder: Path, config: StageConfig = STAGE, run: TrainingConfig = CONFIG) -> TinyFlow:
    model = TinyFlow()
    Trainer(model, stage(config), run, folder).run()
    return model


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_curves(folder) if line["kind"] == "train"]


def assert_same(first: nn.Module, second: nn.Module, tolerance: float = 0.0) -> None:
    for name, tensor in first.state_dict().items():
        other = second.state_dict()[name]
        torch.testing.assert_close(tensor, other, atol=tolerance, rtol=tolerance)


class InterruptedRunError(Exception):
    """Stands for a kill."""


class StopsAt:
    """A source that is killed at one index."""

    def __init__(self, index: int) -> None:
        self.index = index

    def batch(self, step: int, size: int) -> TrainingBatch:
        if step == self.index:
            raise InterruptedRunError
        return Spheres().batch(step, size)


def test_the_same_seed_gives_the_same_curve_and_another_seed_another(tmp_path: Path) -> None:
    first, again = trained(tmp_path / "a"), trained(tmp_path / "b")
    assert_same(first, again)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    trained(tmp_path / "c", run=replace(CONFIG, seed=1))
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


@pytest.mark.parametrize("killed_at", [2, 5])
def test_a_run_that_was_killed_and_goes_on_is_one_that_was_not(
    tmp_path: Path, killed_at: int
) -> None:
    whole = trained(tmp_path / "whole")
    model = TinyFlow()
    broken = replace(stage(), source=StopsAt(killed_at))
    with pytest.raises(InterruptedRunError):
        Trainer(model, broken, CONFIG, tmp_path / "parts").run()
    model = TinyFlow(seed=5)  # whatever it is, the checkpoint has the weights
    trainer = Trainer(model, stage(), CONFIG, tmp_path / "parts")
    assert killed_at - trainer.progress.step < CONFIG.checkpoint_every
    trainer.run()
    assert_same(whole, model)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def test_a_model_of_other_sizes_does_not_go_on(tmp_path: Path) -> None:
    trained(tmp_path)
    model = TinyFlow()
    model.layout = nn.Linear(20, 13)
    text = r"other sizes: expected \(13, 20\) as layout.weight, got \(13, 16\); give the archi"
    with pytest.raises(TrainingError, match=text):
        Trainer(model, stage(), CONFIG, tmp_path)


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    whole = trained(tmp_path)
    model = TinyFlow(seed=3)
    progress = Trainer(model, replace(stage(), source=StopsAt(0)), CONFIG, tmp_path).run()
    assert progress.step == STAGE.steps
    assert_same(whole, model)


def test_a_model_learns_one_sample_by_heart(tmp_path: Path) -> None:
    class One:
        def batch(self, step: int, size: int) -> TrainingBatch:
            return spheres(torch.tensor([0.3]))

    config = StageConfig(
        steps=150,
        batch_size=1,
        times=TimesConfig(at_noise=1.0),
        weights=LossWeights(rotation=0.0, translation=0.0, scale=0.0, translation_scale=0.0),
        optimiser=OptimiserConfig(learning_rate=0.03, warmup_steps=5, average_decay=0.8),
    )
    run = replace(CONFIG, checkpoint_every=150)
    Trainer(TinyFlow(), replace(stage(config), source=One()), run, tmp_path).run()
    curve = losses(tmp_path)
    assert sum(curve[-10:]) < 0.05 * sum(curve[:10])


class Hostile:
    """An objective whose gradient is not finite from a step on."""

    def __init__(self, good: int) -> None:
        self.left = good

    def __call__(self, model: TinyFlow, batch: TrainingBatch, generator: torch.Generator) -> Losses:
        self.left -= 1
        total = model.shape.weight.sum() * (1.0 if self.left >= 0 else math.nan)
        return Losses(total=total, parts={})


def test_a_step_whose_gradient_is_not_finite_changes_nothing(tmp_path: Path) -> None:
    model = TinyFlow()
    before = TinyFlow()
    hostile = Stage(name="pre", config=STAGE, source=Spheres(), objective=Hostile(0))
    Trainer(model, hostile, CONFIG, tmp_path).run()
    assert_same(before, model)


def test_training_ends_when_gradients_stay_not_finite(tmp_path: Path) -> None:
    config = replace(STAGE, steps=40)
    hostile = Stage(name="pre", config=config, source=Spheres(), objective=Hostile(3))
    with pytest.raises(TrainingError, match=f"not finite in {MAX_BAD_STEPS + 1} steps in a row"):
        Trainer(TinyFlow(), hostile, CONFIG, tmp_path).run()


def test_what_is_watched_are_the_average_weights(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []

    def validate(model: TinyFlow) -> dict[str, float]:
        seen.append(model.shape.weight.detach().clone())
        return {"known/viou": 0.5}

    exported: list[torch.Tensor] = []
    run = replace(CONFIG, validation=replace(CONFIG.validation, every=3), export_every=0)
    model = TinyFlow()
    watching = Watching(
        validate=validate, export=lambda model: exported.append(model.shape.weight.detach().clone())
    )
    Trainer(model, stage(), run, tmp_path).run(watching)
    assert len(seen) == 2
    torch.testing.assert_close(seen[-1], model.shape.weight.detach())
    torch.testing.assert_close(exported[0], seen[-1])
    lines = [line for line in read_curves(tmp_path) if line["kind"] == "validation"]
    assert [line["step"] for line in lines] == [3, 6]
    assert len(exported) == 1
    assert_same(model, trained(tmp_path / "alone"))  # to look changes nothing


def test_an_average_forgets_the_beginning_at_first_and_keeps_more_later() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, decay=0.9)
    with torch.no_grad():
        model.weight.fill_(1.0)
        average.tensors["weight"].fill_(0.0)
    average.update(model, 0)
    assert average.tensors["weight"].item() == pytest.approx(0.9)  # 1 - (1 + 0) / (10 + 0)
    average.tensors["weight"].fill_(0.0)
    average.update(model, 10_000)
    assert average.tensors["weight"].item() == pytest.approx(0.1)  # 1 - decay


def test_exchanging_weights_twice_is_as_never() -> None:
    model, before = TinyFlow(1), TinyFlow(1)
    average = WeightAverage(TinyFlow(2), decay=0.9)
    average.exchange(model)
    assert_same(model, TinyFlow(2))
    average.exchange(model)
    assert_same(model, before)


def test_the_learning_rate_rises_then_falls_along_a_cosine() -> None:
    config = OptimiserConfig(learning_rate=1.0, warmup_steps=10, final_share=0.1)
    rates = [learning_rate(config, step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)  # half way between both ends
    assert rates[110] == pytest.approx(0.1)
    assert all(later <= before for before, later in pairwise(rates[10:]))


def test_curves_forget_what_came_after_the_checkpoint_and_half_a_line(tmp_path: Path) -> None:
    with Curves(tmp_path, 0) as curves:
        for step in (1, 2, 3):
            curves.add("train", step, {"loss": float(step)})
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"kind": "tr')
    with Curves(tmp_path, 2) as curves:
        curves.add("train", 3, {"loss": 30.0})
    assert [line["loss"] for line in read_curves(tmp_path)] == [1.0, 2.0, 30.0]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_checkpoints_are_as_many_as_wanted(tmp_path: Path) -> None:
    trained(tmp_path, run=replace(CONFIG, keep=2))
    assert [p.name for p in checkpoint_folders(tmp_path)] == ["step_00000004", "step_00000006"]
