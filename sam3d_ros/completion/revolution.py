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

"""Surfaces of revolution: cans, bottles, bowls, mugs; standing or lying."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.completion.section import Axis, HalfSection, half_section
from sam3d_ros.completion.symmetry import Judge, trimmed_mean
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.structures import Floats

UP = np.array([0.0, 0.0, 1.0])
COARSE_TURNS_RAD = np.radians((-150.0, -75.0, -25.0, 50.0, 110.0, 180.0))
TURNS_RAD = np.radians((-150.0, -110.0, -75.0, -50.0, -25.0, 25.0, 50.0, 75.0, 110.0, 150.0, 180.0))
NUM_LYING = 12  # directions of a lying axis
NUM_LYING_OFFSETS = 7
SQUARE = np.array([(a, b, 0) for a in (0, -1, 1) for b in (0, -1, 1)], dtype=np.float64)
CUBE = np.array([(a, *b[:2]) for a in (0, -1, 1) for b in SQUARE], dtype=np.float64)
NUM_REFINEMENTS = 4
UNJUDGED = 0.1  # what a point counts that is turned behind an occluder or out of the image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Axes:
    """Several axes at once."""

    points: Floats  # (K, 3)
    directions: Floats  # (K, 3)

    def best(self, judge: Judge, angles_rad: Floats) -> tuple[int, float]:
        """Return which axis the view contradicts least, and how much, in [0, 1]."""
        moved = self._turned(judge.points - self.points[:, None], angles_rad)
        moved = moved + self.points[:, None, None]
        normals = self._turned(
            np.broadcast_to(judge.normals, (len(self.points), *judge.normals.shape)), angles_rad
        )
        size = (-1, *judge.points.shape)
        misfit = judge.misfit(moved.reshape(size), normals.reshape(size), UNJUDGED)
        misfit = misfit.reshape(len(self.points), len(angles_rad), -1).mean(axis=1)
        values = trimmed_mean(misfit)
        return int(np.argmin(values)), float(values.min())

    def one(self, index: int) -> Axis:
        """Return one of them."""
        return Axis(point=self.points[index], direction=self.directions[index])

    def _turned(self, vectors: Floats, angles_rad: Floats) -> Floats:
        """Turn vectors ``(K, N, 3)`` by each angle, ``(K, A, N, 3)`` (Rodrigues)."""
        axes = self.directions[:, None]
        along = np.einsum("kni,ki->kn", vectors, self.directions)[..., None] * axes
        aside = np.cross(axes, vectors)
        cosine, sine = (wave(angles_rad)[None, :, None, None] for wave in (np.cos, np.sin))
        turned: Floats = (
            along[:, None] + cosine * (vectors - along)[:, None] + sine * aside[:, None]
        )
        return turned


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Revolved:
    """The solid whose half section is empty wherever enough of the ring is free."""

    name: str
    axis: Axis
    low: Floats
    high: Floats
    section: HalfSection
    tolerance_m: float
    facing: Floats  # (3,) from the axis towards the camera, at right angles to it

    def outside_m(self, points: Floats) -> Floats:
        """Read the half section at radius and height of points ``(N, 3)``, ``(N,)``."""
        radius_m, height_m = self.axis.cylindrical(points)
        return self.section.outside_m(radius_m, height_m)

    def twins(self, points: Floats) -> Floats:
        """Turn points to the side that faces the camera."""
        radius_m, height_m = self.axis.cylindrical(points)
        along = height_m[:, None] * self.axis.direction
        turned: Floats = self.axis.point + along + radius_m[:, None] * self.facing
        return turned


def best_standing(judge: Judge) -> tuple[Axis, float]:
    """Search the vertical axis that the view contradicts least; returns its misfit too."""
    low, high = judge.workspace.low, judge.workspace.high
    width = float(high[1] - low[1])
    x, y = np.meshgrid(np.linspace(0.1, 0.9, 9), (-0.2, -0.1, 0.0, 0.1, 0.2), indexing="ij")
    start = np.array([low[0], (low[1] + high[1]) / 2, 0.0])
    shifts = np.stack((x.ravel(), y.ravel(), np.zeros(x.size)), axis=1)
    axes = _standing(start + width * shifts)
    best, value = axes.best(judge, COARSE_TURNS_RAD)
    for refinement in range(1, NUM_REFINEMENTS + 1):
        axes = _standing(axes.points[best] + 0.1 * width * 0.5**refinement * SQUARE)
        best, value = axes.best(judge, TURNS_RAD)
    return axes.one(best), value


def best_lying(judge: Judge) -> tuple[Axis, float]:
    """Search the level axis, about half as high as the object, that the view contradicts least."""
    low, high = judge.workspace.low, judge.workspace.high
    height = float(high[2] - low[2])
    middle = np.append(judge.points[:, :2].mean(axis=0), (low[2] + high[2]) / 2)
    angles = np.repeat(np.arange(NUM_LYING) * np.pi / NUM_LYING, NUM_LYING_OFFSETS)
    across = np.stack((-np.sin(angles), np.cos(angles)))
    reach = (judge.points - middle)[:, :2] @ across
    shares = np.tile(np.linspace(0.0, 1.0, NUM_LYING_OFFSETS), NUM_LYING)
    offsets = reach.min(axis=0) + shares * np.ptp(reach, axis=0)
    state = np.stack((angles, offsets, np.zeros_like(angles)), axis=1)
    steps = np.array([np.pi / NUM_LYING, 0.2 * height, 0.1 * height])
    best, value = _lying(state, middle).best(judge, COARSE_TURNS_RAD)
    for refinement in range(1, NUM_REFINEMENTS + 1):
        state = state[best] + steps * 0.5**refinement * CUBE
        best, value = _lying(state, middle).best(judge, COARSE_TURNS_RAD)
    return _lying(state, middle).one(best), value


def _standing(points: Floats) -> Axes:
    return Axes(points=points, directions=np.broadcast_to(UP, points.shape))


def _lying(state: Floats, middle: Floats) -> Axes:
    """Return level axes from rows of (yaw, offset to the left, height) relative to a point."""
    cosine, sine = np.cos(state[:, 0]), np.sin(state[:, 0])
    zero = np.zeros_like(cosine)
    across = np.stack((-sine, cosine, zero), axis=1)
    return Axes(
        points=middle + state[:, 1:2] * across + state[:, 2:] * UP,
        directions=np.stack((cosine, sine, zero), axis=1),
    )


def revolved(name: str, axis: Axis, workspace: Workspace) -> Revolved:
    """Turn the views about an axis into a solid."""
    section = half_section(axis, workspace)
    length_m, radius_m = section.high_m - section.low_m, float(section.radii[-1])
    reach = np.abs(axis.direction) * length_m / 2 + radius_m * np.sqrt(1 - axis.direction**2)
    centre = axis.point + axis.direction * (section.low_m + section.high_m) / 2
    eye = workspace.camera_from_work.inverse().translation_m - axis.point
    facing = eye - (eye @ axis.direction) * axis.direction
    return Revolved(
        name=name,
        axis=axis,
        low=centre - reach,
        high=centre + reach,
        section=section,
        tolerance_m=workspace.tolerance_m,
        facing=facing / np.linalg.norm(facing),
    )
