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

"""The loop that all stages share: batches, gradients, AdamW, the average, checkpoints, curves.

What a step does is a function of the seed, the stage and the step alone: batches and noise are
drawn by index, so that a run that goes on from a checkpoint is the run that never stopped, and two
processes are one process with twice the accumulation.
"""

import hashlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sam3d_ros.errors import TrainingError
from sam3d_ros.training.averaging import WeightAverage
from sam3d_ros.training.checkpoints import (
    Checkpoint,
    Progress,
    newest_checkpoint,
    save_checkpoint,
)
from sam3d_ros.training.curves import Curves
from sam3d_ros.training.objectives import Objective
from sam3d_ros.training.optimiser import NamedAdamW, learning_rate
from sam3d_ros.training.prefetch import made_ahead, made_at_once
from sam3d_ros.training.ranks import ALONE, Ranks
from sam3d_ros.training.recipe import StageConfig, TrainingConfig
from sam3d_ros.training.sources import SampleSource

ModelT = TypeVar("ModelT", bound=nn.Module)
BatchT = TypeVar("BatchT")
ResultT = TypeVar("ResultT")
MAX_BAD_STEPS = 10  # in a row, whose gradient is not finite
MODEL, AVERAGE, OPTIMISER = "model.", "average.", "optimiser."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage(Generic[ModelT, BatchT]):
    """What one stage learns from, and what it descends."""

    name: str
    config: StageConfig
    source: SampleSource[BatchT]
    objective: Objective[ModelT, BatchT]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watching(Generic[ModelT]):
    """What happens beside the training of the average weights; nothing by default."""

    validate: Callable[[ModelT], Mapping[str, float]] | None = None
    export: Callable[[ModelT], None] | None = None


