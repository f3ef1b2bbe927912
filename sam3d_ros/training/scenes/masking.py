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


"""Masks as segmenters draw them, and colour that is not quite registered to the depth."""

import torch
from torch import Tensor

from sam3d_ros.training.scenes.draws import Draws
from sam3d_ros.training.scenes.maps import above_share, blurred, picked, waves
from sam3d_ros.training.scenes.recipes import MaskRecipe

FINE_PX, GROSS_PX = 1.5, 4.0  # blurs whose levels are outlines farther out or in
FINE_RADIUS, GROSS_RADIUS = 4, 9  # no outline moves farther, in pixels
MAX_SHIFT_PX = 4
LEVELS = (0.02, 0.98)
RAGGED_KNOTS, BITE_KNOTS = 24, 5
BITE_SHARE = (0.02, 0.25)  # of the crop, in patches of which one may lie on the object
MIN_LEFT = 0.4  # of the object: an error that takes more is none


def masked(draws: Draws, exact: Tensor, recipe: MaskRecipe) -> Tensor:
    """Return masks ``(B, P, P)`` with the errors of a recipe; exact ones are ``(B, P, P)`` bool."""
    num, size = exact.shape[:2]
    gross = draws.chance((num,), recipe.gross_share)
    grown_px = draws.normal((num,), recipe.grown_px)
    grown_px = torch.where(
        gross, draws.uniform((num,), -recipe.gross_px, recipe.gross_px), grown_px
    )
    wander_px = draws.uniform((num, 1, 1), *recipe.ragged_px) * waves(
        draws, num, size, RAGGED_KNOTS
    )
    soft = exact.to(wander_px)
    outline = (grown_px[:, None, None] + wander_px).to(soft)
    fine = blurred(soft, FINE_PX, FINE_RADIUS) > _level(outline / FINE_PX)
    wide = blurred(soft, GROSS_PX, GROSS_RADIUS) > _level(outline / GROSS_PX)
    result = torch.where(gross[:, None, None], wide, fine)
    bitten = draws.chance((num, 1, 1), recipe.bitten_share)
    bite = above_share(waves(draws, num, size, BITE_KNOTS), draws.uniform((num,), *BITE_SHARE))
    result = result & ~(bitten & bite)
    left = (result & exact).sum(dim=(1, 2)) >= MIN_LEFT * exact.sum(dim=(1, 2))
    return torch.where(left[:, None, None], result, exact)


def shifts(draws: Draws, num: int, step_px: Tensor, recipe: MaskRecipe) -> Tensor:
    """Draw by how many pixels colour and mask are off the depth, ``(B, 2)`` integers.

    Args:
        draws: The batch's.
        num: B.
        step_px: ``(B,)`` pixels of the image to one of the crop: no shift is less than one.
        recipe: Of the mask.
    """
    sigma_px = recipe.shift_px * (1.0 / step_px).clamp(min=1.0)
    drawn = draws.normal((num, 2)) * sigma_px[:, None]
    return drawn.round().clamp(-MAX_SHIFT_PX, MAX_SHIFT_PX).long()


def shifted(maps: Tensor, by_px: Tensor) -> Tensor:
    """Return maps ``(B, P, P, ...)`` moved by ``(B, 2)`` pixels; the border repeats."""
    place = torch.arange(maps.shape[1], device=maps.device)
    rows, columns = ((place - by_px[:, axis, None]).clamp(0, len(place) - 1) for axis in (0, 1))
    return picked(maps, rows, columns)


def _level(outline: Tensor) -> Tensor:
    """Return the level of a blurred half-plane so many standard deviations outside of its edge."""
    return torch.special.ndtr(-outline).clamp(*LEVELS)
