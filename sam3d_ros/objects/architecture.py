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

from sam3d_ros.errors import ConfigError
from sam3d_ros.nn.vit import VitConfig

# fmt: off
LATENT_STD = (
    2.37326008, 2.13174402, 2.2413953, 2.30589401, 2.1191894, 1.8969511, 2.41684989, 2.08374642,
)
LATENT_MEAN = (
    0.12211431, 0.37204156, -1.26521907, -2.05276058,
    -3.10432536, -0.11294304, -0.85146744, 0.45506954,
)
# fmt: on

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
    """The two-stream transformer that makes shape and layout.

    With ``token_condition`` the condition is of the very cells of the shape latent. Then it is
    added to the shape tokens before the first block, in place of all cross-attention, and has a
    first guess of the shape latent beside it: ``dim`` channels, then ``shape_channels``. The
    network answers what the data is more than the guess, and the velocity leads there in the time
    that is left. A network that answered velocities would have to let all noise pass through its
    tokens, which are hardly wider than the latent (Li and He, "Back to basics: let denoising
    generative models denoise", 2025).
    """

    dim: int = 1024
    num_blocks: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    condition_dim: int = 1024
    resolution: int = 16  # of the shape latent
    shape_channels: int = 8
    token_condition: bool = False

    def __post_init__(self) -> None:
        expected = self.dim + self.shape_channels
        if self.token_condition and self.condition_dim != expected:
            raise ConfigError(
                f"condition_dim must be {expected} with token_condition, dim and shape_channels "
                f"together, got {self.condition_dim}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupancyConfig:
    """The decoder from the shape latent to occupied voxels."""

    latent_channels: int = 8
    channels: tuple[int, ...] = (512, 128, 32)
    num_res_blocks: int = 2
    num_middle_blocks: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinementConfig:
    """The transformer that makes a latent of every voxel along the surface."""

    dim: int = 1024
    num_blocks: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    condition_dim: int = 1024
    resolution: int = 64  # of the voxels; the transformer works at half of it
    latent_channels: int = 8
    io_channels: int = 128  # of the voxels before and after the transformer
    # Of the latents that decoders take, channel by channel.
    latent_std: tuple[float, ...] = LATENT_STD
    latent_mean: tuple[float, ...] = LATENT_MEAN


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderTrunkConfig:
    """What the decoders of the structured latent have in common."""

    latent_channels: int = 8
    resolution: int = 64  # of the latent's voxels
    dim: int = 768
    num_blocks: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    window: int = 8  # side of the cubes in which voxels attend to each other


@dataclass(frozen=True, slots=True, kw_only=True)
class SplatGains:
    """Factors of what the last layer says of splats; the rates at which they once learned."""

    xyz: float = 1.0
    sh_dc: float = 1.0
    scaling: float = 1.0
    rotation: float = 0.1
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplatActivation:
    """How the attributes of splats follow from unbounded numbers."""

    min_scale: float = 0.0009  # the 3-D filter: no standard deviation is less
    scale_bias: float = 0.004  # standard deviation of a zero, but for the filter
    opacity_bias: float = 0.1  # opacity of a zero


@dataclass(frozen=True, slots=True, kw_only=True)
class SplatDecoderConfig:
    """The decoder from the structured latent to splats."""

    trunk: DecoderTrunkConfig = field(default_factory=DecoderTrunkConfig)
    num_splats: int = 32  # of each voxel
    reach: float = 1.5  # side of the cube that a voxel's splats lie in, in voxels
    gains: SplatGains = field(default_factory=SplatGains)
    activation: SplatActivation = field(default_factory=SplatActivation)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshDecoderConfig:
    """The decoder from the structured latent to the cubes that a mesh is extracted from."""

    trunk: DecoderTrunkConfig = field(default_factory=DecoderTrunkConfig)
    channels: tuple[int, ...] = (192, 96)  # after each subdivision
    num_groups: int = 32  # of the norms
    out_channels: int = 101

    @property
    def resolution(self) -> int:
        """Cubes along a side of the grid."""
        return self.trunk.resolution * 2 ** len(self.channels)


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
    refinement_condition: ConditionConfig = field(
        default_factory=lambda: ConditionConfig(point_patch=None, prenorm_features=True)
    )
    refinement: RefinementConfig = field(default_factory=RefinementConfig)
    splats: SplatDecoderConfig = field(default_factory=SplatDecoderConfig)
    few_splats: SplatDecoderConfig = field(default_factory=lambda: SplatDecoderConfig(num_splats=4))
    mesh: MeshDecoderConfig = field(default_factory=MeshDecoderConfig)
    depth_model: DepthModelConfig = field(default_factory=DepthModelConfig)
