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

"""The sizes of nano in one frozen value; weights state theirs in ``architecture.json``."""

from dataclasses import dataclass, field

from sam3d_ros.errors import ConfigError
from sam3d_ros.objects.architecture import GeometryConfig

# Of the codec. On 96 shapes of the training families, fitted to 240 others, distances coded and
# decoded keep a median vIoU of .946 with 32, .963 with 48, .971 with 64, .976 with 80 and .981 with
# 96; those of bowls, cups, mugs, jugs, pans and trays .92 with 64, .93 with 80.
NUM_CHANNELS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class StemConfig:
    """The convolutions from the voxels of a box to condition tokens."""

    channels: tuple[int, ...] = (48, 128, 128)  # at a quarter, an eighth, a sixteenth of the sides
    num_blocks: tuple[int, ...] = (1, 2, 2)  # residual ones there


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerConfig:
    """The second stage: convolutions over all voxels, down and up again."""

    channels: tuple[int, ...] = (32, 64, 160)  # at a half, a quarter, an eighth of the sides
    num_blocks: tuple[int, ...] = (0, 1, 2)  # residual ones there, on the way down


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeArchitecture:
    """All parts of nano."""

    resolution: int = 64  # voxels along a side of the box
    stem: StemConfig = field(default_factory=StemConfig)
    geometry: GeometryConfig = field(
        default_factory=lambda: GeometryConfig(
            dim=192,
            num_blocks=6,
            num_heads=3,
            condition_dim=192 + NUM_CHANNELS,
            resolution=8,
            shape_channels=NUM_CHANNELS,
            token_condition=True,
        )
    )
    refiner: RefinerConfig | None = None  # without it the first stage has the last word

    def __post_init__(self) -> None:
        if not self.geometry.token_condition or self.resolution != 8 * self.geometry.resolution:
            raise ConfigError(
                "nano must have geometry.token_condition and 8 voxels along the sides of its "
                f"tokens, got {self.geometry.token_condition} and {self.resolution} voxels for "
                f"{self.geometry.resolution} tokens"
            )

    @property
    def block(self) -> int:
        """Voxels along the sides of a token."""
        return self.resolution // self.geometry.resolution


def small_architecture(dim: int, channels: int, stem: StemConfig) -> VolumeArchitecture:
    """Return an eighth of nano's voxels, and a tenth of its weights or less.

    Args:
        dim: Width of the blocks.
        channels: Of the latent code of each token.
        stem: What looks at the grid.
    """
    return VolumeArchitecture(
        resolution=32,
        stem=stem,
        geometry=GeometryConfig(
            dim=dim,
            num_blocks=2,
            num_heads=2,
            condition_dim=dim + channels,
            resolution=4,
            shape_channels=channels,
            token_condition=True,
        ),
    )
