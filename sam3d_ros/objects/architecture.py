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

"""The architecture of SAM 3D Objects in one frozen value; the defaults are the released sizes."""

from dataclasses import dataclass, field

from sam3d_ros.nn.vit import VitConfig

FINEST_LEVEL = 9  # of the depth model's levels of detail, which run from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPatchConfig:
    """The embedder of point maps."""

    dim: int = 512
    input_size: int = 256
    patch_size: int = 8
    num_heads: int = 16
    mlp_ratio: float = 2.0

    @property
    def grid_size(self) -> int:
        """Windows along a side."""
        return self.input_size // self.patch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionConfig:
    """What turns images, masks and point maps into condition tokens."""

    encoder: VitConfig = field(default_factory=VitConfig)
    point_patch: PointPatchConfig | None = field(default_factory=PointPatchConfig)
    prenorm_features: bool = False  # tokens before the encoder's last norm, registers kept
    num_groups: int = 3  # rows of the group embedding: cropped, full, unused
    hidden_multiplier: float = 4.0  # of the projections' width
    hidden_multiple_of: int = 256

    @property
    def embedder_dims(self) -> tuple[int, ...]:
        """Widths of the embedders of images, masks and, where there is one, point maps."""
        points = () if self.point_patch is None else (self.point_patch.dim,)
        return (self.encoder.dim, self.encoder.dim, *points)

    @property
    def width(self) -> int:
        """Channels of the condition tokens."""
        return max(self.embedder_dims)

    @property
    def tokens_per_view(self) -> tuple[int, ...]:
        """Tokens that each embedder makes of one view."""
        prefix = 1 + self.encoder.num_registers if self.prenorm_features else 1
        image = prefix + self.encoder.grid_size**2
        points = () if self.point_patch is None else (self.point_patch.grid_size**2,)
        return (image, image, *points)

    @property
    def num_tokens(self) -> int:
        """Length of the whole sequence: two views of everything."""
        return 2 * sum(self.tokens_per_view)

    @property
    def hidden_dim(self) -> int:
        """Hidden channels of the projections: two thirds, as they are gated, rounded up."""
        hidden, multiple = int(self.hidden_multiplier * self.width * 2 / 3), self.hidden_multiple_of
        return -(-hidden // multiple) * multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometryConfig:
    """The two-stream transformer that makes shape and layout."""

    dim: int = 1024
    num_blocks: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    condition_dim: int = 1024
    resolution: int = 16  # of the shape latent
    shape_channels: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupancyConfig:
    """The decoder from the shape latent to occupied voxels."""

    latent_channels: int = 8
    channels: tuple[int, ...] = (512, 128, 32)
    num_res_blocks: int = 2
    num_middle_blocks: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthModelConfig:
    """MoGe v1, which stands in for depth that is not measured; the defaults are its ViT-L."""

    encoder: VitConfig = field(
        default_factory=lambda: VitConfig(
            num_registers=0, interpolate_antialias=False, interpolate_offset=0.1
        )
    )
    num_features: int = 4  # last blocks of the encoder that the head sees
    projection_dim: int = 512
    upsample_dims: tuple[int, ...] = (256, 128, 64)
    hidden_ratio: int = 2  # of the residual blocks
    num_res_blocks: int = 2
    last_dim: int = 32
    min_tokens: int = 1200  # patches of an image at the coarsest level
    max_tokens: int = 2500
    mask_threshold: float = 0.5

    def num_tokens(self, level: int = FINEST_LEVEL) -> int:
        """Return about how many patches an image is cut into at a level of detail."""
        return int(self.min_tokens + level / FINEST_LEVEL * (self.max_tokens - self.min_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsArchitecture:
    """All parts of SAM 3D Objects, and the depth model that comes before it."""

    image_size: int = 518  # side of every image, mask and point map at a model's input
    geometry_condition: ConditionConfig = field(default_factory=ConditionConfig)
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    occupancy: OccupancyConfig = field(default_factory=OccupancyConfig)
    depth_model: DepthModelConfig = field(default_factory=DepthModelConfig)
