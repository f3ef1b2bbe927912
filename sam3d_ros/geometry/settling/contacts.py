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

"""Where two bodies overlap, and the way on which they part soonest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sam3d_ros.geometry.settling.body import Placed
from sam3d_ros.structures import Floats

TOUCHING_M = 1e-4  # overlap that is none: what meshes in float32 and samples of them can say
INSIDE_SHARE = 0.9  # of the surface of one in the other: what should part them is anyone's guess
NUM_SIDES = 4  # to which a body may leave, of each of two
OTHER_SIDE = 0.5  # cosine between ways out, at most
SAME_WAY = 0.999  # cosine between ways that need no comparison


@dataclass(frozen=True, slots=True, eq=False)
class Contact:
    """Two bodies, by index, that overlap."""

    first: int
    second: int
    depth_m: float  # of the deepest point of one in the other
    direction: Floats  # (3,) unit, along which the first one leaves the second one soonest
    apart_m: float  # how far they have to part along it
    inside: int | None = None  # index of the one that is inside the other; they are not parted


@dataclass(frozen=True, slots=True, eq=False)
class _Depth:
    """Points of one body in another, in the frame in which the other was at its start."""

    points: Floats  # (N, 3) inside
    depths_m: Floats  # (N,)
    outwards: Floats  # (N, 3) unit, out of the other body; where it is now
    inside: bool


def contact(
    pair: tuple[int, int], first: Placed, second: Placed, up: Floats | None
) -> Contact | None:
    """Return how two bodies overlap; None where they do not, or where neither can move.

    Args:
        pair: Their indices.
        first: One body.
        second: The other one.
        up: Normal of what they stand on, ``(3,)``: bodies rather part sideways.
    """
    if (first.body.is_fixed and second.body.is_fixed) or not _boxes_overlap(first, second):
        return None
    in_second, in_first = _depth(first, second), _depth(second, first)
    depth_m = max(
        in_second.depths_m.max(initial=0.0),
        in_first.depths_m.max(initial=0.0),
    )
    if depth_m < TOUCHING_M:
        return None
    if in_second.inside or in_first.inside:
        inside = pair[0] if in_second.inside else pair[1]
        return Contact(*pair, float(depth_m), np.zeros(3), 0.0, inside)
    directions = _directions(first, second, (in_second, in_first), up)
    apart_m = np.array([_apart_m(first, second, (in_second, in_first), d) for d in directions])
    variances_m2 = first.body.variance_m2 + second.body.variance_m2
    ease = np.sqrt(np.einsum("ki,ij,kj->k", directions, variances_m2, directions))
    best = int(np.argmin(apart_m / ease))
    return Contact(*pair, float(depth_m), directions[best], float(apart_m[best]))


def contacts(placed: Sequence[Placed], up: Floats | None) -> list[Contact]:
    """Return how all pairs of bodies overlap."""
    return contacts_anew([], range(len(placed)), placed, up)


def contacts_anew(
    before: Sequence[Contact],
    moved: Collection[int],
    placed: Sequence[Placed],
    up: Floats | None,
) -> list[Contact]:
    """Return how all pairs of bodies overlap after some of them have moved."""
    found = [each for each in before if each.first not in moved and each.second not in moved]
    for pair in combinations(range(len(placed)), 2):
        if pair[0] in moved or pair[1] in moved:
            overlap = contact(pair, placed[pair[0]], placed[pair[1]], up)
            found += [overlap] if overlap is not None else []
    return sorted(found, key=lambda each: (each.first, each.second))


def _boxes_overlap(first: Placed, second: Placed) -> bool:
    low, high = first.body.box(first.now_from_start)
    other_low, other_high = second.body.box(second.now_from_start)
    return bool(((low < other_high) & (other_low < high)).all())


def _depth(placed: Placed, other: Placed) -> _Depth:
    points = placed.points_within(other)
    if not len(points):
        return _Depth(points, np.zeros(0), points, inside=False)
    deep = other.body.is_inside(points)
    # The points are thinned, so their share of all points is not known: those in the box are
    # almost all of them where a body is inside.
    inside = bool(deep.mean() > INSIDE_SHARE) and _is_within(placed, other)
    points = points[deep]
    outwards = other.body.nearest(points) - points
    depths_m = np.linalg.norm(outwards, axis=1)
    outwards /= np.maximum(depths_m, 1e-9)[:, None]
    return _Depth(points, depths_m, outwards @ other.now_from_start.rotation.T, inside)


def _is_within(placed: Placed, other: Placed) -> bool:
    """Tell whether nearly all of a body's surface is within the box of another one."""
    other_from_this = other.now_from_start.inverse() @ placed.now_from_start
    points = other_from_this.apply(placed.body.points)
    within = ((points > other.body.low) & (points < other.body.high)).all(axis=1)
    return bool(within.mean() > INSIDE_SHARE)


def _directions(
    first: Placed, second: Placed, depths: tuple[_Depth, _Depth], up: Floats | None
) -> Floats:
    """Return ways on which the first body may leave the second one, ``(K, 3)`` unit."""
    found = []
    for depth, sign in zip(depths, (1.0, -1.0), strict=True):
        if len(depth.points):
            found += [sign * way for way in _sides(depth)]
            found.append(sign * (depth.depths_m @ depth.outwards))
    found.append(
        first.now_from_start.apply(first.body.middle)
        - second.now_from_start.apply(second.body.middle)
    )
    if up is not None:
        found += [way - (way @ up) * up for way in found]
    lengths = np.linalg.norm(found, axis=1)
    usable = lengths > 1e-6 * lengths.max()
    units = np.array(found)[usable] / lengths[usable, None]
    distinct = [
        way for number, way in enumerate(units) if not (units[:number] @ way > SAME_WAY).any()
    ]
    return np.array(distinct)


def _sides(depth: _Depth) -> list[Floats]:
    """Return ways out to different sides, the one of the deepest point first."""
    left = depth.outwards[np.argsort(-depth.depths_m, kind="stable")]
    sides: list[Floats] = []
    while len(left) and len(sides) < NUM_SIDES:
        sides.append(left[0])
        left = left[left @ left[0] < OTHER_SIDE]
    return sides


def _apart_m(
    first: Placed, second: Placed, depths: tuple[_Depth, _Depth], direction: Floats
) -> float:
    """Return how far bodies must part along a direction until what is inside is outside."""
    farthest_m = 0.0
    for depth, other, way in ((depths[0], second, direction), (depths[1], first, -direction)):
        if len(depth.points):
            exits_m = other.body.exits_m(depth.points, other.now_from_start.rotation.T @ way)
            farthest_m = max(farthest_m, exits_m[np.isfinite(exits_m)].max(initial=0.0))
    return float(farthest_m)