class Trainer(Generic[ModelT, BatchT]):
    """Trains a model through one stage, in its folder."""

    def __init__(
        self,
        model: ModelT,
        stage: Stage[ModelT, BatchT],
        config: TrainingConfig,
        folder: Path,
        ranks: Ranks = ALONE,
    ) -> None:
        """Take over a model and go on from the newest checkpoint in the folder, if any.

        Args:
            model: In float32 on the device to train on, with the weights to begin with.
            stage: What to learn.
            config: Of the run.
            folder: Of the stage's checkpoints and curves.
            ranks: Which of the processes this is.

        Raises:
            CheckpointError: There are checkpoints, and none can be read.
        """
        self.model, self._stage, self._config = model, stage, config
        self._folder, self._ranks = folder, ranks
        self._device = next(model.parameters()).device
        ranks.share(model)
        self._optimiser = NamedAdamW(model, stage.config.optimiser)
        self.average = WeightAverage(model, stage.config.optimiser.average_decay)
        self.progress = Progress(step=0, seconds=0.0, samples=0)
        if (found := newest_checkpoint(folder)) is not None:
            self._restore(found)

    def run(self, watching: Watching[ModelT] | None = None) -> Progress:
        """Train what is left of the stage; afterwards the model holds the average weights."""
        first, last = self.progress.step, self._stage.config.steps
        with self._curves() as curves, self._batches(first, last) as batches:
            if curves is not None and first == 0:
                self._probe(0, curves)
            meter = _Meter(self.progress)
            bar = tqdm(
                range(first, last),
                desc=self._stage.name,
                initial=first,
                total=last,
                unit="step",
                disable=None if self._ranks.leads else True,
            )
            for step in bar:
                meter.take(self._step(step, batches))
                self.progress = meter.progress(step + 1, self._samples_of_a_step())
                if curves is not None:
                    self._watch(step + 1, meter, curves, watching or Watching())
        self.average.exchange(self.model)
        self._ranks.wait()
        return self.progress

    def _step(self, step: int, batches: Iterator[BatchT]) -> dict[str, Tensor]:
        """Take one step down; return the parts of the loss."""
        config = self._stage.config
        parts: dict[str, Tensor] = {}
        for index in self._indices(step):
            with self._precision():
                losses = self._stage.objective(self.model, next(batches), self._generator(index))
            torch.autograd.backward(losses.total / config.accumulation)
            for name, value in {"loss": losses.total, **losses.parts}.items():
                part = value.detach() / config.accumulation
                parts[name] = parts[name] + part if name in parts else part
        self._ranks.average(p.grad for p in self.model.parameters() if p.grad is not None)
        rate = learning_rate(config.optimiser, step, config.steps)
        parts["gradient"] = self._optimiser.step(rate)
        if math.isfinite(float(parts["gradient"])):
            self.average.update(self.model, step)
        return parts

    def _watch(
        self, step: int, meter: "_Meter", curves: Curves, watching: Watching[ModelT]
    ) -> None:
        """Write down what is due after a step."""
        config, last = self._config, step == self._stage.config.steps
        if last or step % config.log_every == 0:
            rate = learning_rate(self._stage.config.optimiser, step - 1, self._stage.config.steps)
            curves.add("train", step, meter.means() | {"learning_rate": rate})
        if last:
            self._probe(step, curves)
        validate, every = watching.validate, config.validation.every
        if validate is not None and every and (last or step % every == 0):
            curves.add("validation", step, self._averaged(validate))
        if last or step % config.checkpoint_every == 0:
            save_checkpoint(self._checkpoint(), self._folder, config.keep)
        export, every = watching.export, config.export_every
        if export is not None and (last or (every and step % every == 0)):
            self._averaged(export)

    def _probe(self, step: int, curves: Curves) -> None:
        """Write down the loss of the stage's first batches, which noise does not hide."""
        if num := self._config.probe_batches:
            curves.add(
                "probe", step, {"loss": self._averaged(lambda model: self._loss(model, num))}
            )

    @torch.no_grad()
    def _loss(self, model: ModelT, num_batches: int) -> float:
        stage = self._stage
        return statistics.fmean(
            float(stage.objective(model, batch, self._generator(index)).total)
            for index in range(num_batches)
            for batch in (stage.source.batch(index, stage.config.batch_size),)
        )

    def _averaged(self, action: Callable[[ModelT], ResultT]) -> ResultT:
        """Do something with the average weights in the model."""
        self.average.exchange(self.model)
        try:
            with self._precision():
                return action(self.model)
        finally:
            self.average.exchange(self.model)

    def _checkpoint(self) -> Checkpoint:
        tensors = {MODEL + name: value for name, value in self.model.state_dict().items()}
        tensors |= {AVERAGE + name: value for name, value in self.average.tensors.items()}
        tensors |= {OPTIMISER + name: value for name, value in self._optimiser.tensors().items()}
        return Checkpoint(progress=self.progress, tensors=tensors)

    def _restore(self, checkpoint: Checkpoint) -> None:
        load_weights(self.model, checkpoint, MODEL)
        self.average.load(part_of(checkpoint, AVERAGE))
        self._optimiser.load(part_of(checkpoint, OPTIMISER))
        self.progress = checkpoint.progress

    def _curves(self) -> AbstractContextManager[Curves | None]:
        """Open the curves, which only the leader writes."""
        return Curves(self._folder, self.progress.step) if self._ranks.leads else nullcontext()

    def _batches(self, first: int, last: int) -> AbstractContextManager[Iterator[BatchT]]:
        """Make this process's batches of the steps to come."""
        indices = [index for step in range(first, last) for index in self._indices(step)]
        source, size = self._stage.source, self._stage.config.batch_size
        if self._device.type != "cpu" or not self._config.prefetch or not indices:
            return nullcontext(made_at_once(source, indices, size))
        return made_ahead(source, indices, size, self._config.prefetch)

    def _indices(self, step: int) -> list[int]:
        """Return the indices of this process's batches of a step."""
        accumulation, world = self._stage.config.accumulation, self._ranks.world
        first = step * accumulation * world + self._ranks.rank
        return [first + number * world for number in range(accumulation)]

    def _generator(self, index: int) -> torch.Generator:
        """Return the generator of a batch's noise, which no other batch of the run has."""
        key = f"{self._config.seed} {self._stage.name} {index}".encode()
        seed = int.from_bytes(hashlib.sha256(key).digest()[:7], "big")
        return torch.Generator(self._device).manual_seed(seed)

    def _precision(self) -> AbstractContextManager[object]:
        dtype = self._config.autocast_dtype(self._device)
        return torch.autocast(self._device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def _samples_of_a_step(self) -> int:
        config = self._stage.config
        return config.batch_size * config.accumulation * self._ranks.world


class _Meter:
    """Means of what steps return, and the time that they took."""

    def __init__(self, before: Progress) -> None:
        self._before, self._started = before, time.perf_counter()
        self._taken: list[dict[str, Tensor]] = []
        self._samples, self._bad = before.samples, 0
        self._last_s, self._last_samples = 0.0, before.samples

    def take(self, parts: dict[str, Tensor]) -> None:
        """Take the parts of one step's loss; raise when too many in a row are not finite."""
        self._taken.append(parts)
        self._bad = 0 if math.isfinite(float(parts["gradient"])) else self._bad + 1
        if self._bad > MAX_BAD_STEPS:
            raise TrainingError(
                f"the gradient was not finite in {self._bad} steps in a row; lower learning_rate, "
                "or train in fp32 if precision is bf16, and go on from the last checkpoint"
            )

    def progress(self, step: int, samples: int) -> Progress:
        """Return how far the stage is after a step of so many samples."""
        self._samples += samples
        return Progress(
            step=step, seconds=self._before.seconds + self._elapsed_s(), samples=self._samples
        )

    def means(self) -> dict[str, float]:
        """Return the means since they were last asked for, and samples per second."""
        means = {
            name: float(torch.stack([each[name] for each in self._taken]).nanmean())
            for name in self._taken[0]
        }
        elapsed_s = self._elapsed_s()
        means["samples_per_s"] = (self._samples - self._last_samples) / (elapsed_s - self._last_s)
        means["hours"] = (self._before.seconds + elapsed_s) / 3600.0
        self._last_s, self._last_samples = elapsed_s, self._samples
        self._taken.clear()
        return means

    def _elapsed_s(self) -> float:
        return time.perf_counter() - self._started


def load_weights(model: nn.Module, checkpoint: Checkpoint, prefix: str) -> None:
    """Give a model the weights that a checkpoint has under a prefix.

    Raises:
        TrainingError: They are of a model of other sizes.
    """
    found, expected = part_of(checkpoint, prefix), model.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    wrong = [name for name, tensor in expected.items() if shapes.get(name) != tuple(tensor.shape)]
    if wrong := wrong or sorted(set(found) - set(expected)):
        name = wrong[0]
        have = tuple(expected[name].shape) if name in expected else "nothing"
        raise TrainingError(
            f"the checkpoint of step {checkpoint.progress.step} is of a model of other sizes: "
            f"expected {have} as {name}, got {shapes.get(name, 'nothing')}; give the architecture "
            "that it was trained with, or train from the beginning with another -o"
        )
    model.load_state_dict(found)


def part_of(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint under a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(prefix)
    }
