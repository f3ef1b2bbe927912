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

"""The vision transformer of DINOv2, and the parts that other image encoders are made of, too.

Attribute names are those of the public checkpoints: ``blocks.0.attn.qkv.weight`` and so on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.errors import ShapeError
from sam3d_ros.shapes import check_shape

NORM_EPS = 1e-6  # of all layer norms of DINOv2

# Mean and spread of the colours of ImageNet, which these encoders were trained on.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class VitConfig:
    """Sizes of a vision transformer; the defaults are DINOv2 ViT-L/14 with registers."""

    dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    patch_size: int = 14
    image_size: int = 518  # of the stored position embedding
    num_registers: int = 4
    interpolate_antialias: bool = True  # how the position embedding is resized
    interpolate_offset: float = 0.0

    @property
    def grid_size(self) -> int:
        """Patches along a side of the image that the position embedding is stored for."""
        return self.image_size // self.patch_size


class PatchEmbed(nn.Module):
    """One token per square patch of an image."""

    def __init__(self, dim: int, patch_size: int, padding: int = 0) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size, padding=padding)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 3, H, W)`` to tokens ``(B, rows * columns, D)``, row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, L, D)`` to tokens ``(B, L, D)``."""
        return self._attended(self.qkv(x))

    def first(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, L, D)`` to the first of ``forward``'s, ``(B, 1, D)``, and no other."""
        dim, weight, bias = x.shape[-1], self.qkv.weight, self.qkv.bias
        query = F.linear(x[:, :1], weight[:dim], bias[:dim])
        key_value = F.linear(x, weight[dim:], bias[dim:])
        return self._attended(query, key_value)

    def _attended(self, *projected: Tensor) -> Tensor:
        """Attend with query, key and value, which lie one behind another in the channels."""
        q, k, v = (
            heads.transpose(1, 2)
            for part in projected
            for heads in part.view(*part.shape[:2], -1, self.num_heads, self.head_dim).unbind(2)
        )
        h = F.scaled_dot_product_attention(q, k, v)
        return self.proj(h.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., D)`` to ``(..., D)``."""
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of ``(..., D)``."""
        return x * self.gamma


class Block(nn.Module):
    """Pre-norm transformer block: attention, then MLP, each added to its input."""

    def __init__(
        self, dim: int, num_heads: int, mlp_ratio: float, norm_eps: float = NORM_EPS
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, L, D)`` to tokens ``(B, L, D)``."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ScaledBlock(Block):
    """A block that scales what it adds, channel by channel."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__(dim, num_heads, mlp_ratio)
        self.ls1 = LayerScale(dim)
        self.ls2 = LayerScale(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, L, D)`` to tokens ``(B, L, D)``."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """DINOv2: images to tokens, in the order class token, registers, patches row by row.

    Images are ``(B, 3, H, W)``, normalised by ``normalise_colors``, with sides that are multiples
    of the patch size; they are cast to the type of the weights.
    """

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.config = config
        dim, num_registers = config.dim, config.num_registers
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid_size**2, dim))
        self.register_tokens = (
            nn.Parameter(torch.zeros(1, num_registers, dim)) if num_registers else None
        )
        # Stands for hidden patches in DINOv2's training; stored with the weights, not used here.
        self.mask_token = nn.Parameter(torch.zeros(1, dim))
        self.patch_embed = PatchEmbed(dim, config.patch_size)
        self.blocks = nn.ModuleList(
            ScaledBlock(dim, config.num_heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)

    def forward(self, images: Tensor) -> Tensor:
        """Return the tokens ``(B, L, D)`` after the final norm."""
        return self.norm(self.prenorm_tokens(images))

    def prenorm_tokens(self, images: Tensor) -> Tensor:
        """Return the tokens ``(B, L, D)`` before the final norm."""
        x = self._embed(images)
        for block in self.blocks:
            x = block(x)
        return x

    def last_tokens(self, images: Tensor, num_blocks: int) -> list[Tensor]:
        """Return the tokens after each of the last blocks, all through the final norm."""
        x, tokens = self._embed(images), []
        for num_left, block in zip(range(len(self.blocks), 0, -1), self.blocks, strict=True):
            x = block(x)
            if num_left <= num_blocks:
                tokens.append(self.norm(x))
        return tokens

    def without_registers(self, tokens: Tensor) -> Tensor:
        """Return the class token and the patches of ``tokens`` ``(B, L, D)``."""
        return torch.cat((tokens[:, :1], self.patches(tokens)), dim=1)

    def patches(self, tokens: Tensor) -> Tensor:
        """Return the patches of ``tokens`` ``(B, L, D)``."""
        return tokens[:, 1 + self.config.num_registers :]

    def _embed(self, images: Tensor) -> Tensor:
        grid = self._grid(images)
        patches = self.patch_embed(images.to(self.cls_token.dtype))
        prefix = self.cls_token + self.pos_embed[:, :1]
        if self.register_tokens is not None:  # these have no position
            prefix = torch.cat((prefix, self.register_tokens), dim=1)
        patches = patches + resized_positions(self.pos_embed[:, 1:], grid, self.config)
        return torch.cat((prefix.expand(len(images), -1, -1), patches), dim=1)

    def _grid(self, images: Tensor) -> tuple[int, int]:
        """Return how many rows and columns of patches the images have."""
        sizes, patch = check_shape(images, "B 3 H W", "images"), self.config.patch_size
        if sizes["H"] % patch or sizes["W"] % patch:
            raise ShapeError(
                f"sides of images must be multiples of the patch size {patch}, "
                f"got {sizes['H']} x {sizes['W']}; resize them first"
            )
        return sizes["H"] // patch, sizes["W"] // patch


def normalise_colors(images: Tensor) -> Tensor:
    """Centre and scale the colours of ``(B, 3, H, W)`` in [0, 1] as ImageNet's.

    The constants are no buffers: models are built without memory and filled from files, which
    would leave these empty.
    """
    mean, std = images.new_tensor(IMAGENET_MEAN), images.new_tensor(IMAGENET_STD)
    return (images - mean[:, None, None]) / std[:, None, None]


def resized_positions(positions: Tensor, grid: tuple[int, int], config: VitConfig) -> Tensor:
    """Resize a position embedding ``(1, N, D)`` of a square grid to ``(1, rows * columns, D)``.

    DINOv2 resizes to a size, or, in its older form, by factors: those of a grid that is larger
    by ``interpolate_offset``, which moves all samples a little.
    """
    side = config.grid_size
    if grid == (side, side):
        return positions
    offset = config.interpolate_offset
    image = positions.float().transpose(1, 2).reshape(1, -1, side, side)
    resized = F.interpolate(
        image,
        size=None if offset else grid,
        scale_factor=((grid[0] + offset) / side, (grid[1] + offset) / side) if offset else None,
        mode="bicubic",
        antialias=config.interpolate_antialias,
    )
    return resized.flatten(2).transpose(1, 2).to(positions.dtype)
