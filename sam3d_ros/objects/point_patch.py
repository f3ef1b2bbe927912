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

"""The embedder of point maps: one token per window of pixels, aware of what is not known."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.linear import Float32Linear
from sam3d_ros.nn.vit import Block
from sam3d_ros.objects.architecture import PointPatchConfig


class WindowBlock(Block):
    """A transformer block of which only the first token is wanted, and so computed."""

    def forward(self, x: Tensor) -> Tensor:
        """Map windows of tokens ``(N, L, D)`` to their first tokens ``(N, D)``."""
        first = x[:, :1] + self.attn.first(self.norm1(x))
        return (first + self.mlp(self.norm2(first))).squeeze(1)


class PointPatchEmbedder(nn.Module):
    """Point maps to tokens: one class token per window, which has looked at the window's points."""

    def __init__(self, config: PointPatchConfig) -> None:
        super().__init__()
        self.config = config
        dim, side = config.dim, config.grid_size
        # In bfloat16 a coordinate would have 8 bits, less than a depth camera gives.
        self.point_proj = Float32Linear(3, dim)
        self.invalid_xyz_token = nn.Parameter(torch.zeros(dim))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, 1 + config.patch_size**2, dim))
        self.blocks = nn.ModuleList([WindowBlock(dim, config.num_heads, config.mlp_ratio)])
        self.pos_embed = nn.Parameter(torch.zeros(1, dim, side, side))

    def forward(self, points: Tensor) -> Tensor:
        """Map point maps ``(B, 3, H, W)``, not finite where unknown, to tokens ``(B, L, D)``."""
        pixels = self._pixels(self._windows(points))
        cls_token = self.cls_token.expand(len(pixels), -1, -1)
        x = torch.cat((cls_token, pixels), dim=1) + self.pos_embed_window
        for block in self.blocks:
            x = block(x)
        positions = self.pos_embed.flatten(2).transpose(1, 2)
        return x.view(len(points), *positions.shape[1:]) + positions

    def _windows(self, points: Tensor) -> Tensor:
        """Return the resized maps as windows of pixels, ``(B * L, pixels, 3)``, row by row."""
        config = self.config
        points = F.interpolate(points, size=(config.input_size, config.input_size), mode="nearest")
        side, patch = config.grid_size, config.patch_size
        windows = points.reshape(-1, 3, side, patch, side, patch).permute(0, 2, 4, 3, 5, 1)
        return windows.reshape(-1, patch * patch, 3)

    def _pixels(self, points: Tensor) -> Tensor:
        """Embed points ``(..., 3)``; all that are not finite get one token of their own."""
        dtype = self.invalid_xyz_token.dtype
        # A point may be finite, but not in half precision.
        valid = points.to(dtype).isfinite().all(dim=-1, keepdim=True)
        embedded = self.point_proj(torch.where(valid, points, 0.0))
        return torch.where(valid, embedded.to(dtype), self.invalid_xyz_token)
