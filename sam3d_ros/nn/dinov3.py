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

"""The vision transformer of DINOv3: turned queries and keys tell where a patch is.

Attribute names are those of the public checkpoints: ``blocks.0.attn.qkv.weight`` and so on.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.errors import ConfigError, ShapeError
from sam3d_ros.nn.vit import LayerScale, PatchEmbed
from sam3d_ros.shapes import check_shape

NORM_EPS = 1e-5  # of all layer norms here
HIDDEN_MULTIPLE = 8
ANGLES_PER_AXIS = 4  # channels of a head for each angle: two axes, each turns pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Dinov3Config:
    """Sizes of a vision transformer; the defaults are DINOv3 ViT-H+/16."""

    dim: int = 1280
    depth: int = 32
    num_heads: int = 20
    mlp_ratio: float = 6.0  # before the two thirds of gated layers
    patch_size: int = 16
    num_storage_tokens: int = 4
    rope_base: float = 100.0  # longest period of the turns

    def __post_init__(self) -> None:
        if self.dim % (self.num_heads * ANGLES_PER_AXIS):
            raise ConfigError(
                f"dim must be a multiple of {ANGLES_PER_AXIS} times num_heads, got dim {self.dim} "
                f"and {self.num_heads} heads"
            )

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.dim // self.num_heads

    @property
    def hidden_dim(self) -> int:
        """Hidden channels of the gated layers."""
        hidden = int(self.mlp_ratio * self.dim * 2 / 3)
        return -(-hidden // HIDDEN_MULTIPLE) * HIDDEN_MULTIPLE


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """How far the pairs of channels of every token are turned; tokens without a place are not."""

    cos: Tensor  # (L, D)
    sin: Tensor  # (L, D)

    def apply(self, x: Tensor) -> Tensor:
        """Turn ``(B, H, L, D)``; channel d makes a pair with d + D / 2."""
        first, second = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat((-second, first), dim=-1) * self.sin


class RotaryEmbedding(nn.Module):
    """Turns that grow with a patch's place in the image, each pair of channels at its own rate."""

    def __init__(self, head_dim: int, base: float) -> None:
        super().__init__()
        self.num_angles, self.base = head_dim // ANGLES_PER_AXIS, base
        # Stored with the weights. Turns are made from the formula instead, as these periods would
        # be rounded with all else where weights are of half precision.
        self.register_buffer("periods", self.exact_periods())

    def exact_periods(self, device: torch.device | str | None = None) -> Tensor:
        """Return the periods ``(A,)``, in halves of the image."""
        return self.base ** (torch.arange(self.num_angles, device=device) / self.num_angles)

    def forward(self, grid: tuple[int, int], num_unplaced: int, like: Tensor) -> Turns:
        """Return the turns of some tokens without a place, then of patches row by row."""
        y, x = (_centers(length, like.device) for length in grid)
        places = torch.cartesian_prod(y, x)  # (rows * columns, 2)
        rates = 2.0 * math.pi / self.exact_periods(like.device)
        angles = (places[:, :, None] * rates).flatten(1).tile(2)
        angles = F.pad(angles, (0, 0, num_unplaced, 0))
        return Turns(angles.cos().to(like.dtype), angles.sin().to(like.dtype))


class KeylessBiasLinear(nn.Linear):
    """The linear layer to queries, keys and values, whose keys have no bias."""

    bias_mask: Tensor  # (3 D,)

    def __init__(self, dim: int) -> None:
        super().__init__(dim, 3 * dim)
        self.register_buffer("bias_mask", self.full_mask())

    def full_mask(self, device: torch.device | str | None = None) -> Tensor:
        """Return what biases are multiplied with ``(3 D,)``."""
        dim = self.in_features
        kept = torch.ones(dim, device=device)
        return torch.cat((kept, torch.zeros_like(kept), kept))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., D)`` to ``(..., 3 D)``."""
        return F.linear(x, self.weight, self.bias * self.bias_mask)


class RotaryAttention(nn.Module):
    """Multi-head self-attention with turned queries and keys."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.qkv = KeylessBiasLinear(dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, turns: Turns) -> Tensor:
        """Map tokens ``(B, L, D)`` to tokens ``(B, L, D)``."""
        heads = self.qkv(x).view(*x.shape[:2], 3, self.num_heads, self.head_dim)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(turns.apply(q), turns.apply(k), v)
        return self.proj(h.transpose(1, 2).flatten(2))


class GatedMlp(nn.Module):
    """Linear layers with a SiLU gate (SwiGLU)."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden_dim)
        self.w2 = nn.Linear(dim, hidden_dim)
        self.w3 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., D)`` to ``(..., D)``."""
        return self.w3(F.silu(self.w1(x)) * self.w2(x))


class RotaryBlock(nn.Module):
    """Pre-norm transformer block: attention, then gated layers, each scaled by channel."""

    def __init__(self, config: Dinov3Config) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.attn = RotaryAttention(config.dim, config.num_heads)
        self.ls1 = LayerScale(config.dim)
        self.norm2 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.mlp = GatedMlp(config.dim, config.hidden_dim)
        self.ls2 = LayerScale(config.dim)

    def forward(self, x: Tensor, turns: Turns) -> Tensor:
        """Map tokens ``(B, L, D)`` to tokens ``(B, L, D)``."""
        x = x + self.ls1(self.attn(self.norm1(x), turns))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Dinov3(nn.Module):
    """DINOv3: normalised images ``(B, 3, H, W)``, cast to the type of the weights, to features."""

    def __init__(self, config: Dinov3Config) -> None:
        super().__init__()
        self.config = config
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.storage_tokens = nn.Parameter(torch.zeros(1, config.num_storage_tokens, config.dim))
        # Stands for hidden patches in DINOv3's training; the release does not store it.
        self.mask_token = nn.Parameter(torch.zeros(1, config.dim))
        self.patch_embed = PatchEmbed(config.dim, config.patch_size)
        self.rope_embed = RotaryEmbedding(config.head_dim, config.rope_base)
        self.blocks = nn.ModuleList(RotaryBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=NORM_EPS)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of patches ``(B, D, rows, columns)`` after the final norm."""
        grid = self._grid(images)
        patches = self.patch_embed(images.to(self.cls_token.dtype))
        unplaced = torch.cat((self.cls_token, self.storage_tokens), dim=1)
        x = torch.cat((unplaced.expand(len(images), -1, -1), patches), dim=1)
        turns = self.rope_embed(grid, unplaced.shape[1], x)
        for block in self.blocks:
            x = block(x, turns)
        return self.norm(x[:, unplaced.shape[1] :]).transpose(1, 2).unflatten(2, grid)

    def _grid(self, images: Tensor) -> tuple[int, int]:
        """Return how many rows and columns of patches the images have."""
        sizes, patch = check_shape(images, "B 3 H W", "images"), self.config.patch_size
        if sizes["H"] % patch or sizes["W"] % patch:
            raise ShapeError(
                f"sides of images must be multiples of the patch size {patch}, "
                f"got {sizes['H']} x {sizes['W']}; resize them first"
            )
        return sizes["H"] // patch, sizes["W"] // patch


def _centers(length: int, device: torch.device) -> Tensor:
    """Return the middles of patches along one axis, of which the image reaches from -1 to 1."""
    return (torch.arange(length, device=device, dtype=torch.float32) + 0.5) / length * 2.0 - 1.0
