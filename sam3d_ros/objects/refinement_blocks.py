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


"""The parts of the refinement model: residual blocks on voxels, transformer blocks on tokens.

All objects of a batch are at the same time of the flow, so that one modulation is for all voxels.
Attribute names are those of the released checkpoint.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.attention import CrossAttention, CrossContext, SelfAttention
from sam3d_ros.nn.linear import FeedForward, Float32Linear, Linear, modulation_layer
from sam3d_ros.nn.norms import Float32LayerNorm, modulated_norm
from sam3d_ros.nn.sparse.convolution import SparseConv
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels
from sam3d_ros.objects.architecture import RefinementConfig


class ResBlock(nn.Module):
    """Two convolutions over voxels, modulated by time, added to what comes in."""

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.norm1 = Float32LayerNorm(in_channels, eps=1e-6)
        self.conv1 = SparseConv(in_channels, out_channels)
        self.conv2 = SparseConv(out_channels, out_channels)
        self.emb_layers = nn.Sequential(nn.SiLU(), Float32Linear(embedding_dim, 2 * out_channels))
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else Linear(in_channels, out_channels)

    def modulation(self, embedding: Tensor) -> Tensor:
        """Return scale and shift ``(T, 2, C)`` for time embeddings ``(T, D)``."""
        return self.emb_layers(embedding).unflatten(1, (2, -1))

    def forward(self, x: SparseTensor, modulation: Tensor) -> SparseTensor:
        """Map features ``(N, I)`` to ``(N, O)``; ``modulation`` is ``(1, 2, O)``."""
        h = self.conv1(x.replace(F.silu(self.norm1(x.feats))))
        return self._added(h, modulation, self.skip_connection(x.feats))

    def unpooled(self, feats: Tensor, voxels: Voxels, modulation: Tensor) -> SparseTensor:
        """Map features ``(M, I)`` of the halved voxels, unpooled to ``voxels``, to ``(N, O)``.

        What works on each voxel alone is done before unpooling, where there are fewer.
        """
        h = self.conv1.unpooled(F.silu(self.norm1(feats)), voxels)
        return self._added(h, modulation, voxels.halved.unpool(self.skip_connection(feats)))

    def _added(self, h: SparseTensor, modulation: Tensor, skipped: Tensor) -> SparseTensor:
        scale, shift = modulation[:, :, None].unbind(1)
        normed = modulated_norm(h.feats[None], shift, scale)[0]
        h = self.conv2(h.replace(F.silu(normed)))
        return h.replace(h.feats + skipped)


class RefinementBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward layers, each added to the tokens."""

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        dim, num_heads = config.dim, config.num_heads
        self.adaLN_modulation = modulation_layer(dim)
        self.self_attn = SelfAttention(dim, num_heads)
        self.norm2 = Float32LayerNorm(dim, eps=1e-6)
        self.cross_attn = CrossAttention(dim, config.condition_dim, num_heads)
        self.mlp = FeedForward(dim, int(dim * config.mlp_ratio))

    def forward(
        self, x: Tensor, modulation: Tensor, context: CrossContext, sizes: Sequence[int]
    ) -> Tensor:
        """Map tokens, float32, to tokens.

        Args:
            x: ``(1, L, D)``, those of all objects.
            modulation: ``(1, 6, D)``.
            context: Of every object, or of none.
            sizes: Number of tokens of each object.
        """
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation[:, :, None].unbind(1)
        h = self.self_attn(modulated_norm(x, shift_a, scale_a), sizes)
        x = torch.addcmul(x, gate_a, h)
        x = self._add_condition(x, context, sizes)
        h = self.mlp(modulated_norm(x, shift_m, scale_m))
        return torch.addcmul(x, gate_m, h)

    def modulation(self, embedding: Tensor) -> Tensor:
        """Return shifts, scales and gates ``(T, 6, D)`` for time embeddings ``(T, D)``."""
        return self.adaLN_modulation(embedding).unflatten(1, (6, -1))

    def _add_condition(self, x: Tensor, context: CrossContext, sizes: Sequence[int]) -> Tensor:
        if len(context.keys) == 0:
            return x + context.unconditional
        return x + self.cross_attn.in_parts(self.norm2(x), context, sizes)
