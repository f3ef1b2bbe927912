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

"""Upright boxes: a rectangle on the support, extruded to the top that was seen."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.completion.symmetry import Judge, trimmed_mean
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.structures import Floats

NUM_YAWS = 30
RIM = 0.01  # share of points that may lie beyond a side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prism:
    """A box with two level faces."""

    yaw_rad: float
    centre: Floats  # (3,) in work
    half: Floats  # (3,) half lengths of the sides
    tolerance_m: float
    name: str = "extrusion to the support"

    @property
    def _rotation(self) -> Floats:
        cosine, sine = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])

    @property
    def low(self) -> Floats:
        """Lower corner of the box around the prism."""
        return self.centre - np.abs(self._rotation) @ self.half

    @property
    def high(self) -> Floats:
        """Upper corner of the box around the prism."""
        return self.centre + np.abs(self._rotation) @ self.half

    def outside_m(self, points: Floats) -> Floats:
        """Largest signed distance to a face, ``(N,)``."""
        outside: Floats = (np.abs((points - self.centre) @ self._rotation) - self.half).max(axis=1)
        return outside

    def twins(self, points: Floats) -> Floats:
        """Turn points by half a turn about the middle: opposite faces look alike."""
        return np.column_stack((2 * self.centre[:2] - points[:, :2], points[:, 2]))


def best_prism(judge: Judge) -> tuple[Prism, float]:
    """Search the upright box on whose faces the seen points lie; returns its misfit too."""
    prisms = [
        _around(judge.points, yaw, judge.workspace)
        for yaw in np.arange(NUM_YAWS) * np.pi / 2 / NUM_YAWS
    ]
    best = min(prisms, key=lambda prism: _misfit(judge, prism))
    step = np.pi / 2 / NUM_YAWS
    for _ in range(4):
        step /= 2
        trials = [
            _around(judge.points, best.yaw_rad + sign * step, judge.workspace)
            for sign in (-1, 0, 1)
        ]
        best = min(trials, key=lambda prism: _misfit(judge, prism))
    return best, _misfit(judge, best)


def _misfit(judge: Judge, prism: Prism) -> float:
    residual_m = np.abs(prism.outside_m(judge.points))
    return float(trimmed_mean(np.minimum(residual_m / judge.truncation_m, 1.0)))


def _around(points: Floats, yaw_rad: float, workspace: Workspace) -> Prism:
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    low, high = np.quantile(points @ rotation, (RIM, 1 - RIM), axis=0)
    if workspace.has_support:
        low[2] = 0.0
    middle = rotation @ ((low + high) / 2)
    return Prism(
        yaw_rad=yaw_rad,
        centre=middle,
        half=(high - low) / 2,
        tolerance_m=workspace.tolerance_m,
    )
