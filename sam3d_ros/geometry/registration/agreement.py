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


"""How well hypotheses agree with a view: one number for each, from silhouette and depth."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.registration.terms import Rendered
from sam3d_ros.geometry.registration.view import RegistrationView
from sam3d_ros.structures import Floats

TOLERANCE_SIGMAS = 3.0  # of a reading; farther away it counts as wrong altogether
TOLERANCE_SHARE = 0.04  # of the object's radius, at least: models are not exact


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How K hypotheses agree with a view; 0 to 1 but for the distances."""

    score: Floats  # (K,) the silhouette's IoU in which pixels count by how well their depth fits
    silhouette_iou: Floats  # (K,)
    inlier_fraction: Floats  # (K,) of the readings, within the tolerance
    off_m: Floats  # (K, G) |rendered - measured| depth, NaN where either is unknown
    shown_fraction: Floats  # (K,) of the rendered pixels, not hidden; 1 where there is none

    def residual_m(self, index: int) -> float:
        """Return the median |rendered - measured| depth; NaN where nothing is compared."""
        known_m = self.off_m[index][np.isfinite(self.off_m[index])]
        return float(np.median(known_m)) if known_m.size else float("nan")


def agreement(view: RegistrationView, seen: Rendered, radius_m: Floats) -> Agreement:
    """Compare what hypotheses show with what was measured, pixel by pixel.

    A pixel of both silhouettes without a reading counts as half right. Pixels in which something
    nearer may hide the object say nothing.

    Args:
        view: What was measured.
        seen: The hypotheses in the pixels of the view.
        radius_m: Of the object, ``(K,)``.
    """
    pixels = view.pixels
    hit = np.isfinite(seen.depth_m)
    judged = hit & ~pixels.hidden
    either = np.maximum((judged | pixels.shown).sum(axis=1), 1)
    both = judged & pixels.shown
    off_m = np.abs(np.where(hit, seen.depth_m, np.nan) - pixels.measured_m)
    floor_m = TOLERANCE_SHARE * radius_m[:, None]
    tolerance_m = np.hypot(TOLERANCE_SIGMAS * view.sigma_m(pixels.measured_m), floor_m)
    right = 1.0 - np.minimum(np.square(off_m / tolerance_m), 1.0)
    readings = max(1, int(np.isfinite(pixels.measured_m).sum()))
    return Agreement(
        score=np.where(both, np.nan_to_num(right, nan=0.5), 0.0).sum(axis=1) / either,
        silhouette_iou=both.sum(axis=1) / either,
        inlier_fraction=(off_m < tolerance_m).sum(axis=1) / readings,
        off_m=off_m,
        shown_fraction=1.0 - (hit & pixels.hidden).sum(axis=1) / np.maximum(hit.sum(axis=1), 1),
    )
