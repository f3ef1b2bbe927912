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

"""How good candidates are, 0 to 1: by the truth where it is known, else by what the camera saw.

The second is the likelihood of ``geometry.registration.agreement`` for volumes, batched: pixels of
both silhouettes count by how well their depth fits, over the pixels of either. A body that fills
free space covers pixels beside the mask, or stands before what was measured: both cost it.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.errors import TrainingError
from sam3d_ros.geometry.noise import FLOOR_M, PER_SQUARE_METRE
from sam3d_ros.geometry.registration.agreement import TOLERANCE_SHARE, TOLERANCE_SIGMAS
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView
from sam3d_ros.training.engine.candidates import Candidates
from sam3d_ros.training.engine.cases import Cases
from sam3d_ros.training.validation import viou

RADIUS = 0.3  # of an object, in sides of its box, as boxes are laid
PIXEL_STEP = 2  # every other pixel along each axis is looked at
HALF_DIAGONAL = 0.87  # of a box, in its sides
ALONG = 0.5  # truncations
HALF_RIGHT = 0.5  # what a pixel without a reading counts


class Judge(Protocol):
    """Scores candidates."""

    name: str

    def __call__(self, cases: Cases, candidates: Candidates) -> Tensor:
        """Return scores ``(B, N)`` from 0 to 1."""
        ...


class TruthJudge:
    """The mean of volume IoU and of how close the surfaces are."""

    name = "truth"

    def __call__(self, cases: Cases, candidates: Candidates) -> Tensor:
        """Compare candidates with the truth; see ``Judge``.

        Raises:
            TrainingError: The truth is not known.
        """
        truth = known_truth(cases)
        num = candidates.distance.shape[1]
        predicted = candidates.distance.flatten(0, 1)
        true = truth.repeat_interleave(num, dim=0)
        scores = (viou(predicted, true) + closeness(predicted, true)) / 2
        return scores.reshape(-1, num)


class ViewJudge:
    """The likelihood of depth, silhouette and free space."""

    name = "view"

    def __call__(self, cases: Cases, candidates: Candidates) -> Tensor:
        """Compare candidates with what was measured; see ``Judge``."""
        scores = [
            agreements(cases.view, cases.box, candidates.distance[:, index])
            for index in range(candidates.distance.shape[1])
        ]
        return torch.stack(scores, dim=1)


JUDGES: dict[str, type[TruthJudge] | type[ViewJudge]] = {"truth": TruthJudge, "view": ViewJudge}


def known_truth(cases: Cases) -> Tensor:
    """Return the true distances.

    Raises:
        TrainingError: They are not known.
    """
    if cases.truth is None:
        raise TrainingError(
            f"{cases.names[0]} has no truth to judge by; judge by the view (--judge view), or by "
            "eye (--sheets, then sam3d engine choices)"
        )
    return cases.truth


def closeness(first: Tensor, second: Tensor) -> Tensor:
    """Return one less the mean difference of truncated distances along either surface, ``(B,)``.

    Along a surface are the voxels within half a truncation of it. Surfaces that are a truncation
    apart everywhere, or one that is missing, give less than a half.
    """
    along = (first.abs() < ALONG) | (second.abs() < ALONG)
    difference = ((first - second).abs() * along).flatten(1).sum(dim=1)
    return (1.0 - difference / along.flatten(1).sum(dim=1).clamp(min=1)).clamp(min=0.0)


def agreements(view: VolumeView, box: VolumeBox, distance: Tensor) -> Tensor:
    """Return how well one body a view, ``(B, R, R, R)``, agrees with it, ``(B,)`` from 0 to 1."""
    shown = view.mask[:, ::PIXEL_STEP, ::PIXEL_STEP]
    measured_m = view.depth_m[:, ::PIXEL_STEP, ::PIXEL_STEP]
    rendered_m = depths_of(view, box, distance)
    hit = rendered_m.isfinite()
    sigma_m = FLOOR_M + PER_SQUARE_METRE * measured_m.square()
    voxel_m = box.side_m[:, None, None] / distance.shape[-1]
    floor_m = torch.hypot(TOLERANCE_SHARE * RADIUS * box.side_m[:, None, None], voxel_m)
    tolerance_m = torch.hypot(TOLERANCE_SIGMAS * sigma_m, floor_m.expand_as(sigma_m))
    # Beside the mask, something nearer than the body hides it.
    hidden = ~shown & (measured_m < rendered_m - tolerance_m)
    judged = hit & ~hidden
    off = (rendered_m - measured_m) / tolerance_m
    right = (1.0 - off.square().clamp(max=1.0)).nan_to_num(nan=HALF_RIGHT)
    both = judged & shown
    either = (judged | shown).sum(dim=(1, 2)).clamp(min=1)
    return (right * both).sum(dim=(1, 2)) / either


def depths_of(view: VolumeView, box: VolumeBox, distance: Tensor) -> Tensor:
    """Return the depth at which every other pixel's ray meets a body; NaN where it passes by.

    Rays advance by a voxel; between two samples of different sign the depth is interpolated.
    """
    size, resolution = view.depth_m.shape[-1], distance.shape[-1]
    pixels = torch.arange(0, size, PIXEL_STEP).to(view.depth_m)
    v, u = torch.meshgrid(pixels, pixels, indexing="ij")
    homogeneous = torch.stack((u, v, torch.ones_like(u)), dim=-1).reshape(-1, 3)
    rays = homogeneous @ torch.linalg.inv(view.matrix_px).mT  # (B, N, 3), z = 1
    directions = (rays @ box.rotation) / box.side_m[:, None, None]
    origin = -(box.centre_m[:, None] @ box.rotation) / box.side_m[:, None, None]
    num_steps = int(2 * HALF_DIAGONAL * resolution)
    steps = torch.arange(num_steps).to(rays) / resolution - HALF_DIAGONAL
    z_m = box.centre_m[:, 2:] + steps * box.side_m[:, None]  # (B, S)
    points = origin[:, :, None] + directions[:, :, None] * z_m[:, None, :, None]  # (B, N, S, 3)
    grid = (2.0 * points).flip(-1)[:, None]  # grid_sample counts the last axis first
    values = F.grid_sample(distance[:, None] - 1.0, grid, align_corners=False)[:, 0, 0] + 1.0
    depth_m = first_crossing(values, z_m)
    return depth_m.reshape(-1, len(pixels), len(pixels))


def first_crossing(values: Tensor, z_m: Tensor) -> Tensor:
    """Return where values ``(B, N, S)`` at depths ``(B, S)`` first fall below 0, ``(B, N)``."""
    inside = values < 0
    index = inside.to(torch.int8).argmax(dim=-1, keepdim=True)
    before = (index - 1).clamp(min=0)
    here, there = values.gather(-1, index), values.gather(-1, before)
    share = there / (there - here).where(there != here, torch.ones_like(here))
    depths = z_m[:, None].expand(values.shape)
    near_m, far_m = depths.gather(-1, before), depths.gather(-1, index)
    met = near_m + share.clamp(0.0, 1.0) * (far_m - near_m)
    return torch.where(inside.any(dim=-1), met[..., 0], torch.nan)
