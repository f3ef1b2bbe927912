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

"""AdamW that knows its parameters by name, and its learning rate over the steps."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sam3d_ros.training.recipe import OptimiserConfig

MOMENTS = ("exp_avg", "exp_avg_sq")  # torch's names of what AdamW remembers of a parameter


def learning_rate(config: OptimiserConfig, step: int, num_steps: int) -> float:
    """Return the learning rate of a step: a linear rise, then a cosine to its last share."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    left = max(1, num_steps - config.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - config.warmup_steps) / left)))
    return config.learning_rate * (config.final_share + (1.0 - config.final_share) * cosine)


class NamedAdamW:
    """AdamW with clipped gradients, whose memory goes by the names of a model's parameters."""

    def __init__(self, model: nn.Module, config: OptimiserConfig) -> None:
        self._named = {k: p for k, p in model.named_parameters() if p.requires_grad}
        self._max_norm = config.max_norm
        matrices = [p for p in self._named.values() if p.ndim > 1]
        others = [p for p in self._named.values() if p.ndim <= 1]
        self._adam = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            betas=(config.beta1, config.beta2),
            fused=True,
        )

    def step(self, rate: float) -> Tensor:
        """Take a step and forget the gradients; return their norm before it was clipped.

        Where the norm is not finite nothing is changed.
        """
        norm = nn.utils.clip_grad_norm_(self._named.values(), self._max_norm)
        if norm.isfinite():
            for group in self._adam.param_groups:
                group["lr"] = rate
            self._adam.step()
        self._adam.zero_grad()
        return norm.detach()

    def tensors(self) -> dict[str, Tensor]:
        """Return all that is remembered, as ``exp_avg.NAME`` and so on."""
        state = self._adam.state
        return {
            f"{kind}.{name}": value
            for name, parameter in self._named.items()
            for kind, value in state.get(parameter, {}).items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Remember what another of this kind returned."""
        for name, parameter in self._named.items():
            found = {kind: tensors.get(f"{kind}.{name}") for kind in (*MOMENTS, "step")}
            known = {kind: value for kind, value in found.items() if value is not None}
            if known:  # copies: the stored ones may be mapped from a file
                self._adam.state[parameter] = {
                    kind: value.to(parameter.device, copy=True) for kind, value in known.items()
                }
