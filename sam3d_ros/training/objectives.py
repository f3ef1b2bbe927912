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

"""What a step descends: the flow from noise to truth, and long steps that equal two short ones."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from sam3d_ros.nn.flow import TIME_SCALE, FlowConfig, FlowStep, integrate, schedule, time_grid
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.sampling import concatenated
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.losses import (
    Losses,
    between,
    distance_losses,
    drawn_times,
    joined,
    noise_like,
    scaled,
    truth_of,
    velocity_losses,
)
from sam3d_ros.training.models import VolumeFlow
from sam3d_ros.training.recipe import StageConfig

LONG_STEPS = (1, 2, 4, 8)  # numbers of steps to the data that are learned from twice as many
FINEST = 2 * LONG_STEPS[-1]  # so many count as infinitely many

ModelT_contra = TypeVar("ModelT_contra", contravariant=True)
BatchT_contra = TypeVar("BatchT_contra", contravariant=True)


class Objective(Protocol[ModelT_contra, BatchT_contra]):
    """Says how wrong a model is about a batch; all its randomness comes from the generator."""

    def __call__(
        self, model: ModelT_contra, batch: BatchT_contra, generator: torch.Generator
    ) -> Losses:
        """Return the loss of a batch."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """States of the flow, what the model is told of them, and the velocities it should answer."""

    x: GeometryLatents
    time: Tensor  # (B,) in [0, 1)
    step_size: Tensor  # (B,) thousandths of the flow, 0 for infinitely small
    velocity: GeometryLatents


class FlowObjective:
    """Rectified flow: velocities of latents, and distances decoded from the data they point at.

    The first ``consistency_share`` of each batch learns shortcuts instead (Frans et al., "One step
    diffusion via shortcut models", ICLR 2025): a step has to lead where two half as long lead.
    """

    def __init__(self, config: StageConfig) -> None:
        self._config = config

    def __call__(
        self, model: VolumeFlow, batch: TrainingBatch, generator: torch.Generator
    ) -> Losses:
        """Return the loss of a batch."""
        truth = truth_of(model, batch)
        noise = noise_like(truth, generator)
        condition = model.condition(batch.view, batch.box)
        num_long = round(self._config.consistency_share * len(batch.distance))
        rest = slice(num_long, None)
        time = drawn_times(self._config.times, len(batch.distance) - num_long, generator)
        asked = flow_question(noise[rest], truth[rest], time)
        if num_long:
            long = slice(0, num_long)
            shortcuts = shortcut_question(
                model, noise[long], truth[long], condition[long], generator
            )
            asked = _both(shortcuts, asked)
        answer = model.velocity(asked.x, asked.time * TIME_SCALE, condition, asked.step_size)
        weights = self._config.weights
        guess = asked.x.shape + (1.0 - asked.time)[:, None, None] * answer.shape.float()
        return joined(
            velocity_losses(answer, asked.velocity, weights),
            distance_losses(decoded(model, guess[rest]), batch.distance[rest], weights),
        )


class RefinementObjective:
    """The second stage: true distances from what the first one answers, which stays as it is."""

    def __init__(self, config: StageConfig, flow: FlowConfig) -> None:
        """Take the settings of the stage, and how the first stage comes to its answers."""
        self._config, self._flow = config, flow

    def __call__(
        self, model: VolumeFlow, batch: TrainingBatch, generator: torch.Generator
    ) -> Losses:
        """Return the loss of a batch."""
        with torch.no_grad():
            features = model.features(batch.view, batch.box)
            noise = noise_like(truth_of(model, batch), generator)
            first = decoded(model, carried(model, noise, model.tokens(features), self._flow).shape)
        refined = model.refined(first, features)
        return distance_losses(refined, batch.distance, self._config.weights)


def carried(
    model: VolumeFlow, noise: GeometryLatents, condition: Tensor, flow: FlowConfig
) -> GeometryLatents:
    """Carry noise to the latents that a model answers."""
    size = torch.full((len(noise.shape),), flow.step_size, device=noise.shape.device)

    def velocity(x: GeometryLatents, step: FlowStep) -> GeometryLatents:
        return model.velocity(x, torch.full_like(size, step.time), condition, size)

    return integrate(velocity, noise, schedule(flow))


def flow_question(noise: GeometryLatents, truth: GeometryLatents, time: Tensor) -> Question:
    """Ask for the velocity of the straight flow at times ``(B,)``."""
    return Question(
        x=between(noise, truth, time),
        time=time,
        step_size=torch.zeros_like(time),
        velocity=truth + noise * -1.0,
    )


@torch.no_grad()
def shortcut_question(
    model: VolumeFlow,
    noise: GeometryLatents,
    truth: GeometryLatents,
    condition: Tensor,
    generator: torch.Generator,
) -> Question:
    """Ask for the velocity of long steps: what the model itself says of two half as long.

    The steps are those of the sampler's own grids, which are nested, with the sizes that it tells.
    """
    device, num = noise.shape.device, len(noise.shape)
    choice = torch.randint(len(LONG_STEPS), (num,), generator=generator, device=device)
    num_steps = torch.tensor(LONG_STEPS, device=device)[choice]
    uniform = torch.rand(num, generator=generator, device=device)
    index = (uniform * num_steps).long().clamp_max(num_steps - 1)
    start, middle, end = (grid_times(2 * index + half, 2 * num_steps) for half in range(3))
    short = torch.where(2 * num_steps >= FINEST, 0.0, TIME_SCALE / (2 * num_steps))
    x = between(noise, truth, start)
    first = model.velocity(x, start * TIME_SCALE, condition, short)
    there = x + scaled(first, middle - start)
    second = model.velocity(there, middle * TIME_SCALE, condition, short)
    velocity = scaled(first, (middle - start) / (end - start)) + scaled(
        second, (end - middle) / (end - start)
    )
    return Question(x=x, time=start, step_size=TIME_SCALE / num_steps, velocity=velocity)


def grid_times(index: Tensor, num_steps: Tensor) -> Tensor:
    """Return the times ``(B,)`` of points ``index`` on the sampler's grids of ``num_steps``."""
    places = list(zip(index.tolist(), num_steps.tolist(), strict=True))
    grids = {n: time_grid(FlowConfig(num_steps=n)) for _, n in places}
    return torch.stack([grids[n][i] for i, n in places]).float().to(index.device)


def decoded(model: VolumeFlow, shape: Tensor) -> Tensor:
    """Return distances of shape latents in float32, whatever else is computed in less."""
    with torch.autocast(shape.device.type, enabled=False):
        return model.decode(shape.float())


def _both(first: Question, second: Question) -> Question:
    """Return one question of all samples."""
    return Question(
        x=concatenated([first.x, second.x]),
        time=torch.cat((first.time, second.time)),
        step_size=torch.cat((first.step_size, second.step_size)),
        velocity=concatenated([first.velocity, second.velocity]),
    )
