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

"""Half sections of surfaces of revolution: what of each ring about an axis is free.

A cell of the half section is a ring. It is empty when the camera looked through enough of it,
wherever on the ring that was: so the seen front carves the back, and the seen far inner wall of a
cup carves the near one.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.geometry.evidence import sampled
from sam3d_ros.structures import Bools, Floats

RING_SAMPLES = 48
MAX_FREE_RING = 0.15  # a ring is empty when more of it is free; less is noise at the outline
RADIUS_CELLS = 64
MAX_ROWS = 160  # along the axis
MIN_WALL_M = 0.004  # thinner ones would fall apart in the grid
RECESS = 0.5  # tolerances between seen surface and wall
WALL_VOTES = 6  # seen points that make a wall; fewer are noise
MAX_WALL_TOLERANCES = 2.0  # a wall reaches no farther into free rings: handles make no wall
MIN_SIDE_POINTS = 40  # of a wall's inner or outer side, or of a bottom
FACING = 0.5  # cosine from which on a normal points inwards or along the axis
MIN_INNER_SHARE = 0.2  # of the height over which an inner wall must be seen to call it a vessel


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

    def rings(self, heights: Floats, radii: Floats, num: int) -> Floats:
        """Return points on the rings of each height and radius, ``(T, R, num, 3)``."""
        aside = np.eye(3)[int(np.argmin(np.abs(self.direction)))]
        first = np.cross(self.direction, aside)
        first = first / np.linalg.norm(first)
        second = np.cross(self.direction, first)
        angles = 2 * np.pi * np.arange(num)[:, None] / num
        rays = np.cos(angles) * first + np.sin(angles) * second
        along = self.point + heights[:, None, None, None] * self.direction
        points: Floats = along + radii[None, :, None, None] * rays
        return points


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HalfSection:
    """Signed distances over height along the axis and radius."""

    field_m: Floats  # (T, R), > 0 outside
    heights: Floats  # (T,)
    radii: Floats  # (R,)
    low_m: float  # ends of the solid along the axis
    high_m: float

    def outside_m(self, radius_m: Floats, height_m: Floats) -> Floats:
        """Read the field at radii and heights ``(N,)``, ``(N,)``."""
        step_m = self.radii[1]
        row, column = (height_m - self.heights[0]) / step_m, radius_m / step_m
        beyond_m = step_m * np.maximum(column - (len(self.radii) - 1), 0.0)
        outside: Floats = sampled(self.field_m, column, row) + beyond_m
        return outside


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """The seen points in the half section."""

    points: Floats  # (N, 2) height and radius
    normals: Floats  # (N, 2)


def half_section(axis: Axis, workspace: Workspace) -> HalfSection:
    """Collect what the views say about all rings about an axis."""
    radius_m, height_m = axis.cylindrical(workspace.surface)
    seen = _Seen(
        points=np.stack((height_m, radius_m), axis=1), normals=_section_normals(axis, workspace)
    )
    low_m, high_m = np.percentile(height_m, (0.5, 99.5))
    if workspace.has_support and abs(axis.direction[2]) > 0.5:
        low_m, high_m = 0.0, max(0.0, high_m)  # what lies all below its support is carved away
    radius = 1.02 * float(np.percentile(radius_m, 99)) + 0.002
    step_m = max(radius / RADIUS_CELLS, (high_m - low_m) / MAX_ROWS)
    heights = np.arange(low_m - 3 * step_m, high_m + 4 * step_m, step_m)
    radii = np.arange(0.0, radius + step_m, step_m)
    ends_m = np.maximum(low_m - heights, heights - high_m)[:, None]
    field_m = np.maximum(_rings_m(axis, heights, radii, workspace), ends_m)
    field_m = np.maximum(field_m, -_cavity_m(field_m, heights, radii, seen))
    walls_m = _walls_m(heights, radii, seen, workspace.tolerance_m)
    at_most_m = field_m - MAX_WALL_TOLERANCES * workspace.tolerance_m
    field_m = np.minimum(field_m, np.maximum(walls_m, at_most_m))
    return HalfSection(
        field_m=ndimage.gaussian_filter(field_m, 1.0),
        heights=heights,
        radii=radii,
        low_m=float(low_m),
        high_m=float(high_m),
    )


def _rings_m(axis: Axis, heights: Floats, radii: Floats, workspace: Workspace) -> Floats:
    """Return the distance that all but ``MAX_FREE_RING`` of each ring stays below, ``(T, R)``."""
    points = axis.rings(heights, radii, RING_SAMPLES)
    flat = points.reshape(-1, 3)
    free_m = workspace.space.free_m(flat).reshape(points.shape[:3])
    hidden = workspace.space.is_hidden(flat).reshape(points.shape[:3])
    return _upper_share(free_m, hidden)


def _upper_share(free_m: Floats, hidden: Bools) -> Floats:
    """Return the value that a share of the judged samples exceeds, over the last axis."""
    judged = (~hidden).sum(axis=-1)
    descending = -np.sort(np.where(hidden, np.inf, -free_m), axis=-1)
    index = np.minimum((MAX_FREE_RING * judged).astype(int), np.maximum(judged - 1, 0))
    value = np.take_along_axis(descending, index[..., None], axis=-1)[..., 0]
    return np.asarray(np.where(judged > 0, value, -1.0))


def _cavity_m(field_m: Floats, heights: Floats, radii: Floats, seen: _Seen) -> Floats:
    """Distance to the part of a vessel's inside that was too deep to see, ``(T, R)``.

    Looking into a cup at an angle shows its upper inner wall and not its bottom. What has an
    inner wall and no bottom in sight goes on with that wall down to a bottom of the same
    thickness.
    """
    nothing = np.full(field_m.shape, np.inf)
    inner = seen.points[seen.normals[:, 1] < -FACING]
    if len(inner) < MIN_SIDE_POINTS:
        return nothing
    deepest_m, rim_m = np.percentile(inner[:, 0], (5, 95))
    facing_up = seen.normals[:, 0] > FACING
    in_sight = facing_up & (seen.points[:, 1] < 0.7 * np.median(inner[:, 1]))
    if rim_m - deepest_m < MIN_INNER_SHARE * np.ptp(heights) or in_sight.sum() > MIN_SIDE_POINTS:
        return nothing
    # The outermost solid ring of each height; none is where the field has no inside.
    outer_m = np.where(field_m < 0, radii, 0.0).max(axis=1)
    at = np.interp(inner[:, 0], heights, outer_m)
    wall_m = max(MIN_WALL_M, float(np.median(at - inner[:, 1])))
    across_m = radii - (outer_m[:, None] - wall_m)
    bottom_m = (seen.points[:, 0].min() + wall_m - heights)[:, None]
    above_m = (heights - deepest_m)[:, None]
    cavity_m: Floats = np.maximum(np.maximum(across_m, bottom_m), above_m)
    return cavity_m


def _walls_m(heights: Floats, radii: Floats, seen: _Seen, tolerance_m: float) -> Floats:
    """Distance to a wall of ``MIN_WALL_M`` behind what was seen, ``(T, R)``.

    Seen from both sides, a wall may come out thinner than the noise, or inside out.
    """
    cells = np.stack(np.meshgrid(heights, radii, indexing="ij"), axis=-1).reshape(-1, 2)
    walls_m = np.full(len(cells), MIN_WALL_M)
    for side in (
        seen.normals[:, 1] >= 0,
        seen.normals[:, 1] < 0,
    ):  # outer and inner surface of a vessel
        if side.sum() >= MIN_SIDE_POINTS:
            # A little under the surface: where there is material anyway, noise must not add any.
            recessed = seen.points[side] - RECESS * tolerance_m * seen.normals[side]
            walls_m = np.minimum(walls_m, _slab_m(cells, recessed, seen.normals[side]))
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
