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

"""What people say about a person in a crop: keypoints, and a mask; and where patches lie.

Attribute names are those of the released checkpoints.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from sam3d_ros.nn.norms import ChannelNorm
from sam3d_ros.structures.people import NUM_KEYPOINTS

# Labels of points that are no keypoints. A decoder always gets a point, if need be one that says
# nothing.
NO_PROMPT = -2
NOT_A_KEYPOINT = -1

MASK_CHANNELS = (1, 4, 16, 64, 256)  # each step halves the mask
MASK_NORM_EPS = 1e-6


class FourierPositions(nn.Module):
    """Places in a crop as sines and cosines of random waves (Tancik et al., NeurIPS 2020)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, channels // 2))

    def forward(self, places: Tensor) -> Tensor:
        """Map x, y in [0, 1], ``(..., 2)``, to ``(..., C)``."""
        waves = (2.0 * places - 1.0) @ self.positional_encoding_gaussian_matrix
        angles = 2.0 * math.pi * waves
        return torch.cat((angles.sin(), angles.cos()), dim=-1)

    def grid(self, rows: int, columns: int) -> Tensor:
        """Return what the patches of a square crop get, ``(1, C, rows, columns)``.

        Of a crop that is less wide than high the columns are those in the middle of the square.
        """
        centers = torch.arange(rows, device=self.positional_encoding_gaussian_matrix.device) + 0.5
        y, x = torch.meshgrid(centers / rows, centers / rows, indexing="ij")
        square = self(torch.stack((x, y), dim=-1)).permute(2, 0, 1)[None]
        return middle_columns(square, columns)


class PromptEncoder(nn.Module):
    """Keypoints as vectors, masks as something to add to image features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pe_layer = FourierPositions(channels)
        self.point_embeddings = nn.ModuleList(
            nn.Embedding(1, channels) for _ in range(NUM_KEYPOINTS)
        )
        self.not_a_point_embed = nn.Embedding(1, channels)
        self.invalid_point_embed = nn.Embedding(1, channels)
        self.mask_downscaling = _mask_layers(channels)
        self.no_mask_embed = nn.Embedding(1, channels)

    def forward(self, keypoints: Tensor) -> Tensor:
        """Return vectors ``(N, K, C)`` of keypoints ``(N, K, 3)``.

        Args:
            keypoints: x and y in [0, 1] of the crop, and which of the 70 keypoints that is,
                ``NOT_A_KEYPOINT`` or ``NO_PROMPT``.
        """
        labels = keypoints[..., 2].long()
        kinds = (self.invalid_point_embed, self.not_a_point_embed, *self.point_embeddings)
        table = torch.cat([kind.weight for kind in kinds])
        vectors = table[labels - NO_PROMPT]
        # A point that is no keypoint has no place either, wherever it is said to be.
        return vectors + torch.where((labels >= 0)[..., None], self.pe_layer(keypoints[..., :2]), 0)

    def add_masks(self, features: Tensor, masks: Tensor, scores: Tensor) -> Tensor:
        """Return image features with what masks say of them.

        Args:
            features: ``(N, C, h, w)``.
            masks: ``(N, 1, S, S)`` of the square crops, 1 on the person and 0 beside.
            scores: ``(N,)`` how far to trust each mask; 0 where there is none.
        """
        said = middle_columns(self.mask_downscaling(masks), features.shape[-1])
        scores = scores[:, None, None, None]
        return features + torch.where(scores > 0, scores * said, self._nothing_said())

    def add_no_masks(self, features: Tensor) -> Tensor:
        """Return image features ``(N, C, h, w)`` with what they get where no mask is given."""
        return features + self._nothing_said()

    def _nothing_said(self) -> Tensor:
        return self.no_mask_embed.weight[:, :, None, None]


def middle_columns(grid: Tensor, columns: int) -> Tensor:
    """Return the columns in the middle of ``(..., h, w)``: those that a backbone has seen."""
    margin = (grid.shape[-1] - columns) // 2
    return grid[..., margin : margin + columns]


def no_keypoints(like: Tensor) -> Tensor:
    """Return the prompt ``(N, 1, 3)`` that says nothing, for ``N`` crops like ``(N, ...)``."""
    prompt = like.new_zeros(len(like), 1, 3)
    prompt[..., 2].fill_(NO_PROMPT)
    return prompt


def _mask_layers(channels: int) -> nn.Sequential:
    """Return the layers from a mask to a grid of patches, one sixteenth its size."""
    layers: list[nn.Module] = []
    for fine, coarse in pairwise(MASK_CHANNELS):
        layers.append(nn.Conv2d(fine, coarse, kernel_size=2, stride=2))
        layers.extend((ChannelNorm(coarse, eps=MASK_NORM_EPS), nn.GELU()))
    return nn.Sequential(*layers, nn.Conv2d(MASK_CHANNELS[-1], channels, kernel_size=1))
