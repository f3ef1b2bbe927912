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


"""MoGe v1: a point map from one image, for cameras without depth.

Attribute names are those of its ``model.pt``, so that its tensors load without a key map.
Wang et al., "MoGe: Unlocking Accurate Monocular Geometry Estimation for Open-Domain Images with
Optimal Training Supervision", 2024.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.geometry.depth import unproject
from sam3d_ros.nn.resize import resize_bilinear
from sam3d_ros.nn.vit import IMAGENET_MEAN, IMAGENET_STD, VisionTransformer
from sam3d_ros.objects.architecture import FINEST_LEVEL, DepthModelConfig
from sam3d_ros.objects.focal_shift import recover_focal_shift, recover_shift, view_plane
from sam3d_ros.objects.preprocess import tensor_of
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Camera, EstimatedPoints, Floats

NUM_POSITIONS = 2  # channels that tell where in the image a feature lies
NORM_GROUP = 32  # channels of a group in the residual blocks' second norm


class ResidualBlock(nn.Module):
    """Two normalised convolutions, added to what they saw."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(1, dim),
            nn.ReLU(),
            _conv3(dim, hidden_dim),
            nn.GroupNorm(hidden_dim // NORM_GROUP, hidden_dim),
            nn.ReLU(),
            _conv3(hidden_dim, dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, D, H, W)`` to ``(B, D, H, W)``."""
        return x + self.layers(x)


class UpsampleBlock(nn.Sequential):
    """Doubles rows and columns: a transposed convolution that knows positions, then residuals."""

    def __init__(self, dim_in: int, dim: int, config: DepthModelConfig) -> None:
        upsample = nn.ConvTranspose2d(dim_in + NUM_POSITIONS, dim, kernel_size=2, stride=2)
        residuals = [
            ResidualBlock(dim, config.hidden_ratio * dim) for _ in range(config.num_res_blocks)
        ]
        super().__init__(nn.Sequential(upsample, _conv3(dim, dim)), *residuals)


class Head(nn.Module):
    """From features of the encoder to points and mask at the size of the working image."""

    def __init__(self, config: DepthModelConfig) -> None:
        super().__init__()
        dims = (config.projection_dim, *config.upsample_dims)
        self.projects = nn.ModuleList(
            nn.Conv2d(config.encoder.dim, dims[0], 1) for _ in range(config.num_features)
        )
        self.upsample_blocks = nn.ModuleList(
            UpsampleBlock(dim_in, dim, config) for dim_in, dim in pairwise(dims)
        )
        self.output_block = nn.ModuleList(
            nn.Sequential(
                _conv3(dims[-1] + NUM_POSITIONS, config.last_dim),
                nn.ReLU(),
                nn.Conv2d(config.last_dim, num_channels, 1),
            )
            for num_channels in (3, 1)  # points, mask
        )

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Map features ``(B, D, rows, columns)`` to ``(B, 3, *size)`` and ``(B, 1, *size)``."""
        projected = [layer(x) for layer, x in zip(self.projects, features, strict=True)]
        h = torch.stack(projected).sum(dim=0)
        for block in self.upsample_blocks:
            h = block(_with_positions(h, size))
        h = _with_positions(F.interpolate(h, size, mode="bilinear", align_corners=False), size)
        points, mask = (layer(h) for layer in self.output_block)
        return points, mask


class DepthModel(nn.Module):
    """An image to points (x right, y down, z forward) of unknown scale and offset along z."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: DepthModelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("image_mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("image_std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.backbone = VisionTransformer(config.encoder)
        self.head = Head(config)

    def forward(self, images: Tensor, num_tokens: int) -> tuple[Tensor, Tensor]:
        """Map images ``(B, 3, H, W)`` in [0, 1] to points ``(B, H, W, 3)``, mask ``(B, H, W)``.

        The mask is no probability: it is trained towards 0 and 1, and not bounded by them.
        """
        height, width = images.shape[-2:]
        patch = self.config.encoder.patch_size
        size = working_size(height, width, num_tokens * patch**2)
        rows, columns = size[0] // patch, size[1] // patch
        scaled = F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)
        scaled = (scaled - self.image_mean.float()) / self.image_std.float()
        scaled = resize_bilinear(scaled, (rows * patch, columns * patch))
        features = [
            self.backbone.patches(tokens).mT.reshape(len(images), -1, rows, columns)
            for tokens in self.backbone.last_tokens(scaled, self.config.num_features)
        ]
        points, mask = (
            F.interpolate(h.float(), (height, width), mode="bilinear", align_corners=False)
            for h in self.head(features, size)
        )
        return _from_logarithm(points.movedim(1, -1)), mask[:, 0]


@torch.inference_mode()
def estimate_points(
    model: DepthModel, rgb: Floats, level: int = FINEST_LEVEL, camera: Camera | None = None
) -> EstimatedPoints:
    """Return the points that the depth model sees in an image ``(H, W, 3)`` in [0, 1].

    Args:
        model: Loaded.
        rgb: The image.
        level: Of detail.
        camera: Of the image, without distortion: points lie on the rays of its pixels then.
            Without it the points tell the focal length, and need not quite lie on any rays.

    Raises:
        DepthSparseError: The model takes (almost) nothing in the image for a surface.
    """
    check_shape(rgb, "H W 3", "rgb")
    image = tensor_of(rgb, model.image_mean.device).movedim(-1, 0)[None].float()
    points, mask = (t[0].cpu().numpy() for t in model(image, model.config.num_tokens(level)))
    valid = (mask > model.config.mask_threshold) & np.isfinite(points).all(axis=-1)
    height, width = mask.shape
    if camera is None:
        found = recover_focal_shift(points, valid)
        points[..., 2] += found.shift
        matrix = found.matrix_normalised(height, width)
    else:
        depth = points[..., 2] + recover_shift(points, valid, pixel_rays(camera))
        points = unproject(depth, camera)
        matrix = camera.matrix_px / np.array([[width], [height], [1.0]])
    points[~(valid & (points[..., 2] > 0))] = np.nan
    return EstimatedPoints(points, matrix)


def working_size(height: int, width: int, num_pixels: int) -> tuple[int, int]:
    """Return the size with about ``num_pixels`` and an image's aspect ratio, rounded down."""
    factor = (num_pixels / (height * width)) ** 0.5
    return int(height * factor), int(width * factor)


def _from_logarithm(points: Tensor) -> Tensor:
    """Return points ``(..., 3)`` for rays ``(x / z, y / z)`` and the logarithm of z."""
    z = points[..., 2:].exp()
    return torch.cat((points[..., :2] * z, z), dim=-1)


def _with_positions(x: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Append to ``(B, D, H, W)`` two channels that tell where in the image a pixel lies."""
    height, width = x.shape[-2:]
    plane = torch.from_numpy(view_plane(height, width, image_size[1] / image_size[0])).to(x)
    return torch.cat((x, plane.movedim(-1, 0).expand(len(x), -1, -1, -1)), dim=1)


def _conv3(dim_in: int, dim_out: int) -> nn.Conv2d:
    return nn.Conv2d(dim_in, dim_out, 3, padding=1, padding_mode="replicate")
