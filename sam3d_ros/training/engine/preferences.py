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

"""Preference alignment of a flow: away from its worse answers, towards its better ones."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.nn.flow import TIME_SCALE
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.sampling import concatenated
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView
from sam3d_ros.training.losses import LATENTS, Losses, between, drawn_times, noise_like
from sam3d_ros.training.models import VolumeFlow
from sam3d_ros.training.recipe import LossWeights, StageConfig

BETA = 500.0  # how far the policy may leave the reference, with errors as means over a latent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreferencePairs:
    """B views, and for each a better and a worse answer."""

    view: VolumeView
    box: VolumeBox
    best: GeometryLatents
    worst: GeometryLatents
    told_apart: Tensor | None = None  # (B,) bool: which of them count; None for all


class PreferenceObjective:
    """Diffusion-DPO (Wallace et al., CVPR 2024, equation 14) with velocities in place of noise.

    ``-log sigmoid(-beta ((e_best - r_best) - (e_worst - r_worst)))``, where e and r are the errors
    ``|v - v(x_t, t)|^2`` of the policy's and of a frozen reference's velocities on the way to the
    answer, ``v = x_1 - x_0``. So SAM 3D aligns its flow (arXiv 2511.16624), and Liu et al.,
    "Improving video generation with human feedback" (arXiv 2501.13918), with their constant beta.
    Noise and time are the same for both answers and for both models, which takes most of the
    noise out of the difference.
    """

    def __init__(self, reference: VolumeFlow, config: StageConfig, beta: float = BETA) -> None:
        """Prefer within reach of a reference, which is not changed and must not learn."""
        self._reference = reference
        self._config = config
        self._beta = beta

    def __call__(
        self, model: VolumeFlow, batch: PreferencePairs, generator: torch.Generator
    ) -> Losses:
        """Return the loss of a batch; see ``Objective``."""
        noise = noise_like(batch.best, generator)
        time = drawn_times(self._config.times, len(batch.view), generator)
        policy = self._errors(model, batch, noise, time)
        with torch.no_grad():
            reference = self._errors(self._reference, batch, noise, time)
        better, worse = (policy - reference).chunk(2)
        margin = worse - better
        counts = torch.ones_like(margin) if batch.told_apart is None else batch.told_apart.float()
        weight = counts / counts.sum().clamp_min(1.0)
        loss = (weight * -F.logsigmoid(self._beta * margin)).sum()
        best, worst = policy.chunk(2)
        parts = {
            "preference": loss,
            "told_apart": counts.mean(),
            "preferred": (weight * (margin > 0)).sum(),
            "error_best": best.mean(),
            "error_worst": worst.mean(),
        }
        return Losses(total=loss, parts=parts)

    def _errors(
        self, model: VolumeFlow, batch: PreferencePairs, noise: GeometryLatents, time: Tensor
    ) -> Tensor:
        """Return the weighted errors ``(2 B,)`` on the way to best, then to worst answers."""
        condition = model.condition(batch.view, batch.box)
        both, twice = concatenated([batch.best, batch.worst]), concatenated([noise, noise])
        times = torch.cat((time, time))
        answer = model.velocity(
            between(twice, both, times),
            times * TIME_SCALE,
            torch.cat((condition, condition)),
            torch.zeros_like(times),
        )
        return velocity_errors(answer, both + twice * -1.0, self._config.weights)


def velocity_errors(
    predicted: GeometryLatents, truth: GeometryLatents, weights: LossWeights
) -> Tensor:
    """Return the weighted mean squared errors ``(B,)`` of velocities."""
    errors = [
        getattr(weights, name)
        * (getattr(predicted, name).float() - getattr(truth, name)).square().mean(dim=(1, 2))
        for name in LATENTS
    ]
    return torch.stack(errors).sum(dim=0)


def chosen_latents(latents: GeometryLatents, index: Tensor, num: int) -> GeometryLatents:
    """Return of each view's ``num`` samples the one at ``index`` ``(B,)``."""
    rows = torch.arange(len(index), device=index.device) * num + index
    return GeometryLatents(*(getattr(latents, f.name)[rows] for f in fields(latents)))
