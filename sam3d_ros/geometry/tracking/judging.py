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


"""Whether readings confirm a pose, say nothing, or speak against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from sam3d_ros.geometry.tracking.rendering import Shown
from sam3d_ros.geometry.tracking.rims import Steps
from sam3d_ros.geometry.tracking.targets import Readings, Target
from sam3d_ros.geometry.tracking.views import noise_m
from sam3d_ros.structures import Bools, Floats

TOLERANCE_SIGMAS = 3.0  # of a reading
TOLERANCE_M = 0.003  # meshes are not exact
TOLERANCE_SHARE = 0.03  # of the object's radius, likewise
MAD = 0.6745  # median of |x| of a normal distribution
MIN_INLIERS = 25  # fewer readings on the surface say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What it takes to believe a pose."""

    support: float  # share of the readings that are on the surface and not behind it
    seen: float = 0.15  # share of the object of which readings tell
    steps: float = 0.0  # share of the rim behind which a step is: other surfaces may be as flat
    chi: float = float("inf")  # residuals as multiple of their noise


EXPECTED = Demands(support=0.7)
MOVED = Demands(support=0.7, steps=0.15)  # not where it was expected
SEARCHED = Demands(support=0.85, seen=0.5, steps=0.12, chi=2.0)  # anywhere


class Finding(IntEnum):
    """What readings say of a pose."""

    CONFIRMED = 0
    UNSEEN = 1  # too few readings, or something is in front
    CONTRADICTED = 2


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """How K poses agree with what was measured."""

    support: Floats  # (K,) of the readings on and behind the surface, those on it
    seen: Floats  # (K,) of the object's side to the camera, what readings tell of
    num_inliers: Floats  # (K,)
    residual_m: Floats  # (K,) median |shown - measured| depth; NaN where nothing is compared
    steps: Floats  # (K,) of the rim that nothing covers, what has a step behind it
    chi: Floats  # (K,) residuals on the surface as multiple of their noise
    explained_px: Floats  # (K,) of the image, by readings on the surface

    @property
    def agreement(self) -> Floats:
        """How well poses in different places agree with what is there, ``(K,)``."""
        agreement: Floats = self.support * self.seen + 0.5 * self.steps - 0.1 * self.chi
        return np.where(self.num_inliers > 0, agreement, -np.inf)

    @property
    def merit(self) -> Floats:
        """Which of several poses in one place is best, ``(K,)``.

        What explains more of the image is better: a handle in view that is thought behind the mug
        contradicts nothing.
        """
        share = self.explained_px / max(float(self.explained_px.max(initial=0.0)), 1.0)
        merit: Floats = self.agreement + share
        return merit


def judged(
    targets: Sequence[Target], readings: Readings, seen: Shown, hidden: Bools, steps: Steps
) -> Judgement:
    """Compare what objects show with what was measured."""
    hit = seen.hit & readings.inside
    depth_m = np.where(hit, seen.depth_m, np.nan)
    off_m = readings.measured_m - depth_m
    cosine = np.abs((seen.normals * readings.rays).sum(axis=-1))
    radii_m = np.array([target.model.radius for target in targets])
    across_m = off_m * cosine
    sigma_m = noise_m(readings.measured_m)
    tolerance_m = TOLERANCE_SIGMAS * sigma_m + (TOLERANCE_M + TOLERANCE_SHARE * radii_m)[:, None]
    open_ = hit & ~hidden
    on = open_ & readings.mine & (np.abs(across_m) < tolerance_m)
    against = open_ & ((across_m >= tolerance_m) | (~readings.mine & ~(off_m < -tolerance_m)))
    against &= np.isfinite(off_m)
    num_on, num_against = on.sum(axis=1), against.sum(axis=1)
    told = num_on + num_against
    return Judgement(
        support=num_on / np.maximum(told, 1),
        seen=readings.in_view * told / np.maximum(hit.sum(axis=1), 1),
        num_inliers=num_on,
        residual_m=_medians(np.abs(off_m), on | against),
        steps=(steps.found & ~steps.covered).sum(axis=1)
        / np.maximum((~steps.covered).sum(axis=1), 1),
        chi=_medians(np.abs(across_m) / sigma_m, on) / MAD,
        explained_px=num_on * np.square(readings.stride_px),
    )


def findings(judgement: Judgement, demands: Sequence[Demands]) -> list[Finding]:
    """Decide what readings say of K poses."""
    return [_finding(judgement, index, each) for index, each in enumerate(demands)]


def _finding(judgement: Judgement, index: int, demands: Demands) -> Finding:
    if judgement.seen[index] < demands.seen:
        return Finding.UNSEEN
    if judgement.support[index] < demands.support:
        return Finding.CONTRADICTED
    enough = judgement.num_inliers[index] >= MIN_INLIERS
    fits = judgement.steps[index] >= demands.steps and judgement.chi[index] <= demands.chi
    return Finding.CONFIRMED if enough and fits else Finding.UNSEEN


def _medians(values: Floats, chosen: Bools) -> Floats:
    """Return medians of rows, NaN where nothing is chosen."""
    return np.array(
        [
            np.median(row[flags]) if flags.any() else np.nan
            for row, flags in zip(values, chosen, strict=True)
        ]
    )
