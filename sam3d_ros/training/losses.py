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

"""The losses of rectified flow: velocities of latents, and the distances that they decode to.

A flow runs straight from noise at time 0 to data at time 1 (see ``nn.flow``): the state is
``(1 - t) noise + t data`` and the velocity ``data - noise``, so that a velocity is also a guess of
the data: ``x + (1 - t) velocity``.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.models import VolumeFlow
from sam3d_ros.training.recipe import LossWeights, TimesConfig

FAR_WEIGHT = 0.1  # of voxels farther than the truncation from the surface
SIGN_SHARPNESS = 4.0  # logits of being inside, per truncation of depth
EDGE_SHARPNESS = 10.0  # likewise, of what counts as volume: half a voxel is 1.25
LATENTS = tuple(each.name for each in fields(GeometryLatents))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Losses:
    """A loss to descend, and the parts that it was made of, for people."""

    total: Tensor  # ()
    parts: dict[str, Tensor]  # each ()


def truth_of(model: VolumeFlow, batch: TrainingBatch) -> GeometryLatents:
    """Return the latents that a batch's objects truly have; layout is that of the object's box.

    The rotation is its first two columns, which lie in the unit ball: mean and deviation are those
    of a vector that may point anywhere, so that the flow's end is as wide as its beginning.
    """
    columns = batch.box_rotation_object[:, :, :2].mT.flatten(1)
    with torch.autocast(columns.device.type, enabled=False):
        shape = model.encode(batch.distance)
    return GeometryLatents(
        shape=shape,
        rotation=columns[:, None] * 3.0**0.5,
        translation=batch.box_centre_object[:, None],
        scale=batch.extent.clamp_min(1e-3).log()[:, None],
        translation_scale=torch.zeros_like(batch.extent[:, None, :1]),
    )


def noise_like(latents: GeometryLatents, generator: torch.Generator) -> GeometryLatents:
    """Draw noise of the same shapes."""
    device = latents.shape.device
    return GeometryLatents(
        *(
            torch.randn(getattr(latents, name).shape, generator=generator, device=device)
            for name in LATENTS
        )
    )


def drawn_times(config: TimesConfig, num: int, generator: torch.Generator) -> Tensor:
    """Draw times ``(num,)`` in [0, 1): exactly ``at_noise`` of them, rounded, are 0.

    A fixed share, not a drawn one: the loss from noise is many times the others', and its weight
    would be noise in the gradient.
    """
    normal = torch.randn(num, generator=generator, device=generator.device)
    times = torch.sigmoid(config.mean + config.std * normal)
    times[: round(config.at_noise * num)] = 0.0
    return times


def between(noise: GeometryLatents, data: GeometryLatents, time: Tensor) -> GeometryLatents:
    """Return where the flow is at times ``(B,)``."""
    return scaled(noise, 1.0 - time) + scaled(data, time)


def scaled(latents: GeometryLatents, factors: Tensor) -> GeometryLatents:
    """Return each sample's latents times its factor ``(B,)``."""
    by_sample = factors[:, None, None]
    return GeometryLatents(*(getattr(latents, name) * by_sample for name in LATENTS))


def velocity_losses(
    predicted: GeometryLatents, truth: GeometryLatents, weights: LossWeights
) -> Losses:
    """Return the mean squared errors of velocities, weighted latent by latent."""
    parts = {
        name: F.mse_loss(getattr(predicted, name).float(), getattr(truth, name)) for name in LATENTS
    }
    total = torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()
    return Losses(total=total, parts=parts)


def distance_losses(predicted: Tensor, truth: Tensor, weights: LossWeights) -> Losses:
    """Compare truncated distances ``(B, R, R, R)``, > 0 outside, mostly near the surface.

    Where the truth is truncated it says no more than "at least so far": only less is an error.
    """
    near = truth.abs() < 1.0
    weight = FAR_WEIGHT + (1.0 - FAR_WEIGHT) * near.to(truth.dtype)
    short = F.relu(1.0 - predicted * truth.sign())
    error = torch.where(near, (predicted - truth).abs(), short)
    logits, inside = -SIGN_SHARPNESS * predicted, (truth < 0).to(truth.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, inside, reduction="none")
    mass = weight.sum()
    parts = {
        "distance": (weight * error).sum() / mass,
        "sign": (weight * entropy).sum() / mass,
        "overlap": 1.0 - _soft_overlap(predicted, truth).mean(),
    }
    total = torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()
    return Losses(total=total, parts=parts)


def _soft_overlap(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the intersection over union of each sample ``(B,)``, with soft edges.

    To it a thin shell is as much as a block; to means over voxels it is next to nothing. The truth
    has the same edges, or what is thin would have to be drawn too thick.
    """
    ours = torch.sigmoid(-EDGE_SHARPNESS * predicted).flatten(1)
    theirs = torch.sigmoid(-EDGE_SHARPNESS * truth).flatten(1)
    both, either = torch.minimum(ours, theirs).sum(1), torch.maximum(ours, theirs).sum(1)
    return both / either.clamp_min(1e-6)


def joined(*losses: Losses) -> Losses:
    """Return the sum of losses, and all of their parts."""
    total = torch.stack([each.total for each in losses]).sum()
    return Losses(total=total, parts={k: v for each in losses for k, v in each.parts.items()})
