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

"""How well a symmetry explains the views: move what was seen and look whether it may be there.

A seen point that a symmetry moves to a place which the camera looked through contradicts it. One
that is moved to the side facing the camera must even lie on the measured surface. What is moved
to the far side, or behind an occluder, cannot be judged. (Thrun and Wegbreit, Shape from
symmetry, ICCV 2005.)
"""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.structures import Bools, Floats, Ints

NUM_POINTS = 200  # shared by the views, which all judge each of them
MIN_NUM_POINTS = 140
TRUNCATION_SIGMAS = 4.0  # a residual beyond this and a pixel is simply wrong, however far
FACING_COSINE = 0.3  # 17 degrees off grazing: nearer to the outline nothing is sure
OUTLIERS = 0.15  # share of the points that may contradict: handles, lids, spouts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """A thinned set of seen points with normals, and the views to test moved copies against."""

    points: Floats  # (N, 3) in work
    normals: Floats  # (N, 3)
    truncation_m: float
    workspace: Workspace

    def misfit(self, moved: Floats, normals: Floats, unjudged: float) -> Floats:
        """Contradiction of moved points ``(K, N, 3)`` per point, ``(K, N)`` in [0, 1].

        A point moved to where something hides it counts as ``unjudged``.
        """
        residual_m, hidden = self._residual_m(moved, normals)
        if self.workspace.has_support:
            residual_m = np.maximum(residual_m, -moved[..., 2])
        misfit = np.minimum(residual_m / self.truncation_m, 1.0)
        return np.where(hidden & (misfit <= 0.0), unjudged, misfit)

    def _residual_m(self, moved: Floats, normals: Floats) -> tuple[Floats, Bools]:
        """Return how far off each moved point is, and where no view can say.

        The views that face a point need not all see it: other parts of the object may hide it.
        """
        free_m = np.zeros(moved.shape[:-1])
        surface_m = np.full(moved.shape[:-1], np.inf)
        nobody = np.ones(moved.shape[:-1], dtype=bool)
        for view in self.workspace.space.views:
            flat = moved.reshape(-1, 3)
            distance_m = view.free_m(flat).reshape(moved.shape[:-1])
            hidden = view.is_hidden(flat).reshape(moved.shape[:-1])
            sight = moved - view.eye
            cosine = -np.einsum("...i,...i->...", normals, sight) / np.linalg.norm(sight, axis=-1)
            facing = (cosine > FACING_COSINE) & ~hidden
            free_m = np.maximum(free_m, distance_m)
            surface_m = np.where(facing, np.minimum(surface_m, np.abs(distance_m)), surface_m)
            nobody &= hidden
        return np.where(np.isfinite(surface_m), np.maximum(free_m, surface_m), free_m), nobody


def judge_of(workspace: Workspace) -> Judge:
    """Prepare the test of symmetries of one object."""
    chosen = _even(workspace)
    return Judge(
        points=workspace.surface[chosen],
        normals=workspace.normals[chosen],
        truncation_m=TRUNCATION_SIGMAS * workspace.noise_m + workspace.pixel_m,
        workspace=workspace,
    )


def _even(workspace: Workspace) -> Ints:
    """Choose points evenly over the area, not over the image."""
    area = np.cumsum(workspace.area)
    wanted = max(MIN_NUM_POINTS, NUM_POINTS // len(workspace.space.views))
    num = min(wanted, len(area))
    return np.asarray(np.searchsorted(area, (np.arange(num) + 0.5) / num * area[-1]))


def trimmed_mean(misfit: Floats) -> Floats:
    """Mean over the points ``(..., N)`` without the worst few, ``(...)``."""
    kept = int(np.ceil((1.0 - OUTLIERS) * misfit.shape[-1]))
    mean: Floats = np.sort(misfit, axis=-1)[..., :kept].mean(axis=-1)
    return mean
