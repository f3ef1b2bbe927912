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

"""The image encoders of SAM 3D Body, and the images that they take.

Attribute names are those of the checkpoints below ``backbone.``.
"""

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from sam3d_ros.body.architecture import BackboneConfig, BackboneKind, BodyArchitecture
from sam3d_ros.nn.dinov3 import Dinov3, Dinov3Config
from sam3d_ros.nn.vit import Block, PatchEmbed, normalise_colors
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.arrays import Bytes

VITH_NORM_EPS = 1e-5
VITH_MLP_RATIO = 4.0
VITH_PADDING = 2  # around images, before they are cut into patches


class Dinov3Backbone(nn.Module):
    """DINOv3, whose tensors lie one name deeper in a checkpoint."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.encoder = Dinov3(
            Dinov3Config(
                dim=config.dim,
                depth=config.depth,
                num_heads=config.num_heads,
                patch_size=config.patch_size,
                num_storage_tokens=config.num_storage_tokens,
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images ``(N, 3, H, W)`` to features ``(N, C, h, w)``."""
        return self.encoder(images)


class VithBackbone(nn.Module):
    """ViT-H as for human meshes (HMR2): a stored embedding tells where a patch is."""

    def __init__(self, config: BackboneConfig, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.patch_embed = PatchEmbed(config.dim, config.patch_size, VITH_PADDING)
        # The first is of a class token that the sequence does not have; it is added to all.
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid[0] * grid[1], config.dim))
        self.blocks = nn.ModuleList(
            Block(config.dim, config.num_heads, VITH_MLP_RATIO, VITH_NORM_EPS)
            for _ in range(config.depth)
        )
        self.last_norm = nn.LayerNorm(config.dim, eps=VITH_NORM_EPS)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images ``(N, 3, H, W)`` to features ``(N, C, h, w)``."""
        patches = self.patch_embed(images.to(self.pos_embed.dtype))
        check_shape(patches, f"N {self.grid[0] * self.grid[1]} C", "patches of images")
        x = patches + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            x = block(x)
        return self.last_norm(x).transpose(1, 2).unflatten(2, self.grid)


Backbone: TypeAlias = Dinov3Backbone | VithBackbone


def build_backbone(architecture: BodyArchitecture) -> Backbone:
    """Build the image encoder of an architecture, without weights."""
    if architecture.backbone.kind is BackboneKind.VITH:
        return VithBackbone(architecture.backbone, architecture.grid)
    return Dinov3Backbone(architecture.backbone)


def model_images(
    crops: Bytes, architecture: BodyArchitecture, device: torch.device | str
) -> Tensor:
    """Return what the encoder takes of square crops ``(N, S, S, 3)``: normalised, float32.

    They cross to the device as bytes.
    """
    size = architecture.image_size
    check_shape(crops, f"N {size} {size} 3", "crops")
    seen = np.ascontiguousarray(crops[:, :, architecture.columns])
    images = torch.from_numpy(seen).to(device).movedim(3, 1).float() / 255.0
    return normalise_colors(images)
