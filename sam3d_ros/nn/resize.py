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

"""Resizing as torchvision does it, in plain torch, and point maps whose unknown stays unknown."""

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]  # height, width


def resize_bilinear(image: Tensor, size: Size) -> Tensor:
    """Resize ``(B, C, H, W)`` to ``size`` with a triangle filter as wide as a target pixel.

    This is torchvision's ``resize(..., antialias=True)``; enlarging is plain bilinear.
    """
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def resize_nearest(image: Tensor, size: Size) -> Tensor:
    """Resize ``(B, C, H, W)`` to ``size``: target ``i`` is source ``floor(i * in / out)``."""
    return F.interpolate(image, size=size, mode="nearest")


def resize_point_map(points: Tensor, size: Size) -> Tensor:
    """Resize ``(B, 3, H, W)`` to ``size``; NaN marks pixels without a point, before and after.

    Numbers are interpolated with 0 in place of NaN, and which pixels are NaN is taken from the
    nearest one. Beside a gap the points therefore lean towards the origin, as they did in training.
    """
    unknown = points.isnan().any(dim=1, keepdim=True)
    resized = resize_bilinear(points.nan_to_num(nan=0.0, posinf=torch.inf, neginf=-torch.inf), size)
    resized_unknown = resize_nearest(unknown.to(points.dtype), size) > 0
    return resized.masked_fill(resized_unknown, torch.nan)
