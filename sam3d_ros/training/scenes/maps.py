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


"""Operations on batches of small images ``(B, P, P)`` that differ from sample to sample."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.training.scenes.draws import Draws


def picked(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return ``maps[b, rows[b, i], columns[b, j]]`` for ``(B, P, P, ...)`` maps."""
    scene = torch.arange(len(maps), device=maps.device)[:, None, None]
    return maps[scene, rows[:, :, None], columns[:, None, :]]


def waves(draws: Draws, num: int, size: int, knots: int) -> Tensor:
    """Draw smooth fields ``(B, P, P)`` of unit variance, with so many knots a side."""
    coarse = draws.normal((num, 1, knots, knots))
    smooth = F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)[:, 0]
    return smooth / smooth.std(dim=(1, 2), keepdim=True)


def blurred(maps: Tensor, sigma_px: float, radius: int) -> Tensor:
    """Blur maps ``(B, P, P)`` by a Gaussian that ends after ``radius`` pixels; 0 surrounds them."""
    place = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (place / sigma_px).square())
    kernel = kernel / kernel.sum()
    down = F.conv2d(maps[:, None], kernel.view(1, 1, -1, 1), padding=(radius, 0))
    return F.conv2d(down, kernel.view(1, 1, 1, -1), padding=(0, radius))[:, 0]


def most_around(maps: Tensor) -> Tensor:
    """Return the largest of each pixel and its eight neighbours, ``(B, P, P)``."""
    return F.max_pool2d(maps[:, None], 3, stride=1, padding=1)[:, 0]


def above_share(fields: Tensor, share: Tensor) -> Tensor:
    """Return where fields of unit variance ``(B, P, P)`` are in their top ``share`` ``(B,)``."""
    limit = torch.special.ndtri(1.0 - share.clamp(1e-6, 1.0 - 1e-6))
    return fields > limit[:, None, None]
