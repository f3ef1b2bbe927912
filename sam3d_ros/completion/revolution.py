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
from scipy import ndimage
from scipy.spatial import cKDTree

from sam3d_ros.completion.evidence import ViewEvidence, sampled
from sam3d_ros.completion.symmetry import Judge, trimmed_mean
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Bools, Floats

UP = np.array([0.0, 0.0, 1.0])
COARSE_TURNS_RAD = np.radians((-150.0, -75.0, -25.0, 50.0, 110.0, 180.0))
TURNS_RAD = np.radians((-150.0, -110.0, -75.0, -50.0, -25.0, 25.0, 50.0, 75.0, 110.0, 150.0, 180.0))
NUM_LYING = 12  # directions of a lying axis
NUM_REFINEMENTS = 4
RING_SAMPLES = 48
MAX_FREE_RING = 0.15  # a ring is empty when more of it is free; less is noise at the outline
PROFILE_CELLS = 64  # along the radius
MIN_WALL_M = 0.005
WALL_VOTES = 6  # seen points that make a wall; fewer are noise
MIN_SIDE_POINTS = 40  # of a wall's inner or outer side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Axis:
    """A line in work about which an object may be turned."""

    point: Floats  # (3,)
    direction: Floats  # (3,) unit vector

    def turned(self, points: Floats, angles_rad: Floats) -> Floats:
        """Turn points ``(N, 3)`` by each of the angles, ``(K, N, 3)``."""
        return self.rotated(points - self.point, angles_rad) + self.point

    def rotated(self, vectors: Floats, angles_rad: Floats) -> Floats:
        """Turn directions ``(N, 3)`` by each of the angles, ``(K, N, 3)``."""
        turns = [rotation_from_axis_angle(self.direction, angle) for angle in angles_rad]
        return np.stack([vectors @ turn.T for turn in turns])

    def cylindrical(self, points: Floats) -> tuple[Floats, Floats]:
        """Return radius and height along the axis of points ``(N, 3)``, each ``(N,)``."""
        relative = points - self.point
        height = relative @ self.direction
        across = relative - height[:, None] * self.direction
        return np.linalg.norm(across, axis=1), height


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Revolved:
    """The solid whose half section is empty wherever enough of the ring is free."""

    name: str
    axis: Axis
    low: Floats
    high: Floats
    profile_m: Floats  # (T, R) signed distance over height and radius, > 0 outside
    origin_m: float  # height of the first row
    step_m: float
    tolerance_m: float
    facing: Floats  # (3,) from the axis towards the camera, at right angles to it

    def outside_m(self, points: Floats) -> Floats:
        """Read the half section at radius and height of points ``(N, 3)``, ``(N,)``."""
        radius_m, height_m = self.axis.cylindrical(points)
        row, column = (height_m - self.origin_m) / self.step_m, radius_m / self.step_m
        beyond_m = self.step_m * np.maximum(column - (self.profile_m.shape[1] - 1), 0.0)
        outside: Floats = sampled(self.profile_m, column, row) + beyond_m
        return outside

    def twins(self, points: Floats) -> Floats:
        """Turn points to the side that faces the camera."""
        radius_m, height_m = self.axis.cylindrical(points)
        along = height_m[:, None] * self.axis.direction
        turned: Floats = self.axis.point + along + radius_m[:, None] * self.facing
        return turned


def misfit(judge: Judge, axis: Axis, angles_rad: Floats = TURNS_RAD) -> float:
    """Return how much the view contradicts a revolution about an axis, in [0, 1]."""
    moved = axis.turned(judge.points, angles_rad)
    normals = axis.rotated(judge.normals, angles_rad)
    return float(trimmed_mean(judge.misfit(moved, normals, 0.0).mean(axis=0)))


