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

"""What was seen and a hypothesis leaves out: handles, spouts, lids.

No symmetry explains them, so they get the thickness that they have across: a bar as wide as it
is deep.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from sam3d_ros.completion.hypotheses import Hypothesis
from sam3d_ros.completion.space import PlacedEvidence
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.structures import Bools, Bytes, Floats

MIN_SHARE = 0.01  # of the seen pixels; smaller patches are noise
MIN_TOLERANCES = 5.0  # how far outside counts as left out
MIN_COSINE_LEFT_OUT = 0.4  # steeper than 66 degrees is a depth edge more often than a surface
NONE_M = -1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Remainder:
    """A layer behind some of the surface that one view saw."""

    thickness_m: Floats  # (h, w), negative where nothing is left out
    view: PlacedEvidence

    @property
    def is_empty(self) -> bool:
        """Whether the hypothesis explains everything."""
        return bool((self.thickness_m <= 0).all())

    def outside_m(self, points: Floats) -> Floats:
        """Distance of points ``(N, 3)`` behind the layer, ``(N,)``; before it they count as in."""
        points_view = self.view.view_from_work.apply(points)
        outside: Floats = self.view.evidence.deeper_m(points_view, self.thickness_m)
        return outside


def remainders_of(hypothesis: Hypothesis, workspace: Workspace) -> tuple[Remainder, ...]:
    """Find what each view saw outside a hypothesis, without the views that saw nothing there."""
    found = [_remainder(hypothesis, workspace, view) for view in workspace.space.views]
    return tuple(remainder for remainder in found if not remainder.is_empty)


def _remainder(hypothesis: Hypothesis, workspace: Workspace, view: PlacedEvidence) -> Remainder:
    """Find the patches of the seen surface that lie outside a hypothesis."""
    evidence = view.evidence
    points_view = evidence.points()[evidence.shown]
    outside_m = hypothesis.outside_m(view.view_from_work.inverse().apply(points_view))
    left_out = np.zeros(evidence.shown.shape, dtype=np.uint8)
    reliable = evidence.cosine[evidence.shown] > MIN_COSINE_LEFT_OUT
    left_out[evidence.shown] = reliable & (outside_m > MIN_TOLERANCES * workspace.tolerance_m)
    left_out = _joined(left_out, workspace) * evidence.shown.astype(np.uint8)
    num_parts, labels, stats, _ = cv2.connectedComponentsWithStats(left_out, connectivity=8)
    thickness_m = np.full(left_out.shape, NONE_M, dtype=np.float32)
    pixel_m = evidence.front_m / evidence.matrix_px[0, 0]
    within_px = np.asarray(
        cv2.distanceTransform(left_out, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), dtype=np.float32
    )
    least = MIN_SHARE * evidence.shown.sum()
    for part in range(1, num_parts):
        patch = labels == part
        if stats[part, cv2.CC_STAT_AREA] >= least:
            thickness_m[patch] = 2.0 * (_widened(within_px, patch) * pixel_m)[patch]
    return Remainder(thickness_m=thickness_m, view=view)


def _joined(left_out: Bytes, workspace: Workspace) -> Bytes:
    """Drop single pixels, and grow the patches until they reach the solid that they stick to."""
    opened = cv2.morphologyEx(left_out, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    reach_px = int(np.ceil(2.0 * MIN_TOLERANCES * workspace.tolerance_m / workspace.pixel_m))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1,) * 2)
    return np.asarray(cv2.dilate(opened, kernel), dtype=np.uint8)


def _widened(within_px: Floats, patch: Bools) -> Floats:
    """Return the largest distance to the rim around each pixel: half the width of a bar there."""
    radius = int(np.ceil(2.0 * np.median(within_px[patch])))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    widened: Floats = np.asarray(cv2.dilate(np.where(patch, within_px, 0.0), kernel))
    return widened
