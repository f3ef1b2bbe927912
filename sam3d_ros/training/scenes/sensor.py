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


"""What depth cameras make of exact depth: noise, edges, holes, shadows, bias.

Structured light and stereo measure disparity ``d = f b / z``: an error of disparity, and its
quantisation, grow with ``z^2`` in depth (Khoshelham and Elberink, Sensors 2012).
"""

import torch
from torch import Tensor

from sam3d_ros.training.scenes.cameras import Crops
from sam3d_ros.training.scenes.draws import Draws
from sam3d_ros.training.scenes.maps import above_share, blurred, most_around, picked, waves
from sam3d_ros.training.scenes.recipes import SensorRecipe
from sam3d_ros.training.scenes.rendering import Exact

EDGE_PX = 0.7  # of disparity, between neighbours in the whole image
EDGE_WIDTH_PX = 1.5  # of what is lost or floats at edges, in the whole image
COARSE_PX, FINE_PX = 1 / 8, 1 / 32  # steps of disparity
FATTENED = 0.7  # of pixels at depth steps, in such views
SHINING = 0.7  # highlights above this are lost
RIPPLE_KNOTS, HOLE_KNOTS = 4, 28
SHADOW_PX = 0.5  # of the crop: rays of the second eye closer than this are the same
MAX_M = 6.0
NEAR_STEP = 1.2  # pixels of the image to one of the crop, below which neighbours err together


def measured(draws: Draws, exact: Exact, crops: Crops, recipe: SensorRecipe) -> Tensor:
    """Return depth ``(B, P, P)`` as cameras drawn from a recipe measure it, NaN where unknown."""
    num = len(exact.depth_m)
    focal_baseline = draws.log_uniform((num, 1, 1), *recipe.focal_baseline)
    disparity = focal_baseline / exact.depth_m
    is_edge, disparity = _mixed_edges(draws, disparity, crops, recipe)
    sigma_px = draws.log_uniform((num, 1, 1), *recipe.disparity_noise_px)
    noisy = disparity + sigma_px * _grain(draws, crops)
    coarse = draws.chance((num, 1, 1), recipe.coarse_share)
    step_px = torch.where(coarse, COARSE_PX, FINE_PX)
    noisy = (noisy / step_px).round() * step_px
    lost = _lost(draws, exact, crops, recipe) | (noisy * MAX_M <= focal_baseline)
    share = draws.uniform((num, 1, 1), *recipe.edge_loss) * _thinness(crops)
    lost |= is_edge & (draws.uniform(lost.shape) < share)
    depth_m = focal_baseline / noisy.clamp(min=1e-3)
    constant_m = draws.uniform((num, 1, 1), *recipe.constant_noise_m)
    depth_m = depth_m + constant_m * _grain(draws, crops)
    depth_m = depth_m + _ripple_m(draws, depth_m, recipe)
    return torch.where(lost, torch.nan, depth_m)


def _mixed_edges(
    draws: Draws, disparity: Tensor, crops: Crops, recipe: SensorRecipe
) -> tuple[Tensor, Tensor]:
    """Find depth steps; blur some of their pixels into points that float between the sides."""
    num = len(disparity)
    near, far = most_around(disparity), -most_around(-disparity)
    is_edge = near - far > EDGE_PX * crops.step_px.clamp(min=1.0)[:, None, None]
    fat = draws.chance((num, 1, 1), recipe.fattening_share)
    fat = fat & is_edge & (draws.uniform(disparity.shape) < FATTENED * _thinness(crops))
    disparity = torch.where(fat, near, disparity)
    share = draws.uniform((num, 1, 1), *recipe.flying_share) * _thinness(crops)
    flying = is_edge & (draws.uniform(disparity.shape) < share)
    mixed = torch.lerp(far, near, draws.uniform(disparity.shape))
    return is_edge, torch.where(flying, mixed, disparity)


def _thinness(crops: Crops) -> Tensor:
    """Return how much of a pixel of the crop the edges of the image fill, ``(B, 1, 1)``."""
    return (EDGE_WIDTH_PX / crops.step_px).clamp(max=1.0)[:, None, None]


def _grain(draws: Draws, crops: Crops) -> Tensor:
    """Draw noise of unit variance ``(B, P, P)``: one value for each pixel of the whole image.

    Where the crop is finer than the image its pixels repeat, and matching windows overlap.
    """
    white = draws.normal(crops.inside.shape)
    smooth = blurred(white, 0.7, 2)
    smooth = smooth / smooth.std(dim=(1, 2), keepdim=True)
    near = crops.step_px < NEAR_STEP
    field = torch.where(near[:, None, None], smooth, white)
    own = torch.arange(white.shape[1], device=white.device)
    finer = (crops.step_px < 1.0)[:, None]
    rows = torch.where(finer, (crops.rows - crops.rows[:, :1]).long(), own)
    columns = torch.where(finer, (crops.columns - crops.columns[:, :1]).long(), own)
    return picked(field, rows.clamp(max=len(own) - 1), columns.clamp(max=len(own) - 1))


def _ripple_m(draws: Draws, depth_m: Tensor, recipe: SensorRecipe) -> Tensor:
    """Draw slow waves over the image, which calibration leaves."""
    num, size = depth_m.shape[:2]
    height_m = draws.normal((num, 1, 1), recipe.ripple_m)
    return height_m * depth_m.square() * waves(draws, num, size, RIPPLE_KNOTS)


def _lost(draws: Draws, exact: Exact, crops: Crops, recipe: SensorRecipe) -> Tensor:
    """Return which pixels have no reading: outside, edge-on, shadowed, shining, or just so."""
    num, size = exact.depth_m.shape[:2]
    lost = ~crops.inside | ~exact.depth_m.isfinite()
    lost |= exact.cosine < draws.uniform((num, 1, 1), *recipe.grazing_cosine)
    baseline_m = draws.uniform((num, 1, 1), *recipe.baseline_m)
    shadowed = draws.chance((num, 1, 1), recipe.shadow_share)
    lost |= shadowed & in_shadow(exact.depth_m, crops, baseline_m)
    shining = draws.chance((num, 1, 1), recipe.shine_share)
    lost |= shining & (exact.highlight > SHINING)
    share = draws.uniform((num,), *recipe.hole_share)
    return lost | above_share(waves(draws, num, size, HOLE_KNOTS), share)


def in_shadow(depth_m: Tensor, crops: Crops, baseline_m: Tensor) -> Tensor:
    """Return which pixels ``(B, P, P)`` a second eye, ``baseline_m`` to the right, cannot see.

    A pixel is hidden where one to its right lies, for the second eye, to its left.
    """
    focal_px = crops.matrix_px[:, 0, 0].view(-1, 1, 1)
    second = crops.u[:, None] - focal_px * baseline_m / depth_m
    leftmost = second.flip(2).cummin(dim=2).values.flip(2)
    return leftmost < second - SHADOW_PX
