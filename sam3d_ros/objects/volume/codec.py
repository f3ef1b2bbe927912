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

"""Signed distances of a box as a few numbers per block, and back: a linear codec.

What 8^3 voxels of a truncated distance look like has few dimensions: mostly a plane somewhere. The
principal components are those about +1, empty space, whose latent is zero; they are whitened, so
that noise and data of a flow have one size.
"""

import torch
from torch import Tensor, nn

from sam3d_ros.errors import ConfigError

EMPTY = 1.0
CONSTANT = 1e-3  # blocks that vary by less say nothing of shape


class LinearCodec(nn.Module):
    """Blocks of truncated distances to latents and back, in float32."""

    def __init__(self, block: int, channels: int) -> None:
        super().__init__()
        self.block = block
        self.components: Tensor  # (C, block^3), orthonormal
        self.deviation: Tensor  # (C,) of the blocks along them
        self.trust: Tensor  # (C,) how much of a guess along them is to be believed
        self.register_buffer("components", torch.zeros(channels, block**3))
        self.register_buffer("deviation", torch.ones(channels))
        self.register_buffer("trust", torch.ones(channels))

    def encode(self, distance: Tensor) -> Tensor:
        """Map distances ``(B, R, R, R)`` to latents ``(B, (R / block)^3, C)``."""
        blocks = blocks_of(distance, self.block).float() - EMPTY
        return blocks @ self.components.float().T / self.deviation.float()

    def encode_guess(self, distance: Tensor) -> Tensor:
        """Map guessed distances to latents that are as large as guesses like it are right.

        A carved guess has creases where objects are smooth: along the components of small
        deviation, whitened, it would be far larger than any truth.
        """
        return self.encode(distance) * self.trust.float()

    def decode(self, latent: Tensor) -> Tensor:
        """Map latents ``(B, L, C)`` to distances ``(B, R, R, R)``."""
        scaled = latent.float() * self.deviation.float()
        return volume_of(scaled @ self.components.float() + EMPTY, self.block)


def blocks_of(volume: Tensor, block: int) -> Tensor:
    """Cut ``(B, R, R, R)`` into ``(B, (R / block)^3, block^3)``, z running fastest in both."""
    cells = volume.shape[1] // block
    parts = volume.reshape(-1, cells, block, cells, block, cells, block)
    return parts.permute(0, 1, 3, 5, 2, 4, 6).reshape(len(volume), cells**3, block**3)


def volume_of(blocks: Tensor, block: int) -> Tensor:
    """Put ``(B, L, block^3)`` together again, ``(B, R, R, R)``."""
    cells = round(blocks.shape[1] ** (1 / 3))
    parts = blocks.reshape(-1, cells, cells, cells, block, block, block)
    side = cells * block
    return parts.permute(0, 1, 4, 2, 5, 3, 6).reshape(len(blocks), side, side, side)


@torch.no_grad()
def fit_codec(codec: LinearCodec, distance: Tensor) -> None:
    """Give a codec the components of some distances ``(N, R, R, R)``, on any device.

    Raises:
        ConfigError: Fewer blocks vary than there shall be components.
    """
    blocks = blocks_of(distance, codec.block).flatten(0, 1).double()
    low, high = blocks.aminmax(dim=1)
    blocks = blocks[high - low > CONSTANT] - EMPTY
    num = len(codec.components)
    if len(blocks) < num:
        raise ConfigError(
            f"a codec of {num} channels must be fitted to at least as many blocks that vary, got "
            f"{len(blocks)}; give it more shapes"
        )
    values, vectors = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
    signs = vectors.sum(dim=0).sign()
    components = (vectors * torch.where(signs == 0, 1.0, signs)).T.flip(0)[:num]
    codec.components.copy_(components)
    codec.deviation.copy_(values.flip(0)[:num].clamp(min=1e-12).sqrt())


@torch.no_grad()
def fit_trust(codec: LinearCodec, guess: Tensor, truth: Tensor) -> None:
    """Have a codec believe guesses ``(N, R, R, R)`` as far as least squares do, by their truth."""
    guessed, true = codec.encode(guess), codec.encode(truth)
    power = guessed.square().sum(dim=(0, 1)).clamp(min=1e-12)
    codec.trust.copy_(((guessed * true).sum(dim=(0, 1)) / power).clamp(0.0, 1.0))
