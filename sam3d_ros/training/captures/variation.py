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

"""How a capture might have turned out instead: another mask, depth and plane, or its mirror image.

A few hundred captures are soon known by heart. What is varied is what varies between sensors,
segmenters and tables; what the object is stays.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.errors import ConfigError
from sam3d_ros.objects.volume.view import VolumeView

BLUR_PX = 5  # window within which a mask's outline may move
FIELD_CELLS = 14  # of the smooth random fields, along a side of the crop


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How far captures are varied; the defaults suit depth cameras above tables."""

    mirror: float = 0.5  # probability
    mask_error: float = 0.25  # standard deviation of the outline, in halves of its blur; 0 is none
    depth_noise: float = 0.001  # standard deviation at 1 m, grows with the square of z
    dropout: float = 0.1  # largest share of the readings that get lost, in patches and singly
    plane_lost: float = 0.15  # probability
    plane_offset_m: float = 0.004  # standard deviation
    plane_tilt_rad: float = 0.03  # standard deviation about each axis

    def __post_init__(self) -> None:
        for name in ("mirror", "plane_lost", "dropout"):
            if not 0.0 <= (value := getattr(self, name)) <= 1.0:
                raise ConfigError(f"{name} must be between 0 and 1, got {value}")


NO_VARIATION = Variation(
    mirror=0.0,
    mask_error=0.0,
    depth_noise=0.0,
    dropout=0.0,
    plane_lost=0.0,
    plane_offset_m=0.0,
    plane_tilt_rad=0.0,
)


def mirrored_view(view: VolumeView, which: Tensor) -> VolumeView:
    """Return the views, some of them ``(B,)`` as a mirror beside the camera would show them."""
    side = view.depth_m.shape[-1]
    matrix_px = view.matrix_px.clone()
    matrix_px[:, 0, 2] = (side - 1) - matrix_px[:, 0, 2]
    matrix_px[:, 0, 1] = -matrix_px[:, 0, 1]
    sign = view.up.new_tensor([-1.0, 1.0, 1.0])
    of_three, of_four = which[:, None], which[:, None, None]
    return replace(
        view,
        depth_m=torch.where(of_four, view.depth_m.flip(-1), view.depth_m),
        mask=torch.where(of_four, view.mask.flip(-1), view.mask),
        matrix_px=torch.where(of_four, matrix_px, view.matrix_px),
        up=torch.where(of_three, view.up * sign, view.up),
        plane=torch.where(of_three, view.plane * torch.cat((sign, sign[1:2])), view.plane),
    )


def varied(view: VolumeView, variation: Variation, generator: torch.Generator) -> VolumeView:
    """Return the views with other masks, depth and planes; draws on the generator's device."""
    return replace(
        view,
        mask=_varied_mask(view.mask, variation.mask_error, generator),
        depth_m=_varied_depth(view.depth_m, variation, generator),
        plane=_varied_plane(view, variation, generator),
    )


def _varied_mask(mask: Tensor, error: float, generator: torch.Generator) -> Tensor:
    """Move the outline by smooth amounts: a blurred mask is cut at a smoothly random level.

    A mask that would lose half of its pixels stays as it is.
    """
    if not error:
        return mask
    padding = BLUR_PX // 2
    soft = F.avg_pool2d(mask[:, None].float(), BLUR_PX, 1, padding, count_include_pad=False)[:, 0]
    level = 0.5 + 0.5 * error * _field(mask, generator)
    moved = soft > level.clamp(0.02, 0.98)
    enough = moved.sum(dim=(1, 2)) * 2 >= mask.sum(dim=(1, 2))
    return torch.where(enough[:, None, None], moved, mask)


def _varied_depth(depth_m: Tensor, variation: Variation, generator: torch.Generator) -> Tensor:
    """Add noise and lose readings; the share that gets lost differs from view to view."""
    noise = torch.randn(depth_m.shape, generator=generator, device=depth_m.device)
    noisy_m = depth_m + variation.depth_noise * depth_m.square() * noise
    share = variation.dropout * _uniform(len(depth_m), generator)[:, None, None]
    patches = torch.special.ndtr(_field(depth_m, generator)) < share / 2
    singly = torch.rand(depth_m.shape, generator=generator, device=depth_m.device) < share / 2
    return torch.where(patches | singly, torch.nan, noisy_m)


def _varied_plane(view: VolumeView, variation: Variation, generator: torch.Generator) -> Tensor:
    """Tilt each plane about the point of it below the object, lift it, or take it away."""
    batch = len(view.plane)
    draw = torch.randn(batch, 4, generator=generator, device=view.plane.device)
    normal, offset = view.plane[:, :3], view.plane[:, 3]
    tilted = normal + variation.plane_tilt_rad * (
        draw[:, :3] - (draw[:, :3] * normal).sum(1, keepdim=True) * normal
    )
    tilted = tilted / tilted.norm(dim=1, keepdim=True).clamp(min=1e-9)
    pivot = _object_middle(view)
    pivot = pivot - ((pivot * normal).sum(1) + offset)[:, None] * normal
    lifted = -(tilted * pivot).sum(1) + variation.plane_offset_m * draw[:, 3]
    plane = torch.cat((tilted, lifted[:, None]), dim=1)
    kept = (normal.norm(dim=1) > 0) & (_uniform(batch, generator) >= variation.plane_lost)
    return torch.where(kept[:, None], plane, torch.zeros_like(plane))


def _object_middle(view: VolumeView) -> Tensor:
    """Return the mean known point under each mask, ``(B, 3)``; the origin where none is known."""
    known = view.mask & view.depth_m.isfinite()
    weight = known.float() / known.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    depth_m = torch.where(known, view.depth_m, 0.0)
    side = torch.arange(depth_m.shape[-1]).to(depth_m)
    column = (weight * depth_m * side).sum(dim=(1, 2))
    row = (weight * depth_m * side[:, None]).sum(dim=(1, 2))
    pixels = torch.stack((column, row, (weight * depth_m).sum(dim=(1, 2))), dim=-1)
    return (torch.linalg.inv(view.matrix_px) @ pixels[..., None])[..., 0]


def _field(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return smooth random fields of the crops' size, about normal at every pixel."""
    coarse = torch.randn(
        (len(like), 1, FIELD_CELLS, FIELD_CELLS), generator=generator, device=like.device
    )
    fine = F.interpolate(coarse, size=like.shape[-2:], mode="bicubic", align_corners=False)[:, 0]
    return fine / fine.std(dim=(1, 2), keepdim=True).clamp(min=1e-6)


def _uniform(num: int, generator: torch.Generator) -> Tensor:
    return torch.rand(num, generator=generator, device=generator.device)
