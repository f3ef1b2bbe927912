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

"""Objects that look the same after half a turn about the vertical, or in an upright mirror."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.completion.hypotheses import Hull, hull_around, put_down
from sam3d_ros.completion.symmetry import Judge
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.structures import Floats

NUM_MIRRORS = 18  # directions of the mirror's normal
NUM_OFFSETS = 13
NUM_REFINEMENTS = 4
NEIGHBOURS = np.array([(a, b) for a in (0, -1, 1) for b in (0, -1, 1)], dtype=np.float64)
# What cannot be judged can hide any amount of volume. Of the symmetries that the view allows the
# one is taken whose solid is about as deep as things are: EXPECTED_DEPTH of the smaller of width
# and height; twice or half as deep counts as much as this share of wrong points.
EXPECTED_DEPTH = 0.8
DEPTH_PRIOR = 0.05
# Beside other hypotheses only what is odd counts, and more: depth and width of right answers for
# captures are up to half an octave off together, a ramp taken for one side of a roof a whole one.
# Seen squarely from its slope a ramp looks like a gable roof: then the shallower one is meant.
USUAL_OCTAVES = 0.5
ODD_PRIOR = 0.1
# Moving everything behind an occluder or out of the image contradicts nothing and explains nothing.
UNJUDGED = 0.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reflection:
    """``x -> linear @ x + shift`` in the plane, heights stay: a half turn or a mirror."""

    linear: Floats  # (2, 2)
    shift: Floats  # (2,)

    def apply(self, points: Floats) -> Floats:
        """Map points ``(N, 3)``; a reflection is its own inverse."""
        return np.column_stack((points[:, :2] @ self.linear.T + self.shift, points[:, 2]))

    def turn(self, vectors: Floats) -> Floats:
        """Map directions ``(N, 3)``."""
        return np.column_stack((vectors[:, :2] @ self.linear.T, vectors[:, 2]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reflected:
    """What neither the camera nor its image under a reflection looked through."""

    name: str
    reflection: Reflection
    hull: Hull
    workspace: Workspace
    tolerance_m: float = 0.0

    @property
    def low(self) -> Floats:
        """Lower corner of the hull."""
        return self.hull.low

    @property
    def high(self) -> Floats:
        """Upper corner of the hull."""
        return self.hull.high

    def outside_m(self, points: Floats) -> Floats:
        """Signed distance of points ``(N, 3)``, ``(N,)``, to the hull carved from the far side."""
        mirrored = self.reflection.apply(points)
        return np.maximum(self.workspace.space.free_m(mirrored), self.hull.outside_m(points))

    def twins(self, points: Floats) -> Floats:
        """Map points to the side that was seen."""
        return self.reflection.apply(points)


def half_turns(centres: Floats) -> "Reflections":
    """Return the half turns about vertical axes through ``(K, 2)``."""
    return Reflections(linear=np.broadcast_to(-np.eye(2), (len(centres), 2, 2)), shift=2 * centres)


def mirrors(angles_rad: Floats, offsets_m: Floats) -> "Reflections":
    """Return mirrors at the lines ``n . x = offset``, with ``n`` at an angle to x, ``(K,)``."""
    normals = np.stack((np.cos(angles_rad), np.sin(angles_rad)), axis=1)
    linear = np.eye(2) - 2 * normals[:, :, None] * normals[:, None, :]
    return Reflections(linear=linear, shift=2 * offsets_m[:, None] * normals)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reflections:
    """Several reflections at once."""

    linear: Floats  # (K, 2, 2)
    shift: Floats  # (K, 2)

    def one(self, index: int) -> Reflection:
        """Return one of them."""
        return Reflection(linear=self.linear[index], shift=self.shift[index])

    def misfits(self, judge: Judge) -> tuple[Floats, Floats]:
        """Return what speaks against each, ``(K,)``: among themselves, and beside others."""
        moved, normals = self._turned(judge.points), self._turned(judge.normals)
        moved[..., :2] += self.shift[:, None]
        misfit = judge.misfit(moved, normals, UNJUDGED).mean(axis=1)
        octaves = _surprise(judge, moved)
        odd = np.maximum(octaves - USUAL_OCTAVES, 0.0)
        return misfit + DEPTH_PRIOR * octaves, misfit + ODD_PRIOR * odd

    def _turned(self, vectors: Floats) -> Floats:
        turned = np.empty((len(self.linear), *vectors.shape))
        turned[..., :2] = np.einsum("kij,nj->kni", self.linear, vectors[:, :2])
        turned[..., 2] = vectors[:, 2]
        return turned


def best_half_turn(judge: Judge) -> tuple[Reflection, float]:
    """Search the half turn that the view contradicts least; returns its misfit too."""
    low, high = judge.workspace.low, judge.workspace.high
    step = float(high[1] - low[1]) / 10
    columns, rows = np.meshgrid(np.arange(13), np.arange(-2, 3), indexing="ij")
    start = np.array([low[0], (low[1] + high[1]) / 2])
    trials = half_turns(start + step * np.stack((columns.ravel(), rows.ravel()), axis=1))
    for _ in range(NUM_REFINEMENTS):
        best = int(np.argmin(trials.misfits(judge)[0]))
        step /= 2
        trials = half_turns(trials.shift[best] / 2 + step * NEIGHBOURS)
    among_themselves, beside_others = trials.misfits(judge)
    best = int(np.argmin(among_themselves))
    return trials.one(best), float(beside_others[best])


def best_mirror(judge: Judge) -> tuple[Reflection, float]:
    """Search the upright mirror that the view contradicts least; returns its misfit too."""
    footprint = judge.points[:, :2]
    angles = np.repeat(np.arange(NUM_MIRRORS) * np.pi / NUM_MIRRORS, NUM_OFFSETS)
    along = footprint @ np.stack((np.cos(angles), np.sin(angles)))
    shares = np.tile(np.linspace(0.2, 1.2, NUM_OFFSETS), NUM_MIRRORS)
    offsets = along.min(axis=0) + shares * np.ptp(along, axis=0)
    turn, shift = np.pi / NUM_MIRRORS, float(np.ptp(footprint, axis=0).max()) / NUM_OFFSETS
    for _ in range(NUM_REFINEMENTS):
        trials = mirrors(angles, offsets)
        best = int(np.argmin(trials.misfits(judge)[0]))
        turn, shift = turn / 2, shift / 2
        angles = angles[best] + turn * NEIGHBOURS[:, 0]
        offsets = offsets[best] + shift * NEIGHBOURS[:, 1]
    trials = mirrors(angles, offsets)
    among_themselves, beside_others = trials.misfits(judge)
    best = int(np.argmin(among_themselves))
    return trials.one(best), float(beside_others[best])


def reflected(name: str, reflection: Reflection, workspace: Workspace) -> Reflected:
    """Turn the views and a reflection into a solid."""
    both = np.concatenate((workspace.surface, reflection.apply(workspace.surface)))
    hull = hull_around(put_down(both, workspace))
    return Reflected(name=name, reflection=reflection, hull=hull, workspace=workspace)


def _surprise(judge: Judge, moved: Floats) -> Floats:
    """Return how unlike things depth and width of seen and moved points are, octaves ``(K,)``."""
    low = np.minimum(moved[..., :2].min(axis=1), judge.points[:, :2].min(axis=0))
    high = np.maximum(moved[..., :2].max(axis=1), judge.points[:, :2].max(axis=0))
    extent = judge.workspace.high - judge.workspace.low
    expected = np.maximum(extent[:2], EXPECTED_DEPTH * min(extent[1], extent[2]))
    surprise: Floats = np.abs(np.log2((high - low) / expected)).sum(axis=1)
    return surprise
