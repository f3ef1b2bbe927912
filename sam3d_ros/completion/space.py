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


"""What one or several views say about space in the work frame: where the object cannot be.

A point is free where any view saw it free. Near a surface that several views measured, though,
the largest of several noisy distances is too large, and where poses are a little off every wall
would lose that error. So views that speak of the same side of the object, which their normals
tell, are averaged first, as a truncated signed distance (Curless and Levoy, SIGGRAPH 1996);
different sides meet in an edge, where the largest distance is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.completion.maps import SurfaceMaps, Votes
from sam3d_ros.geometry.evidence import ViewEvidence
from sam3d_ros.structures import Bools, Floats, Ints, Similarity

SAME_SIDE_COSINES = (0.5, 0.9)  # of normals: below the first two sides, above the second one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedEvidence:
    """What one view says, asked in the work frame."""

    evidence: ViewEvidence
    view_from_work: Similarity

    @property
    def eye(self) -> Floats:
        """Where the camera stands in work, ``(3,)``."""
        return self.view_from_work.inverse().translation_m

    def free_m(self, points: Floats) -> Floats:
        """Signed distance of points ``(N, 3)`` to what this view calls not free, ``(N,)``."""
        return self.evidence.free_m(self.view_from_work.apply(points))

    def is_hidden(self, points: Floats) -> Bools:
        """Tell which points ``(N, 3)`` this view cannot judge, ``(N,)``."""
        return self.evidence.is_hidden(self.view_from_work.apply(points))

    def surface(self, max_points: int) -> tuple[Floats, Floats]:
        """Return points and unit normals of the seen side, each ``(N, 3)``, N < 2 max_points."""
        points_view, normals_view = self.evidence.surface()
        chosen = slice(None, None, max(1, len(points_view) // max_points))
        points = self.view_from_work.inverse().apply(points_view[chosen])
        return points, normals_view[chosen] @ self.view_from_work.rotation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Space:
    """All views of an object, the present one first."""

    views: tuple[PlacedEvidence, ...]
    maps: tuple[SurfaceMaps, ...] = ()  # of the views, in their order, if there are several

    def is_hidden(self, points: Floats) -> Bools:
        """Tell which points ``(N, 3)`` no view can judge, ``(N,)``."""
        hidden = self.views[0].is_hidden(points)
        for view in self.views[1:]:
            hidden = hidden & view.is_hidden(points)
        return hidden

    def free_m(self, points: Floats) -> Floats:
        """Signed distance of points ``(N, 3)`` to what is not free, ``(N,)``, > 0 if free."""
        if len(self.views) == 1:
            return self.views[0].free_m(points)
        votes = [
            maps.votes(view.view_from_work.apply(points))
            for view, maps in zip(self.views, self.maps, strict=True)
        ]
        free_m: Floats = np.max([vote.free_m for vote in votes], axis=0)
        near_m = min(maps.truncation_m for maps in self.maps)
        speaking = np.sum([vote.free_m > -near_m for vote in votes], axis=0)
        disputed = np.flatnonzero((speaking > 1) & (np.abs(free_m) < 2.0 * near_m))
        if disputed.size:
            free_m[disputed] = self._settled(votes, disputed)
        return free_m

    def _settled(self, votes: Sequence[Votes], chosen: Ints) -> Floats:
        """Average the views of each side, and return the largest of these averages."""
        free_m = np.stack([vote.free_m[chosen] for vote in votes])
        clipped_m, weights, normals = np.empty_like(free_m), np.empty_like(free_m), []
        for row, (view, maps) in enumerate(zip(self.views, self.maps, strict=True)):
            limit_m = maps.truncation_m
            clipped_m[row] = np.clip(free_m[row], -limit_m, limit_m)
            voiced = maps.voiced(votes[row], chosen)
            weights[row] = voiced.weight * (1.0 + np.minimum(clipped_m[row], 0.0) / limit_m)
            normals.append(voiced.normals @ view.view_from_work.rotation.astype(np.float32))
        low, high = SAME_SIDE_COSINES
        best_m = np.full(len(chosen), -np.inf)
        for row, normal in enumerate(normals):
            cosines = np.stack([np.einsum("ni,ni->n", normal, other) for other in normals])
            shares = weights * np.clip((cosines - low) / (high - low), 0.0, 1.0)
            total = shares.sum(axis=0)
            mean_m = (shares * clipped_m).sum(axis=0) / np.maximum(total, 1e-9)
            speaks = weights[row] > 0.0
            best_m = np.where(speaks, np.maximum(best_m, mean_m), best_m)
        return np.where(np.isfinite(best_m), best_m, free_m.max(axis=0))
