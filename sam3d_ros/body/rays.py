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

"""What the decoders are told of the camera: where a crop lies in its view, and rays per patch."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.body.architecture import BodyArchitecture
from sam3d_ros.nn.norms import ChannelNorm
from sam3d_ros.nn.vit import NORM_EPS
from sam3d_ros.shapes import check_shape

NUM_BANDS = 16
HIGHEST_BAND = 32.0  # whatever the size of the grid is
NUM_RAY_CHANNELS = 3 * (1 + 2 * NUM_BANDS)


def cliff_condition(centers_px: Tensor, sides_px: Tensor, matrix_px: Tensor) -> Tensor:
    """Return ``(N, 3)``: where crops lie and how large they are, over the focal length (CLIFF).

    Args:
        centers_px: ``(N, 2)`` x, y of the crops in the image.
        sides_px: ``(N,)`` of the crops in the image.
        matrix_px: ``(3, 3)`` of the camera; of its focal lengths the horizontal one counts.
    """
    offsets = centers_px - matrix_px[:2, 2]
    return torch.cat((offsets, sides_px[:, None]), dim=1) / matrix_px[0, 0]


def crop_rays(crop_from_image: Tensor, matrix_px: Tensor, pixels: tuple[Tensor, Tensor]) -> Tensor:
    """Return the rays x / z, y / z ``(N, 2, rows, columns)`` through places of crops.

    Args:
        crop_from_image: ``(N, 2, 3)``, a scale and a shift each.
        matrix_px: ``(3, 3)`` of the camera.
        pixels: x ``(columns,)`` and y ``(rows,)`` of the places, in pixels of the crops.
    """
    check_shape(crop_from_image, "N 2 3", "crop_from_image")
    # In float64, as places far from the principal point lose digits to the differences here.
    affine, matrix = crop_from_image.double(), matrix_px.double()
    x, y = (
        ((places - affine[:, axis, 2:]) / affine[:, axis, axis, None] - matrix[axis, 2])
        / matrix[axis, axis]
        for axis, places in enumerate(pixels)
    )
    shape = (-1, len(pixels[1]), len(pixels[0]))
    rays = torch.stack((x[:, None, :].expand(shape), y[:, :, None].expand(shape)), dim=1)
    return rays.to(crop_from_image.dtype)


def patch_rays(
    crop_from_image: Tensor, matrix_px: Tensor, architecture: BodyArchitecture
) -> Tensor:
    """Return the rays of patches ``(N, 2, h, w)`` of crops with ``crop_from_image`` ``(N, 2, 3)``.

    A patch's ray is the mean over the pixels around it that resizing a map of all rays by an
    antialiased bilinear filter gives. Rays are linear in the pixel, so the mean ray is the one
    through the mean pixel, and no map is needed.
    """
    pixels = torch.arange(architecture.image_size, device=crop_from_image.device).double()
    columns = _patch_means(pixels[architecture.columns], architecture.backbone.patch_size)
    rows = _patch_means(pixels, architecture.backbone.patch_size)
    return crop_rays(crop_from_image, matrix_px, (columns, rows))


def fourier_features(rays: Tensor) -> Tensor:
    """Return ``(N, 99, h, w)`` of rays ``(N, 2, h, w)``: the ray (x, y, 1), sines, cosines.

    Both have 16 frequencies of x, then of y, then of 1.
    """
    rays = torch.cat((rays, torch.ones_like(rays[:, :1])), dim=1)
    bands = math.pi * torch.linspace(1.0, HIGHEST_BAND, NUM_BANDS, device=rays.device)
    angles = (rays[:, :, None] * bands[:, None, None]).flatten(1, 2)
    return torch.cat((rays, angles.sin(), angles.cos()), dim=1)


class RayConditioning(nn.Module):
    """Adds the rays of its patches to the features of an image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + NUM_RAY_CHANNELS, channels, kernel_size=1, bias=False)
        self.norm = ChannelNorm(channels, eps=NORM_EPS)

    def forward(self, features: Tensor, rays: Tensor) -> Tensor:
        """Map features ``(N, C, h, w)`` and rays ``(N, 2, h, w)`` to features."""
        return self.norm(self.conv(torch.cat((features, fourier_features(rays)), dim=1)))


def _patch_means(pixels: Tensor, patch_size: int) -> Tensor:
    """Return the mean pixel of every patch along one axis, as an antialiased resize takes it."""
    size = (1, len(pixels) // patch_size)
    line = pixels[None, None, None]
    return F.interpolate(line, size=size, mode="bilinear", antialias=True)[0, 0, 0]
