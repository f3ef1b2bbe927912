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


"""From condition tokens, voxels and noise to one latent per voxel, as decoders take them."""

from collections.abc import Sequence

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
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels, check_occupied
from sam3d_ros.objects.architecture import RefinementConfig
from sam3d_ros.objects.refinement_model import RefinementModel
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.shapes import check_shape

TIMES_DTYPE = torch.float32  # in which the reference computes this model's times


def refinement_flow(num_steps: int = 25, strength: float = 1.0) -> FlowConfig:
    """Return how the released refinement model is run.

    With the weights for few steps ``strength`` is 0; the model is not told the size of steps.
    """
    return FlowConfig(num_steps=num_steps, strength=strength, rescale=1.0)


def initial_noise(
    config: RefinementConfig, sizes: Sequence[int], generators: Sequence[torch.Generator]
) -> Tensor:
    """Draw noise ``(N, 8)`` for objects with ``sizes`` voxels, each from a generator of its own.

    On the generators' device, float32. A generator that drew an object's noise for the geometry
    model goes on with the reference's numbers for the same device and seed.
    """
    pairs = zip(sizes, generators, strict=True)
    return torch.cat([_one_noise(config, size, generator) for size, generator in pairs])


def _one_noise(config: RefinementConfig, size: int, generator: torch.Generator) -> Tensor:
    shape = (1, size, config.latent_channels)
    return torch.randn(shape, generator=generator, device=generator.device)[0]


@torch.no_grad()
def sample_refinement(
    model: RefinementModel,
    condition: Tensor,
    noise: SparseTensor,
    flow: FlowConfig,
    cancelled: Cancelled = never,
    progress: Progress = unheard,
) -> SparseTensor:
    """Carry noise to the structured latents of voxels.

    Args:
        model: On the device of ``condition`` and ``noise``.
        condition: Tokens ``(B, L, C)`` of B objects, or ``(1, L, C)`` for several samples of one.
        noise: On the voxels of B samples.
        flow: How to get there.
        cancelled: Asked before every step.
        progress: Told after every step.

    Raises:
        CancelledError: When ``cancelled`` answered true.
        ShapeError: When condition, noise and model do not belong together.
        VoxelError: When an object has no voxels.
    """
    velocity = CachedVelocity(model, condition, noise, flow)
    steps = schedule(flow, TIMES_DTYPE)
    latents = integrate(velocity, noise.feats, steps, cancelled, progress)
    return noise.replace(structured(latents, model.config))


def structured(latents: Tensor, config: RefinementConfig) -> Tensor:
    """Bring the model's latents ``(N, 8)`` to the range that decoders know."""
    std, mean = latents.new_tensor(config.latent_std), latents.new_tensor(config.latent_mean)
    return latents * std + mean


class ReferenceVelocity:
    """The guided velocity, everything computed at every step: what ``CachedVelocity`` must give."""

    def __init__(self, model: RefinementModel, condition: Tensor, voxels: Voxels) -> None:
        self._model = model
        self._condition = condition.expand(voxels.num_objects, -1, -1)
        self._voxels = voxels

    def __call__(self, x: Tensor, step: FlowStep) -> Tensor:
        """Return the velocity at the beginning of a step."""
        latents = SparseTensor(self._voxels, x)
        time = self._condition.new_full((1,), step.time, dtype=torch.float32)
        conditional = self._model(latents, time, self._condition).feats
        if not step.strength:
            return conditional
        unconditional = self._model(latents, time, self._condition * 0.0).feats
        return guided(conditional, unconditional, step.strength)


class CachedVelocity:
    """The guided velocity, with all that no step changes prepared once.

    Prepared are the neighbours and positions of voxels, keys and values of the condition, the
    constant that stands for no condition, and the modulation at every time of the flow.
    """

    def __init__(
        self, model: RefinementModel, condition: Tensor, noise: SparseTensor, flow: FlowConfig
    ) -> None:
        _check_inputs(model, condition, noise)
        self._model = model
        times = [step.time for step in schedule(flow, TIMES_DTYPE)]
        self._modulation = model.modulation(torch.tensor(times, device=condition.device))
        self._grid = model.grid(noise.voxels)
        self._context = model.context(condition)
        if len(condition) < (num_objects := noise.voxels.num_objects):
            self._context = tuple(block.expanded(num_objects) for block in self._context)
        self._unconditional = model.unconditional_context()

    def __call__(self, x: Tensor, step: FlowStep) -> Tensor:
        """Return the velocity at the beginning of a step."""
        grid, modulation = self._grid, self._modulation.at(step.index)
        encoded = self._model.encode(x, grid, modulation)
        conditional = self._model.velocity(encoded, grid, modulation, self._context)
        if not step.strength:
            return conditional
        unconditional = self._model.velocity(encoded, grid, modulation, self._unconditional)
        return guided(conditional, unconditional, step.strength)


def _check_inputs(model: RefinementModel, condition: Tensor, noise: SparseTensor) -> None:
    config, voxels = model.config, noise.voxels
    check_occupied(voxels)
    check_shape(noise.feats, f"{len(voxels)} {config.latent_channels}", "noise")
    check_shape(condition, f"B L {config.condition_dim}", "condition")
    if len(condition) not in (1, voxels.num_objects):
        raise ShapeError(
            f"condition must be of 1 object or of {voxels.num_objects}, one per sample of noise, "
            f"got {len(condition)}; repeat the tokens of an object that has several samples"
        )
