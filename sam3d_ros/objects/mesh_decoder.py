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

"""The decoder from the structured latent to the features of cubes that a mesh is extracted from.

Attribute names are those of the released checkpoint. Each subdivision cuts every voxel into eight;
the second one ends at 64 times the latent's voxels, which is where memory has its peak.
"""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.linear import Float32Linear
from sam3d_ros.nn.sparse.convolution import SparseConv, gather_conv
from sam3d_ros.nn.sparse.norms import SparseGroupNorm
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels
from sam3d_ros.objects.architecture import MeshDecoderConfig
from sam3d_ros.objects.decoder_trunk import DecoderTrunk

CHILDREN = 8  # of a voxel
ROWS = 2**16  # that the last layer maps at once

# Along one axis, of the first and the second child of a voxel: which taps of a kernel fall into
# the nearer and the farther of the two parents that it reaches, in ascending order.
FOLDING: Final = (
    ((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)),  # parents -1 and 0
    ((1.0, 1.0, 0.0), (0.0, 0.0, 1.0)),  # parents 0 and 1
)


class SparseSilu(nn.Module):
    """SiLU in place, for features that nobody else reads."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Map features ``(N, C)``."""
        return x.replace(F.silu(x.feats, inplace=True))


class SubdividingConv(SparseConv):
    """A convolution of voxels that have been cut into eight with the same features.

    What a kernel of 3 x 3 x 3 sees around a child are the 2 x 2 x 2 parents nearest to it. So the
    taps within each parent are added up first, for each of the eight places a child may have: that
    leaves 8 of 27 products, and the eightfold features are never made.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Map features ``(N, I)`` of voxels to ``(8 N, O)`` of their children."""
        weight, bias = self.conv.weight, self.conv.bias
        feats, neighbours = x.feats.to(weight.dtype), x.voxels.neighbours
        parts = [
            gather_conv(feats, neighbours[:, taps], kernel, bias)
            for taps, kernel in zip(_taps_of_parents(), _folded(weight), strict=True)
        ]
        return SparseTensor(x.voxels.subdivided(), torch.stack(parts, dim=1).flatten(0, 1))


class SubdivisionBlock(nn.Module):
    """Cuts voxels into eight: two normalised convolutions, beside a linear map of the features."""

    def __init__(self, in_channels: int, out_channels: int, num_groups: int) -> None:
        super().__init__()
        self.act_layers = nn.Sequential(SparseGroupNorm(num_groups, in_channels), SparseSilu())
        self.out_layers = nn.Sequential(
            SubdividingConv(in_channels, out_channels),
            SparseGroupNorm(num_groups, out_channels),
            SparseSilu(),
            SparseConv(out_channels, out_channels),
        )
        self.skip_connection = SparseConv(in_channels, out_channels, kernel_size=1)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Map features ``(N, I)`` of voxels to ``(8 N, O)`` of their children."""
        skipped = self.skip_connection(x).feats  # the children's are equal: added to all of them
        fine = self.out_layers(self.act_layers(x))
        fine.feats.unflatten(0, (-1, CHILDREN)).add_(skipped[:, None])
        return fine


class MeshDecoder(DecoderTrunk):
    """Decodes a structured latent to what ``flexicubes.extract_surface`` takes."""

    def __init__(self, config: MeshDecoderConfig) -> None:
        super().__init__(config.trunk)
        self.config = config
        widths = (config.trunk.dim, *config.channels)
        self.upsample = nn.ModuleList(
            SubdivisionBlock(wide, narrow, config.num_groups) for wide, narrow in pairwise(widths)
        )
        self.out_layer = Float32Linear(widths[-1], config.out_channels)

    def inner_modules(self) -> tuple[nn.Module, ...]:
        """Return the modules that compute in the precision of their weights."""
        return (*super().inner_modules(), self.upsample)

    def forward(self, latent: SparseTensor) -> SparseTensor:
        """Decode a latent ``(N, C)`` to features ``(64 N, 101)``, float32, of finer voxels."""
        x = SparseTensor(latent.voxels, self.features(latent))
        for block in self.upsample:
            x = block(x)
        # Without the neighbours of all these voxels, which have served and take much memory.
        voxels, feats = Voxels(x.voxels.coords, x.voxels.sizes), x.feats
        del x
        return SparseTensor(voxels, self._last_layer(feats))

    def _last_layer(self, feats: Tensor) -> Tensor:
        """Map ``(N, C)`` to float32 channels, some rows at a time: they are many to convert."""
        out = feats.new_empty(len(feats), self.out_layer.out_features, dtype=torch.float32)
        for start in range(0, len(feats), ROWS):
            some = slice(start, start + ROWS)
            out[some] = self.out_layer(feats[some])
        return out


@torch.no_grad()
def decode_cubes(
    decoder: MeshDecoder, latent: SparseTensor, numbers: Sequence[int] = ()
) -> SparseTensor:
    """Decode the cubes of each object of a structured latent.

    Memory is in proportion to the voxels of all objects together: one at a time needs the least.

    Args:
        decoder: What decodes.
        latent: Of one or several objects.
        numbers: By which errors name them; by their places in the latent unless given.

    Raises:
        ShapeError: The latent has other channels.
        VoxelError: An object has no voxels, too many, or some beyond the grid.
        DecodingError: The latent of an object is not finite.
    """
    decoder.check(latent, numbers)
    return decoder(latent)


def _folded(weight: Tensor) -> Tensor:
    """Return the kernels of parents ``(8, O, 2, 2, 2, I)`` for each child, of a kernel of taps."""
    folding = torch.tensor(FOLDING, device=weight.device)  # child, parent, tap
    kernels = torch.einsum("oxyzi,aux,bvy,cwz->abcouvwi", weight.float(), folding, folding, folding)
    return kernels.flatten(0, 2).to(weight.dtype)


def _taps_of_parents() -> list[list[int]]:
    """Return which of a voxel's 27 neighbours, itself included, are nearest to each child."""
    pair = range(2)
    return [
        [9 * (a + u) + 3 * (b + v) + (c + w) for u, v, w in product(pair, repeat=3)]
        for a, b, c in product(pair, repeat=3)
    ]
