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

"""nano's second stage: what the first one answers, seen once more beside what was measured.

The latent code and the tokens of the first stage know blocks of 8 voxels. Here every voxel of its
answer meets every voxel of the view, so that surfaces come to lie where they were measured.
"""

import torch
from torch import Tensor, nn

from sam3d_ros.objects.volume.architecture import RefinerConfig
from sam3d_ros.objects.volume.stem import ResidualBlock, blocks


class VolumeRefiner(nn.Module):
    """A correction of distances: down to an eighth of the resolution and up again (a U-Net).

    Untrained it corrects nothing.
    """

    def __init__(self, config: RefinerConfig, in_channels: int) -> None:
        super().__init__()
        fine, middle, coarse = config.channels
        num_fine, num_middle, num_coarse = config.num_blocks
        self.fine = _down(in_channels, fine, num_fine)
        self.middle = _down(fine, middle, num_middle)
        self.coarse = _down(middle, coarse, num_coarse)
        self.to_middle = nn.ConvTranspose3d(coarse, middle, 2, stride=2)
        self.middle_again = ResidualBlock(middle)
        self.to_fine = nn.ConvTranspose3d(middle, fine, 2, stride=2)
        self.fine_again = ResidualBlock(fine)
        self.out = nn.ConvTranspose3d(fine, 1, 2, stride=2)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, distance: Tensor, features: Tensor) -> Tensor:
        """Correct distances.

        Args:
            distance: ``(B, R, R, R)``, the first stage's, in truncations.
            features: ``(B, C, R, R, R)``, of the same voxels.

        Returns:
            ``(B, R, R, R)`` float32, in truncations.
        """
        x = torch.cat((distance[:, None], features), dim=1).to(self.out.weight.dtype)
        fine = self.fine(x)
        middle = self.middle(fine)
        middle = self.middle_again(middle + self.to_middle(self.coarse(middle)))
        fine = self.fine_again(fine + self.to_fine(middle))
        return distance + self.out(fine)[:, 0].float()


def _down(before: int, after: int, num_blocks: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(before, after, 2, stride=2), *blocks(after, num_blocks))