def best_standing(judge: Judge) -> tuple[Axis, float]:
    """Search the vertical axis that the view contradicts least."""
    low, high = judge.workspace.low, judge.workspace.high
    width = float(high[1] - low[1])
    starts = [
        Axis(
            point=np.array([low[0] + x * width, (low[1] + high[1]) / 2 + y * width, 0.0]),
            direction=UP,
        )
        for x in np.linspace(0.1, 0.9, 9)
        for y in (-0.2, -0.1, 0.0, 0.1, 0.2)
    ]
    moves = [(0.0, (1.0, 0.0, 0.0)), (0.0, (0.0, 1.0, 0.0))]
    return _descended(judge, _least(judge, starts), moves, 0.05 * width)


def best_lying(judge: Judge) -> tuple[Axis, float]:
    """Search the level axis, half as high as the object, that the view contradicts least."""
    low, high = judge.workspace.low, judge.workspace.high
    height = float(high[2] - low[2])
    middle = np.append(judge.points[:, :2].mean(axis=0), (low[2] + high[2]) / 2)
    starts = []
    for angle in np.arange(NUM_LYING) * np.pi / NUM_LYING:
        direction = np.array([np.cos(angle), np.sin(angle), 0.0])
        across = np.array([-direction[1], direction[0], 0.0])
        offsets = (judge.points - middle) @ across
        starts += [
            Axis(point=middle + offset * across, direction=direction)
            for offset in np.linspace(offsets.min(), offsets.max(), 7)
        ]
    moves = [(np.radians(7.0), (0.0, 0.0, 0.0)), (0.0, (0.0, 1.0, 0.0)), (0.0, (0.0, 0.0, 0.5))]
    return _descended(judge, _least(judge, starts), moves, 0.1 * height)


def revolved(name: str, axis: Axis, workspace: Workspace, evidence: ViewEvidence) -> Revolved:
    """Turn the view about an axis into a solid."""
    radius_m, height_m = axis.cylindrical(workspace.surface)
    low_m, high_m = np.percentile(height_m, (0.5, 99.5))
    if workspace.has_support and abs(axis.direction[2]) > 0.5:
        low_m = 0.0
    radius = 1.02 * float(np.percentile(radius_m, 99)) + 0.002
    step_m = radius / PROFILE_CELLS
    margin_m = 3 * step_m
    heights = np.arange(low_m - margin_m, high_m + margin_m + step_m, step_m)
    radii = step_m * np.arange(PROFILE_CELLS + 1)
    profile_m = _profile_m(axis, heights, radii, workspace, evidence)
    ends_m = np.maximum(low_m - heights, heights - high_m)[:, None]
    profile_m = np.maximum(profile_m, ends_m)
    profile_m = np.minimum(profile_m, _walls_m(axis, heights, radii, workspace))
    reach = np.abs(axis.direction) * (high_m - low_m) / 2 + radius * np.sqrt(1 - axis.direction**2)
    centre = axis.point + axis.direction * (low_m + high_m) / 2
    eye = workspace.camera_from_work.inverse().translation_m - axis.point
    facing = eye - (eye @ axis.direction) * axis.direction
    return Revolved(
        name=name,
        axis=axis,
        low=centre - reach,
        high=centre + reach,
        profile_m=ndimage.gaussian_filter(profile_m, 1.0),
        origin_m=float(heights[0]),
        step_m=step_m,
        tolerance_m=workspace.tolerance_m,
        facing=facing / np.linalg.norm(facing),
    )


def _profile_m(
    axis: Axis, heights: Floats, radii: Floats, workspace: Workspace, evidence: ViewEvidence
) -> Floats:
    """Return the distance that all but ``MAX_FREE_RING`` of each ring stays below, ``(T, R)``."""
    angles = 2 * np.pi * np.arange(RING_SAMPLES) / RING_SAMPLES
    first = np.cross(
        axis.direction, (1.0, 0.0, 0.0) if abs(axis.direction[0]) < 0.7 else (0.0, 1.0, 0.0)
    )
    first = first / np.linalg.norm(first)
    second = np.cross(axis.direction, first)
    rays = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    points = (
        axis.point
        + heights[:, None, None, None] * axis.direction
        + radii[None, :, None, None] * rays
    )
    points_camera = workspace.camera_from_work.apply(points.reshape(-1, 3))
    size = (len(heights), len(radii), RING_SAMPLES)
    free_m = evidence.free_m(points_camera).reshape(size)
    hidden = evidence.is_hidden(points_camera).reshape(size)
    return _upper_share(free_m, hidden)


