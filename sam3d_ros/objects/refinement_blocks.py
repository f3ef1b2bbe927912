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

A modulation is one for all objects of a batch, which are at the same time of the flow when they are
sampled, or one for each. Attribute names are those of the released checkpoint.
"""

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
        """Map features ``(N, I)`` to ``(N, O)``; ``modulation`` is ``(1 or B, 2, O)``."""
        h = self.conv1(x.replace(F.silu(self.norm1(x.feats))))
        return self._added(h, modulation, self.skip_connection(x.feats))

    def unpooled(self, feats: Tensor, voxels: Voxels, modulation: Tensor) -> SparseTensor:
        """Map features ``(M, I)`` of the halved voxels, unpooled to ``voxels``, to ``(N, O)``.

        What works on each voxel alone is done before unpooling, where there are fewer.
        """
        h = self.conv1.unpooled(F.silu(self.norm1(feats)), voxels)
        return self._added(h, modulation, voxels.halved.unpool(self.skip_connection(feats)))

    def _added(self, h: SparseTensor, modulation: Tensor, skipped: Tensor) -> SparseTensor:
        scale, shift = _of_voxels(modulation, h.voxels).unbind(1)
        h = self.conv2(h.replace(F.silu(_modulated(h.feats, shift, scale))))
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
        self, x: Tensor, modulation: Tensor, context: CrossContext, voxels: Voxels
    ) -> Tensor:
        """Map tokens ``(M, D)``, float32, to tokens.

        Args:
            x: One token per voxel.
            modulation: ``(1 or B, 6, D)``.
            context: Of every object, or of none.
            voxels: Of B objects, whose tokens see those of the same object.
        """
        modulation = _of_voxels(modulation, voxels)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation.unbind(1)
        h = self.self_attn(_modulated(x, shift_a, scale_a)[None], voxels.sizes)[0]
        x = torch.addcmul(x, gate_a, h)
        x = self._add_condition(x, context, voxels)
        h = self.mlp(_modulated(x, shift_m, scale_m))
        return torch.addcmul(x, gate_m, h)

    def modulation(self, embedding: Tensor) -> Tensor:
        """Return shifts, scales and gates ``(T, 6, D)`` for time embeddings ``(T, D)``."""
        return self.adaLN_modulation(embedding).unflatten(1, (6, -1))

    def _add_condition(self, x: Tensor, context: CrossContext, voxels: Voxels) -> Tensor:
        if len(context.keys) == 0:
            return x + context.unconditional
        return x + self.cross_attn.in_parts(self.norm2(x)[None], context, voxels.sizes)[0]


def _of_voxels(modulation: Tensor, voxels: Voxels) -> Tensor:
    """Return modulation ``(1, K, C)`` for all voxels, or ``(N, K, C)``, each its object's."""
    return modulation if len(modulation) == 1 else modulation[voxels.coords[:, 0]]


def _modulated(feats: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise features ``(N, C)``, then scale and shift by ``(1 or N, C)``."""
    return modulated_norm(feats[:, None], shift[:, None], scale[:, None])[:, 0]
