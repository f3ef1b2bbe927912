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


"""The refinement model: a transformer from noise to one latent per voxel along the surface.

Convolutions bring voxels to half their resolution, where the transformer works, and back.
Attribute names are those of the released checkpoint.

A step of the flow needs four things, kept apart because they change at different rates: the grid
depends on the voxels alone, the context on the condition alone, the modulation on time alone, the
velocity on the latents. What does not see the condition is computed once for the velocities with
and without it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.attention import CrossContext
from sam3d_ros.nn.embeddings import TimestepEmbedder, position_embedding
from sam3d_ros.nn.linear import Float32Linear
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels
from sam3d_ros.objects.architecture import RefinementConfig
from sam3d_ros.objects.refinement_blocks import RefinementBlock, ResBlock

# What the cross-attention of each block needs of a condition.
RefinementContext = tuple[CrossContext, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RefinementGrid:
    """Where latents and tokens are."""

    voxels: Voxels  # of the latents; tokens are on the halved ones
    positions: Tensor  # (M, D) float32, embedded, of the tokens

    @property
    def tokens(self) -> Voxels:
        """Voxels of the tokens."""
        return self.voxels.halved.coarse


@dataclass(frozen=True, slots=True, eq=False)
class RefinementModulation:
    """What T times of the flow do to the layers."""

    inputs: tuple[Tensor, ...]  # (T, 2, C) for each residual block before the transformer
    blocks: Tensor  # (T, blocks, 6, D)
    outputs: tuple[Tensor, ...]  # as inputs, after the transformer

    def at(self, index: int) -> "RefinementModulation":
        """Return one of the times."""
        one = slice(index, index + 1)
        return RefinementModulation(
            tuple(each[one] for each in self.inputs),
            self.blocks[one],
            tuple(each[one] for each in self.outputs),
        )


@dataclass(frozen=True, slots=True, eq=False)
class EncodedLatents:
    """Latents as the transformer gets them, and what goes around it."""

    fine: Tensor  # (N, C) on the voxels of the latents
    coarse: Tensor  # (M, D) on the voxels of the tokens


class RefinementModel(nn.Module):
    """Velocity of the latents of voxels, given a time and condition tokens."""

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        self.config = config
        dim, io = config.dim, config.io_channels
        self.t_embedder = TimestepEmbedder(dim)
        self.input_layer = Float32Linear(config.latent_channels, io)
        self.input_blocks = nn.ModuleList((ResBlock(io, io, dim), ResBlock(io, dim, dim)))
        self.blocks = nn.ModuleList(RefinementBlock(config) for _ in range(config.num_blocks))
        self.out_blocks = nn.ModuleList((ResBlock(2 * dim, io, dim), ResBlock(2 * io, io, dim)))
        self.out_layer = Float32Linear(io, config.latent_channels)

    def forward(self, x: SparseTensor, time: Tensor, condition: Tensor) -> SparseTensor:
        """Return the velocity of latents, with everything computed on the spot.

        The readable reference of what samplers do with prepared parts; the velocity without
        condition is the one for a ``condition`` of zeros.

        Args:
            x: Latents ``(N, 8)`` of B objects.
            time: ``(B,)`` or ``(1,)``, in thousandths of the flow.
            condition: Tokens ``(B, L, C)``.
        """
        grid, modulation = self.grid(x.voxels), self.modulation(time)
        encoded = self.encode(x.feats, grid, modulation)
        return x.replace(self.velocity(encoded, grid, modulation, self.context(condition)))

    def encode(
        self, latents: Tensor, grid: RefinementGrid, modulation: RefinementModulation
    ) -> EncodedLatents:
        """Bring latents ``(N, 8)`` to where the transformer works; no condition is needed."""
        first, second = _res_blocks(self.input_blocks)
        at_first, at_second = modulation.inputs
        fine = first(SparseTensor(grid.voxels, self.input_layer(latents)), at_first).feats
        pooled = SparseTensor(grid.tokens, grid.voxels.halved.pool(fine))
        return EncodedLatents(fine, second(pooled, at_second).feats)

    def velocity(
        self,
        encoded: EncodedLatents,
        grid: RefinementGrid,
        modulation: RefinementModulation,
        context: RefinementContext,
    ) -> Tensor:
        """Return the velocity ``(N, 8)`` of encoded latents.

        Args:
            encoded: See ``encode``.
            grid: Of the objects' voxels.
            modulation: At one time, or at each object's.
            context: Of every object, or of none.
        """
        tokens = encoded.coarse + grid.positions
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, modulation.blocks[:, index], context[index], grid.tokens)
        return self._decoded(tokens, encoded, grid.voxels, modulation.outputs)

    def grid(self, voxels: Voxels) -> RefinementGrid:
        """Prepare voxels, those of one object or of several."""
        coords = voxels.halved.coarse.coords[:, 1:]
        return RefinementGrid(voxels, position_embedding(coords, self.config.dim))

    def modulation(self, time: Tensor) -> RefinementModulation:
        """Return the modulation at times ``(T,)``."""
        embedding = self.t_embedder(time)
        return RefinementModulation(
            tuple(block.modulation(embedding) for block in _res_blocks(self.input_blocks)),
            torch.stack([block.modulation(embedding) for block in self._blocks()], dim=1),
            tuple(block.modulation(embedding) for block in _res_blocks(self.out_blocks)),
        )

    def context(self, condition: Tensor) -> RefinementContext:
        """Return keys and values of condition tokens ``(B, L, C)`` for every cross-attention."""
        return tuple(block.cross_attn.context(condition) for block in self._blocks())

    def unconditional_context(self) -> RefinementContext:
        """Return the context for no condition, of any number of objects."""
        return tuple(block.cross_attn.unconditional_context() for block in self._blocks())

    def _decoded(
        self,
        tokens: Tensor,
        encoded: EncodedLatents,
        voxels: Voxels,
        modulations: tuple[Tensor, ...],
    ) -> Tensor:
        """Bring tokens ``(M, D)`` back to the voxels of the latents, around the transformer."""
        first, second = _res_blocks(self.out_blocks)
        at_first, at_second = modulations
        both = torch.cat((tokens, encoded.coarse), dim=1)
        h = first.unpooled(both, voxels, at_first)
        h = second(h.replace(torch.cat((h.feats, encoded.fine), dim=1)), at_second)
        feats = h.feats.float()
        return self.out_layer(F.layer_norm(feats, feats.shape[-1:], eps=1e-5))

    def _blocks(self) -> Iterable[RefinementBlock]:
        return cast(Iterable[RefinementBlock], self.blocks)


def _res_blocks(blocks: nn.ModuleList) -> Iterable[ResBlock]:
    return cast(Iterable[ResBlock], blocks)
