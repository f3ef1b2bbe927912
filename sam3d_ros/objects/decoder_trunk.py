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

"""What the decoders of the structured latent share: a transformer over voxels in shifted windows.

Attribute names are those of the released checkpoints. Blocks may be stored in half precision; what
they add up to, norms and the layers at both ends stay in float32.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from sam3d_ros.errors import DecodingError, VoxelError
from sam3d_ros.nn.embeddings import position_embedding
from sam3d_ros.nn.linear import FeedForward, Float32Linear, Linear
from sam3d_ros.nn.norms import Float32LayerNorm
from sam3d_ros.nn.sparse.attention import window_attention
from sam3d_ros.nn.sparse.voxels import SparseTensor, check_occupied
from sam3d_ros.nn.sparse.windows import Windows
from sam3d_ros.objects.architecture import DecoderTrunkConfig
from sam3d_ros.objects.voxels import MAX_VOXELS
from sam3d_ros.shapes import check_shape


class WindowAttention(nn.Module):
    """Attention among the voxels of a window."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.to_qkv = Linear(dim, 3 * dim)
        self.to_out = Linear(dim, dim)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """Map features ``(N, D)`` to ``(N, D)``."""
        qkv = self.to_qkv(x).unflatten(1, (3, self.num_heads, -1))
        return self.to_out(window_attention(qkv, windows).flatten(1))


class DecoderBlock(nn.Module):
    """Attention in windows, then a feed-forward layer, each added to the features."""

    def __init__(self, config: DecoderTrunkConfig) -> None:
        super().__init__()
        self.norm = Float32LayerNorm(config.dim, elementwise_affine=False, eps=1e-6)  # of both
        self.attn = WindowAttention(config.dim, config.num_heads)
        self.mlp = FeedForward(config.dim, int(config.dim * config.mlp_ratio))

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """Map features ``(N, D)``, float32, to the same."""
        x = x + self.attn(self.norm(x), windows)
        return x + self.mlp(self.norm(x))


class DecoderTrunk(nn.Module):
    """Maps a structured latent to features of its voxels."""

    def __init__(self, config: DecoderTrunkConfig) -> None:
        super().__init__()
        self.trunk_config = config
        self.input_layer = Float32Linear(config.latent_channels, config.dim)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.num_blocks))

    def features(self, latent: SparseTensor) -> Tensor:
        """Return features ``(N, D)``, float32, of a latent ``(N, C)``."""
        config, voxels = self.trunk_config, latent.voxels
        x = self.input_layer(latent.feats) + position_embedding(voxels.coords[:, 1:], config.dim)
        for index, block in enumerate(self.blocks):
            shift = config.window // 2 if index % 2 else 0
            x = block(x, voxels.windows(config.window, shift))
        return x

    def inner_modules(self) -> tuple[nn.Module, ...]:
        """Return the modules that compute in the precision of their weights."""
        return (self.blocks,)

    def with_inner_dtype(self, dtype: torch.dtype) -> Self:
        """Store what is between the first and the last layer in ``dtype``, the rest in float32."""
        self.float()
        for module in self.inner_modules():
            module.to(dtype)
        return self

    def check(self, latent: SparseTensor, numbers: Sequence[int] = ()) -> None:
        """Raise unless a latent can be decoded.

        Args:
            latent: Of one or several objects.
            numbers: By which errors name them; by their places in the latent unless given.

        Raises:
            ShapeError: It has other channels.
            VoxelError: An object has no voxels, too many, or some beyond the grid.
            DecodingError: The latent of an object is not finite.
        """
        config, voxels = self.trunk_config, latent.voxels
        check_shape(latent.feats, f"{len(voxels)} {config.latent_channels}", "latent")
        check_occupied(voxels)
        numbers = numbers or range(voxels.num_objects)
        for number, size in zip(numbers, voxels.sizes, strict=True):
            if size > MAX_VOXELS:
                raise VoxelError(
                    f"an object must have at most {MAX_VOXELS} voxels, object {number} has {size}; "
                    "surface_voxels halves an object until it fits"
                )
        if (highest := int(voxels.coords[:, 1:].max())) >= config.resolution:
            raise VoxelError(
                f"coords of voxels must be below {config.resolution}, got up to {highest}; "
                "check that they come from this model's occupancy"
            )
        for number, feats in zip(numbers, latent.objects(), strict=True):
            if not feats.isfinite().all():
                raise DecodingError(
                    f"the structured latent of object {number} must be finite, is not; try "
                    "bfloat16 or float32 where the model runs in float16, or another seed"
                )
