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

"""The architecture of SAM 3D Body in one frozen value; the defaults are the DINOv3 release."""

from dataclasses import dataclass, field
from enum import StrEnum

from sam3d_ros.errors import ConfigError

NUM_RIG_PARAMETERS = 204  # translation 3, rotation 3, pose 130, scales 68
NUM_BODY_PARAMETERS = 133  # angles and translations of a body, jaw included
NUM_RIG_SCALES = 68
NUM_SCALES = 28  # components that the 68 are made of
NUM_IDENTITIES = 45
NUM_EXPRESSIONS = 72
NUM_REGRESSED = 308  # keypoints that the rig's mapping makes; the first are those of the model
NUM_HAND_VALUES = 54  # continuous values of one hand
NUM_POSE_VALUES = 519  # what a pose head answers
NUM_CAMERA_VALUES = 3


class BackboneKind(StrEnum):
    """Which image encoder a checkpoint has, as ``model_config.yaml`` calls it."""

    DINOV3 = "dinov3_vith16plus"
    VITH = "vit_hmr_512_384"  # sees three quarters of a crop's width


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """Sizes of an image encoder; the defaults are DINOv3 ViT-H+/16."""

    kind: BackboneKind = BackboneKind.DINOV3
    dim: int = 1280
    depth: int = 32
    num_heads: int = 20
    patch_size: int = 16
    num_storage_tokens: int = 4  # of DINOv3


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyDecoderConfig:
    """Sizes of the two promptable decoders, of bodies and of hands."""

    dim: int = 1024
    depth: int = 6
    num_heads: int = 8
    head_dim: int = 64
    mlp_dim: int = 1024
    hand_scale: float = 10.0  # how much nearer the camera head of hands takes a crop to be


@dataclass(frozen=True, slots=True, kw_only=True)
class RigConfig:
    """Sizes of the MHR rig in which releases of it may differ; the defaults are LOD 1."""

    num_vertices: int = 18439
    num_triangles: int = 36874


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyArchitecture:
    """All parts of SAM 3D Body."""

    image_size: int = 512  # side of a square crop
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    decoder: BodyDecoderConfig = field(default_factory=BodyDecoderConfig)
    rig: RigConfig = field(default_factory=RigConfig)

    def __post_init__(self) -> None:
        multiple = self.backbone.patch_size * (8 if self.margin else 1)
        if self.image_size % multiple:
            raise ConfigError(f"image_size must be a multiple of {multiple}, got {self.image_size}")

    @property
    def margin(self) -> int:
        """Columns of a crop that the backbone does not see, on each of both sides."""
        return self.image_size // 8 if self.backbone.kind is BackboneKind.VITH else 0

    @property
    def columns(self) -> slice:
        """Columns of a crop that the backbone sees."""
        return slice(self.margin, self.image_size - self.margin)

    @property
    def side(self) -> int:
        """Patches along a side of a whole crop."""
        return self.image_size // self.backbone.patch_size

    @property
    def grid_columns(self) -> slice:
        """Columns of the grid of a whole crop's patches that the backbone sees."""
        margin = self.margin // self.backbone.patch_size
        return slice(margin, self.side - margin)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the image features."""
        return self.side, len(range(self.side)[self.grid_columns])


def released_architecture(kind: BackboneKind) -> BodyArchitecture:
    """Return the sizes of a released checkpoint."""
    if kind is BackboneKind.VITH:
        return BodyArchitecture(backbone=BackboneConfig(kind=kind, num_heads=16))
    return BodyArchitecture()
