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

"""The occupancy decoder: 3-D convolutions from the shape latent to logits of occupied voxels.

Modules are named as in the released checkpoint.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.norms import ChannelNorm
from sam3d_ros.objects.architecture import OccupancyConfig

UPSAMPLING = 2  # of each stage after the first


class OccupancyDecoder(nn.Module):
    """Decodes a shape latent to one logit per voxel; above zero is occupied."""

    def __init__(self, config: OccupancyConfig) -> None:
        super().__init__()
        first, last = config.channels[0], config.channels[-1]
        self.input_layer = _conv(config.latent_channels, first)
        self.middle_block = nn.Sequential(
            *(ResidualBlock(first) for _ in range(config.num_middle_blocks))
        )
        self.blocks = nn.Sequential(*_stages(config))
        self.out_layer = nn.Sequential(ChannelNorm(last), nn.SiLU(), _conv(last, 1))

    def forward(self, shape: Tensor) -> Tensor:
        """Map latent tokens ``(B, R^3, C)`` to float32 logits ``(B, S, S, S)`` over x, y, z."""
        batch, num_tokens, channels = shape.shape
        resolution = round(num_tokens ** (1 / 3))
        grid = shape.mT.reshape(batch, channels, resolution, resolution, resolution)
        x = self.input_layer(grid.to(self.input_layer.weight.dtype))
        x = self.blocks(self.middle_block(x))
        return self.out_layer(x)[:, 0].float()


class ResidualBlock(nn.Module):
    """Two pre-normalised convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.norm2 = ChannelNorm(channels)
        self.conv1 = _conv(channels, channels)
        self.conv2 = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, X, Y, Z)`` to the same shape."""
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Upsampling(nn.Module):
    """A convolution that makes the channels of eight finer voxels from each voxel."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = _conv(in_channels, out_channels * UPSAMPLING**3)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, X, Y, Z)`` to ``(B, C', 2 X, 2 Y, 2 Z)``."""
        parts = self.conv(x).unflatten(1, (-1, *(UPSAMPLING,) * 3))  # (B, C', i, j, k, X, Y, Z)
        fine = parts.permute(0, 1, 5, 2, 6, 3, 7, 4)  # (B, C', X, i, Y, j, Z, k)
        return fine.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _stages(config: OccupancyConfig) -> list[nn.Module]:
    """Return residual blocks at each width, with an upsampling from each width to the next."""
    stages: list[nn.Module] = []
    for index, channels in enumerate(config.channels):
        if index > 0:
            stages.append(Upsampling(config.channels[index - 1], channels))
        stages.extend(ResidualBlock(channels) for _ in range(config.num_res_blocks))
    return stages


def _conv(in_channels: int, out_channels: int) -> nn.Conv3d:
    return nn.Conv3d(in_channels, out_channels, kernel_size=3, padding=1)
