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

"""From condition tokens and noise to the latents of shape and layout."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from sam3d_ros.errors import ShapeError
from sam3d_ros.nn.flow import (
    FlowConfig,
    FlowStep,
    Progress,
    guided,
    integrate,
    schedule,
    unheard,
)
from sam3d_ros.objects.architecture import GeometryConfig
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.streams import LATENT_NAMES, latent_sizes
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.shapes import check_shape

MANY_VALUES = 2**15  # for a CPU's calls to cost less than its arithmetic


def initial_noise(config: GeometryConfig, generators: Sequence[torch.Generator]) -> GeometryLatents:
    """Draw the noise of one sample per generator, on the generators' device, float32.

    Each sample has a generator of its own, so that a batch does not change it. The order of the
    latents is that of the reference: with the same device and seed, its numbers.
    """
    return concatenated([_one_noise(config, generator) for generator in generators])


def _one_noise(config: GeometryConfig, generator: torch.Generator) -> GeometryLatents:
    sizes = latent_sizes(config)
    drawn = {
        name: torch.randn(1, *sizes[name], generator=generator, device=generator.device)
        for name in sorted(sizes, key=LATENT_NAMES.__getitem__)
    }
    return GeometryLatents(**drawn)


@torch.no_grad()
def sample_geometry(
    model: GeometryModel,
    condition: Tensor,
    noise: GeometryLatents,
    flow: FlowConfig,
    cancelled: Cancelled = never,
    progress: Progress = unheard,
) -> GeometryLatents:
    """Carry noise to latents of shape and layout.

    Args:
        model: On the device of ``condition`` and ``noise``.
        condition: Tokens ``(B, N, C)`` of B objects, or ``(1, N, C)`` for several samples of one.
        noise: Of B samples.
        flow: How to get there.
        cancelled: Asked before every step.
        progress: Told after every step.

    Raises:
        CancelledError: When ``cancelled`` answered true.
        ShapeError: When condition, noise and model do not belong together.
    """
    velocity = CachedVelocity(model, condition, flow, _num_samples(noise, model))
    return integrate(velocity, noise, schedule(flow), cancelled, progress)


class ReferenceVelocity:
    """The guided velocity, everything computed at every step: what ``CachedVelocity`` must give."""

    def __init__(self, model: GeometryModel, condition: Tensor, flow: FlowConfig) -> None:
        self._model = model
        self._condition = condition
        self._step_size = condition.new_full((1,), flow.step_size, dtype=torch.float32)

    def __call__(self, x: GeometryLatents, step: FlowStep) -> GeometryLatents:
        """Return the velocity at the beginning of a step."""
        time = torch.full_like(self._step_size, step.time)
        condition = self._condition.expand(len(x.shape), -1, -1)  # one object's for all samples
        conditional = self._model(x, time, condition, self._step_size)
        if not step.strength:
            return conditional
        unconditional = self._model(x, time, condition * 0.0, self._step_size)
        return guided(conditional, unconditional, step.strength)


class CachedVelocity:
    """The guided velocity, with all that no step changes prepared once.

    Prepared are keys and values of the condition, the constant that stands for no condition, and
    the modulation at every time of the flow.
    """

    def __init__(
        self, model: GeometryModel, condition: Tensor, flow: FlowConfig, num_samples: int
    ) -> None:
        _check_condition(condition, model, num_samples)
        self._model = model
        steps = schedule(flow)
        times = torch.tensor([step.time for step in steps], device=condition.device)
        self._modulation = model.modulation(times, torch.full_like(times[:1], flow.step_size))
        self._context = model.context(condition)
        if len(condition) < num_samples:
            self._context = self._context.expanded(num_samples)
        self._unconditional = model.unconditional_context()
        num_values = num_samples * model.config.resolution**3 * model.config.dim
        self._in_one = one_pass_pays(condition.device, num_values)

    def __call__(self, x: GeometryLatents, step: FlowStep) -> GeometryLatents:
        """Return the velocity at the beginning of a step."""
        modulation = self._modulation[step.index : step.index + 1]
        if not step.strength:
            return self._model.velocity(x, modulation, self._context)
        if self._in_one:
            # Samples beyond those of the context are unconditional.
            both = self._model.velocity(concatenated([x, x]), modulation, self._context)
            conditional, unconditional = halves(both)
        else:
            conditional = self._model.velocity(x, modulation, self._context)
            unconditional = self._model.velocity(x, modulation, self._unconditional)
        return guided(conditional, unconditional, step.strength)


def one_pass_pays(device: torch.device, num_values: int) -> bool:
    """Whether one pass over a batch with and without condition is faster than two passes.

    On a GPU it is: half of the many small kernels of the layout stream disappear. A CPU, as
    measured, gains only where calling a layer takes longer than computing it; otherwise the larger
    batch leaves its cache.

    Args:
        device: Where the model is.
        num_values: In the shape tokens of a batch.
    """
    return device.type != "cpu" or num_values <= MANY_VALUES


def concatenated(batches: Sequence[GeometryLatents]) -> GeometryLatents:
    """Return one batch of all samples."""
    return GeometryLatents(
        *(torch.cat([getattr(b, each.name) for b in batches]) for each in fields(GeometryLatents))
    )


def halves(batch: GeometryLatents) -> tuple[GeometryLatents, GeometryLatents]:
    """Return the first and the second half of a batch's samples."""
    parts = [getattr(batch, each.name).chunk(2) for each in fields(GeometryLatents)]
    return GeometryLatents(*(p[0] for p in parts)), GeometryLatents(*(p[1] for p in parts))


def _num_samples(noise: GeometryLatents, model: GeometryModel) -> int:
    """Return how many samples there are; raise unless all latents are the model's."""
    num_samples = len(noise.shape)
    for name, (num_tokens, channels) in latent_sizes(model.config).items():
        check_shape(getattr(noise, name), f"{num_samples} {num_tokens} {channels}", f"noise {name}")
    return num_samples


def _check_condition(condition: Tensor, model: GeometryModel, num_samples: int) -> None:
    check_shape(condition, f"B N {model.config.condition_dim}", "condition")
    if len(condition) not in (1, num_samples):
        raise ShapeError(
            f"condition must be of 1 object or of {num_samples}, one per sample of noise, got "
            f"{len(condition)}; repeat the tokens of an object that has several samples"
        )
