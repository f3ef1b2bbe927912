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

"""The decoder from the structured latent to splats, a fixed number of them for each voxel.

Attribute names are those of the released checkpoint.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.errors import DecodingError
from sam3d_ros.nn.linear import Float32Linear
from sam3d_ros.nn.norms import Float32LayerNorm
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels
from sam3d_ros.objects.architecture import SplatActivation, SplatDecoderConfig
from sam3d_ros.objects.decoder_trunk import DecoderTrunk
from sam3d_ros.objects.hammersley import hammersley
from sam3d_ros.structures import Splats

WIDTHS = (3, 3, 3, 4, 1)  # channels of a splat's attributes, in the order of RawSplats
CENTER = 0.5  # of the unit cube in which positions are decoded; the object frame's origin


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawSplats:
    """Splats as unbounded numbers, the M of all objects after each other."""

    xyz: Tensor  # (M, 3), in the unit cube
    sh_dc: Tensor  # (M, 3)
    scaling: Tensor  # (M, 3)
    rotation: Tensor  # (M, 4), quaternions wxyz but for 1 added to w
    opacity: Tensor  # (M, 1)

    def split(self, sizes: list[int]) -> "tuple[RawSplats, ...]":
        """Return the splats of each object, given how many it has."""
        parts = [getattr(self, each.name).split(sizes) for each in fields(self)]
        return tuple(
            RawSplats(xyz=xyz, sh_dc=sh_dc, scaling=scaling, rotation=rotation, opacity=opacity)
            for xyz, sh_dc, scaling, rotation, opacity in zip(*parts, strict=True)
        )


class SplatDecoder(DecoderTrunk):
    """Decodes a structured latent to splats."""

    offset_perturbation: Tensor  # (S, 3), what spreads the splats of a voxel before any training

    def __init__(self, config: SplatDecoderConfig) -> None:
        super().__init__(config.trunk)
        self.config = config
        dim = config.trunk.dim
        self.norm = Float32LayerNorm(dim, elementwise_affine=False, eps=1e-5)
        self.out_layer = Float32Linear(dim, config.num_splats * sum(WIDTHS))
        self.register_buffer("offset_perturbation", spread(config.num_splats, config.reach))

    def forward(self, latent: SparseTensor) -> RawSplats:
        """Decode a latent ``(N, C)`` to ``N * S`` splats, those of a voxel after each other."""
        return self.raw_splats(self.out_layer(self.norm(self.features(latent))), latent.voxels)

    def raw_splats(self, channels: Tensor, voxels: Voxels) -> RawSplats:
        """Sort the last layer's channels ``(N, 14 S)``, attribute by attribute, into splats."""
        config, gains = self.config, self.config.gains
        offsets, sh_dc, scaling, rotation, opacity = (
            part.reshape(len(part), config.num_splats, -1)
            for part in torch.split(channels, [n * config.num_splats for n in WIDTHS], dim=1)
        )
        offsets = torch.tanh(offsets * gains.xyz + self.offset_perturbation) * (config.reach / 2)
        centers = voxels.coords[:, None, 1:] + 0.5
        return RawSplats(
            xyz=((centers + offsets) / config.trunk.resolution).flatten(0, 1),
            sh_dc=(sh_dc * gains.sh_dc).flatten(0, 1),
            scaling=(scaling * gains.scaling).flatten(0, 1),
            rotation=(rotation * gains.rotation).flatten(0, 1),
            opacity=(opacity * gains.opacity).flatten(0, 1),
        )


@torch.no_grad()
def decode_splats(
    decoder: SplatDecoder, latent: SparseTensor, numbers: Sequence[int] = ()
) -> tuple[Splats, ...]:
    """Decode the splats of each object of a structured latent.

    Args:
        decoder: Of either number of splats per voxel.
        latent: Of one or several objects.
        numbers: By which errors name them; by their places in the latent unless given.

    Raises:
        ShapeError: The latent has other channels.
        VoxelError: An object has no voxels, too many, or some beyond the grid.
        DecodingError: The latent of an object is not finite, or its splats are not.
    """
    decoder.check(latent, numbers)
    sizes = [size * decoder.config.num_splats for size in latent.voxels.sizes]
    parts = decoder(latent).split(sizes)
    return tuple(activated(part, decoder.config.activation) for part in parts)


def spread(num: int, reach: float) -> Tensor:
    """Return numbers ``(S, 3)`` whose tanh puts splats evenly into the middle of their reach."""
    return torch.as_tensor(np.arctanh((2.0 * hammersley(num) - 1.0) / reach), dtype=torch.float32)


def activated(raw: RawSplats, activation: SplatActivation) -> Splats:
    """Return the splats in the object frame that unbounded numbers stand for.

    Raises:
        DecodingError: Some are not finite.
    """
    base = F.softplus(raw.scaling + _inverse_softplus(activation.scale_bias))
    attributes = (
        raw.xyz - CENTER,
        (base.square() + activation.min_scale**2).sqrt(),
        raw.rotation + raw.rotation.new_tensor((1.0, 0.0, 0.0, 0.0)),
        torch.sigmoid(raw.opacity + _logit(activation.opacity_bias))[:, 0],
        raw.sh_dc,
    )
    # Before they leave the device: there it takes a moment, here as long as decoding does.
    if not torch.stack([values.isfinite().all() for values in attributes]).all():
        raise DecodingError(
            "splats must be finite, are not; try bfloat16 or float32 where the model runs in "
            "float16, and check the weights with `sam3d check`"
        )
    means, scales, quats_wxyz, opacities, sh_dc = (
        values.detach().float().cpu().numpy() for values in attributes
    )
    return Splats(
        means=means,
        scales=scales,
        quats_wxyz=quats_wxyz,
        opacities=opacities,
        sh_dc=sh_dc,
        min_scale=activation.min_scale,
    )


def raw_splats_of(splats: Splats, activation: SplatActivation) -> RawSplats:
    """Return the unbounded numbers that stand for splats, float64; the inverse of ``activated``.

    The splats' own smallest scale is in force here, not the activation's.
    """
    base = np.sqrt(splats.scales.astype(np.float64) ** 2 - splats.min_scale**2)
    raw_scales = base + np.log(-np.expm1(-base)) - _inverse_softplus(activation.scale_bias)
    opacities = splats.opacities.astype(np.float64)[:, None]
    logits = np.log(opacities) - np.log1p(-opacities)
    return RawSplats(
        xyz=torch.from_numpy(splats.means.astype(np.float64) + CENTER),
        sh_dc=torch.from_numpy(splats.sh_dc.astype(np.float64)),
        scaling=torch.from_numpy(raw_scales),
        rotation=torch.from_numpy(splats.quats_wxyz - np.array([1.0, 0.0, 0.0, 0.0])),
        opacity=torch.from_numpy(logits - _logit(activation.opacity_bias)),
    )


def _inverse_softplus(value: float) -> float:
    return value + math.log(-math.expm1(-value))


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))
