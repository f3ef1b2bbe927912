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

"""nano: the geometry model of SAM 3D at a small size, told voxel by voxel what a depth image says.

The shape latent is a linear code of the distances in the box. What is measured, continued straight
back into the unseen, is coded, too: the guess that the flow starts from knowing.
"""

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.volume.architecture import RefinerConfig, VolumeArchitecture
from sam3d_ros.objects.volume.codec import LinearCodec
from sam3d_ros.objects.volume.features import (
    CHANNELS,
    HEIGHT_UNIT,
    NUM_CHANNELS,
    volume_features,
)
from sam3d_ros.objects.volume.refiner import VolumeRefiner
from sam3d_ros.objects.volume.stem import VolumeStem
from sam3d_ros.objects.volume.view import TRUNCATION, VolumeBox, VolumeView

REFINER = "refiner."  # what the names of the second stage's weights begin with


class NanoModel(nn.Module):
    """All networks of nano, and its codec."""

    def __init__(self, architecture: VolumeArchitecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or VolumeArchitecture()
        geometry = self.architecture.geometry
        self.stem = VolumeStem(self.architecture.stem, NUM_CHANNELS + 1, geometry.dim)
        self.geometry = GeometryModel(geometry)
        self.codec = LinearCodec(self.architecture.block, geometry.shape_channels)
        refiner = self.architecture.refiner
        self.refiner = None if refiner is None else _refiner(refiner)

    def with_inner_dtype(self, dtype: torch.dtype) -> Self:
        """Let all but the codec compute in another precision."""
        self.stem.to(dtype)
        self.geometry.to(dtype)
        if self.refiner is not None:
            self.refiner.to(dtype)
        return self

    def add_refiner(self, config: RefinerConfig, seed: int) -> None:
        """Give a model without second stage one that is yet to learn."""
        self.architecture = replace(self.architecture, refiner=config)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            refiner = _refiner(config)
        self.refiner = refiner.to(next(self.stem.parameters()))

    def condition(self, view: VolumeView, box: VolumeBox) -> Tensor:
        """Return the tokens ``(B, L, D + C)`` of what views show of boxes."""
        return self.tokens(self.features(view, box))

    def features(self, view: VolumeView, box: VolumeBox) -> Tensor:
        """Return what views show of boxes, voxel by voxel; see ``volume_features``."""
        with torch.autocast(view.depth_m.device.type, enabled=False):  # geometry needs its digits
            return volume_features(view, box, self.architecture.resolution)

    def tokens(self, features: Tensor) -> Tensor:
        """Return the tokens ``(B, L, D + C)`` of features."""
        with torch.autocast(features.device.type, enabled=False):
            guess = carved(features)
            coded = self.codec.encode_guess(guess)
        added = self.stem(_with_guess(features, guess))
        return torch.cat((added.float(), coded), dim=2)

    def velocity(
        self,
        x: GeometryLatents,
        time: Tensor,
        condition: Tensor,
        step_size: Tensor | None = None,
    ) -> GeometryLatents:
        """Return the velocity of latents; see ``GeometryModel.forward``."""
        velocity: GeometryLatents = self.geometry(x, time, condition, step_size)
        return velocity

    def encode(self, distance: Tensor) -> Tensor:
        """Return the shape latents of distances ``(B, R, R, R)``."""
        return self.codec.encode(distance)

    def decode(self, shape: Tensor) -> Tensor:
        """Return the distances ``(B, R, R, R)`` of shape latents."""
        return self.codec.decode(shape)

    def refined(self, distance: Tensor, features: Tensor) -> Tensor:
        """Return what the second stage makes of distances ``(B, R, R, R)`` and features.

        Without a second stage they stay as they are.
        """
        if self.refiner is None:
            return distance
        refined: Tensor = self.refiner(distance, _with_guess(features, carved(features)))
        return refined


def _refiner(config: RefinerConfig) -> VolumeRefiner:
    return VolumeRefiner(config, 1 + NUM_CHANNELS + 1)  # the first answer, features, the guess


def _with_guess(features: Tensor, guess: Tensor) -> Tensor:
    return torch.cat((features, guess[:, None]), dim=1)


def carved(features: Tensor) -> Tensor:
    """Return the distances ``(B, R, R, R)`` of all that may be the object, in [-1, 1].

    That lies behind the measured surface in the pixels of the mask, and above the support. Beside
    the mask nothing is, but where a depth is missing or nearer: whatever hides the object may.
    """
    channel = {name: features[:, index] for index, name in enumerate(CHANNELS)}
    mask = channel["mask"]
    beside = (1.0 - 2.0 * mask).clamp(-1.0, 1.0)  # a ramp of a pixel
    behind = torch.where(channel["valid"] > 0, channel["distance"], -1.0)
    below = channel["has_plane"] * -channel["height"] * (HEIGHT_UNIT / TRUNCATION)
    below = torch.where(channel["has_plane"] > 0, below, -1.0)
    return torch.maximum(torch.maximum(beside, behind), below).clamp(-1.0, 1.0)


def untrained(seed: int, architecture: VolumeArchitecture | None = None) -> NanoModel:
    """Return a model whose network answers zeros, so that it reconstructs the guess.

    The state of torch's own generator stays as it was.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = NanoModel(architecture)
    for name, parameter in model.geometry.named_parameters():
        if "adaLN_modulation" in name or "out_layer" in name:
            nn.init.zeros_(parameter)
    return model
