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

"""The convolutions that turn the voxels of a box into one condition token per block.

Shape is mostly local: convolutions find that out from far fewer examples than attention does. The
coarsest of their three levels sees the whole box.
"""

from torch import Tensor, nn

from sam3d_ros.nn.linear import Linear
from sam3d_ros.objects.volume.architecture import StemConfig

NUM_GROUPS = 8  # of the norms
FINEST = 4  # voxels along the sides of the finest cells


class ResidualBlock(nn.Module):
    """Two convolutions, added to what they see."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(NUM_GROUPS, channels),
            nn.GELU(approximate="tanh"),
            nn.Conv3d(channels, channels, 3, padding=1),
            nn.GroupNorm(NUM_GROUPS, channels),
            nn.GELU(approximate="tanh"),
            nn.Conv3d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, R, R, R)`` to the same shape."""
        return x + self.layers(x)


class VolumeStem(nn.Module):
    """From ``(B, C, R, R, R)`` to tokens ``(B, (R / 8)^3, D)``."""

    def __init__(self, config: StemConfig, in_channels: int, dim: int) -> None:
        super().__init__()
        fine, middle, coarse = config.channels
        num_fine, num_middle, num_coarse = config.num_blocks
        self.fine = nn.Sequential(
            nn.Conv3d(in_channels, fine, FINEST, stride=FINEST), *blocks(fine, num_fine)
        )
        self.middle = nn.Sequential(nn.Conv3d(fine, middle, 2, stride=2), *blocks(middle, 1))
        self.coarse = nn.Sequential(
            nn.Conv3d(middle, coarse, 2, stride=2),
            *blocks(coarse, num_coarse),
            nn.ConvTranspose3d(coarse, middle, 2, stride=2),
        )
        self.last = nn.Sequential(*blocks(middle, num_middle - 1))
        self.out = Linear(middle, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens of blocks, z running fastest, float32."""
        fine = self.fine(x.to(self.out.weight.dtype))
        middle = self.middle(fine)
        middle = self.last(middle + self.coarse(middle))
        return self.out(middle.flatten(2).mT).float()


def blocks(channels: int, num: int) -> list[ResidualBlock]:
    """Return so many blocks."""
    return [ResidualBlock(channels) for _ in range(num)]
