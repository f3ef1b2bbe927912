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
from sam3d_ros.structures import Bools, Floats

UP = np.array([0.0, 0.0, 1.0])
COARSE_TURNS_RAD = np.radians((-150.0, -75.0, -25.0, 50.0, 110.0, 180.0))
TURNS_RAD = np.radians((-150.0, -110.0, -75.0, -50.0, -25.0, 25.0, 50.0, 75.0, 110.0, 150.0, 180.0))
NUM_LYING = 12  # directions of a lying axis
NUM_LYING_OFFSETS = 7
SQUARE = np.array([(a, b, 0) for a in (0, -1, 1) for b in (0, -1, 1)], dtype=np.float64)
CUBE = np.array([(a, *b[:2]) for a in (0, -1, 1) for b in SQUARE], dtype=np.float64)
NUM_REFINEMENTS = 4
RING_SAMPLES = 48
UNJUDGED = 0.1  # what a point counts that is turned behind an occluder or out of the image
MAX_FREE_RING = 0.15  # a ring is empty when more of it is free; less is noise at the outline
PROFILE_CELLS = 64  # along the radius
MAX_PROFILE_ROWS = 160  # along the axis
MIN_WALL_M = 0.005
WALL_VOTES = 6  # seen points that make a wall; fewer are noise
MAX_RING_TOLERANCES = 2.0  # a wall reaches no farther into free rings: handles make no wall
MIN_SIDE_POINTS = 40  # of a wall's inner or outer side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Axis:
    """A line in work about which an object may be turned."""

    point: Floats  # (3,)
    direction: Floats  # (3,) unit vector

    def cylindrical(self, points: Floats) -> tuple[Floats, Floats]:
        """Return radius and height along the axis of points ``(N, 3)``, each ``(N,)``."""
        relative = points - self.point
        height = relative @ self.direction
        across = relative - height[:, None] * self.direction
        return np.linalg.norm(across, axis=1), height


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


def revolved(name: str, axis: Axis, workspace: Workspace, evidence: ViewEvidence) -> Revolved:
    """Turn the view about an axis into a solid."""
    radius_m, height_m = axis.cylindrical(workspace.surface)
    low_m, high_m = np.percentile(height_m, (0.5, 99.5))
    if workspace.has_support and abs(axis.direction[2]) > 0.5:
        low_m = 0.0
    radius = 1.02 * float(np.percentile(radius_m, 99)) + 0.002
    step_m = max(radius / PROFILE_CELLS, (high_m - low_m) / MAX_PROFILE_ROWS)
    margin_m = 3 * step_m
    heights = np.arange(low_m - margin_m, high_m + margin_m + step_m, step_m)
    radii = np.arange(0.0, radius + step_m, step_m)
    profile_m = _profile_m(axis, heights, radii, workspace, evidence)
    ends_m = np.maximum(low_m - heights, heights - high_m)[:, None]
    profile_m = np.maximum(profile_m, ends_m)
    walls_m = _walls_m(axis, heights, radii, workspace)
    at_most_m = profile_m - MAX_RING_TOLERANCES * workspace.tolerance_m
    profile_m = np.minimum(profile_m, np.maximum(walls_m, at_most_m))
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
    """Distance to a wall of ``MIN_WALL_M`` behind what was seen, ``(T, R)``.

    Seen from both sides, a wall may come out thinner than the noise, or inside out.
    """
    radius_m, height_m = axis.cylindrical(workspace.surface)
    seen = np.stack((height_m, radius_m), axis=1)
    normals = _section_normals(axis, workspace)
    cells = np.stack(np.meshgrid(heights, radii, indexing="ij"), axis=-1).reshape(-1, 2)
    walls_m = np.full(len(cells), MIN_WALL_M)
    for side in (normals[:, 1] >= 0, normals[:, 1] < 0):  # outer and inner surface of a vessel
        if side.sum() >= MIN_SIDE_POINTS:
            # A little under the surface: where there is material anyway, noise must not add any.
            recessed = seen[side] - workspace.tolerance_m * normals[side]
            walls_m = np.minimum(walls_m, _slab_m(cells, recessed, normals[side]))
    return walls_m.reshape(len(heights), len(radii))


def _section_normals(axis: Axis, workspace: Workspace) -> Floats:
    """Return the normals of the seen points in the half section, along and across, ``(N, 2)``."""
    outwards = workspace.surface - axis.point
    outwards = outwards - (outwards @ axis.direction)[:, None] * axis.direction
    outwards = outwards / np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-6)
    across = np.einsum("ni,ni->n", workspace.normals, outwards)
    normals = np.stack((workspace.normals @ axis.direction, across), axis=1)
    unit: Floats = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 0.5)
    return unit


def _slab_m(cells: Floats, seen: Floats, normals: Floats) -> Floats:
    """Signed distance of cells ``(C, 2)`` to a layer behind seen points ``(N, 2)``, ``(C,)``."""
    distance_m, nearest = cKDTree(seen).query(cells, k=WALL_VOTES)
    above_m = np.einsum("cki,cki->ck", cells[:, None] - seen[nearest], normals[nearest])
    above_m = above_m.mean(axis=1)
    slab_m = np.maximum(above_m, -MIN_WALL_M - above_m)
    walls_m: Floats = np.maximum(slab_m, distance_m[:, -1] - MIN_WALL_M)
    return walls_m


def _upper_share(free_m: Floats, hidden: Bools) -> Floats:
    """Return the value that a share of the judged samples exceeds, over the last axis."""
    judged = (~hidden).sum(axis=-1)
    descending = -np.sort(np.where(hidden, np.inf, -free_m), axis=-1)
    index = np.minimum((MAX_FREE_RING * judged).astype(int), np.maximum(judged - 1, 0))
    value = np.take_along_axis(descending, index[..., None], axis=-1)[..., 0]
    return np.asarray(np.where(judged > 0, value, -1.0))