def _walls_m(axis: Axis, heights: Floats, radii: Floats, workspace: Workspace) -> Floats:
    """Distance to a wall of ``MIN_WALL_M`` behind everything that was seen, ``(T, R)``.

    Seen from both sides, a wall may come out thinner than the noise, or inside out.
    """
    radius_m, height_m = axis.cylindrical(workspace.surface)
    outwards = workspace.surface - axis.point
    outwards = outwards - (outwards @ axis.direction)[:, None] * axis.direction
    outwards = outwards / np.maximum(radius_m, 1e-6)[:, None]
    normals = np.stack(
        (workspace.normals @ axis.direction, np.einsum("ni,ni->n", workspace.normals, outwards)),
        axis=1,
    )
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 0.5)
    seen = np.stack((height_m, radius_m), axis=1)
    cells = np.stack(np.meshgrid(heights, radii, indexing="ij"), axis=-1).reshape(-1, 2)
    walls_m = np.full(len(cells), MIN_WALL_M)
    for side in (normals[:, 1] >= 0, normals[:, 1] < 0):  # outer and inner surface of a vessel
        if side.sum() >= MIN_SIDE_POINTS:
            walls_m = np.minimum(walls_m, _slab_m(cells, seen[side], normals[side]))
    return walls_m.reshape(len(heights), len(radii))


def _slab_m(cells: Floats, seen: Floats, normals: Floats) -> Floats:
    """Signed distance of cells ``(C, 2)`` to a layer behind seen points ``(N, 2)``, ``(C,)``."""
    distance_m, nearest = cKDTree(seen).query(cells, k=WALL_VOTES)
    above_m = np.einsum("cki,cki->ck", cells[:, None] - seen[nearest], normals[nearest])
    above_m = above_m.mean(axis=1)
    return np.maximum(np.maximum(above_m, -MIN_WALL_M - above_m), distance_m[:, -1] - MIN_WALL_M)


def _upper_share(free_m: Floats, hidden: Bools) -> Floats:
    """Return the value that a share of the judged samples exceeds, over the last axis."""
    judged = (~hidden).sum(axis=-1)
    descending = -np.sort(np.where(hidden, np.inf, -free_m), axis=-1)
    index = np.minimum((MAX_FREE_RING * judged).astype(int), np.maximum(judged - 1, 0))
    value = np.take_along_axis(descending, index[..., None], axis=-1)[..., 0]
    return np.asarray(np.where(judged > 0, value, -1.0))


def _least(judge: Judge, axes: list[Axis]) -> Axis:
    return min(axes, key=lambda axis: misfit(judge, axis, COARSE_TURNS_RAD))


def _descended(
    judge: Judge, axis: Axis, moves: list[tuple[float, tuple[float, float, float]]], step_m: float
) -> tuple[Axis, float]:
    """Descend along turns about z and shifts (along, across, up), with shrinking steps."""
    best = misfit(judge, axis)
    middle = judge.points.mean(axis=0)
    for refinement in range(NUM_REFINEMENTS):
        share = 0.5**refinement
        for turn_rad, shift in moves:
            for sign in (-share, share):
                moved = _moved(axis, sign * turn_rad, sign * step_m * np.array(shift), middle)
                value = misfit(judge, moved)
                if value < best:
                    best, axis = value, moved
    return axis, best


def _moved(axis: Axis, turn_rad: float, shift_m: Floats, middle: Floats) -> Axis:
    turn = rotation_from_axis_angle(UP, turn_rad)
    pivot = axis.point + ((middle - axis.point) @ axis.direction) * axis.direction
    if abs(axis.direction[2]) > 0.5:
        return Axis(point=axis.point + shift_m, direction=axis.direction)
    direction = turn @ axis.direction
    across = np.array([-direction[1], direction[0], 0.0])
    return Axis(point=pivot + shift_m[1] * across + shift_m[2] * UP, direction=direction)
