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

"""The released geometry model's loss: rectified flow on shape and layout."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.nn.flow import TIME_SCALE
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.training.losses import Losses, between, drawn_times, noise_like, velocity_losses
from sam3d_ros.training.recipe import LossWeights, TimesConfig

# SAM 3D's weights (arXiv 2511.16624). The scale of the translation has no effect in the released
# model, and no truth here.
WEIGHTS = LossWeights(
    shape=1.0,
    rotation=0.1,
    translation=1.0,
    scale=0.1,
    translation_scale=0.0,
    distance=0.0,
    sign=0.0,
)
# Logit-normal as in TRELLIS, towards the noise, where the sampler takes most of its steps.
TIMES = TimesConfig(at_noise=0.0, mean=-1.0, std=1.0)
DROP = 0.1  # of conditions withheld, for guidance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GeometryExamples:
    """B views as the model is told of them, and what it should answer."""

    tokens: Tensor  # (B, N, C)
    latents: GeometryLatents


class ReleasedFlowObjective:
    """On the straight way ``(1 - t) noise + t data`` the velocity is ``data - noise``.

    Liu et al., "Flow straight and fast", ICLR 2023.
    """

    def __call__(
        self, model: GeometryModel, batch: GeometryExamples, generator: torch.Generator
    ) -> Losses:
        """Return the loss of a batch; see ``Objective``."""
        data, num = batch.latents, len(batch.tokens)
        noise = noise_like(data, generator)
        time = drawn_times(TIMES, num, generator)
        kept = torch.rand(num, generator=generator, device=generator.device) >= DROP
        tokens = batch.tokens.float() * kept[:, None, None]
        step_size = torch.zeros_like(time)
        answer = model(between(noise, data, time), time * TIME_SCALE, tokens, step_size)
        return velocity_losses(answer, data + noise * -1.0, WEIGHTS)
