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

"""What families share: vessels whose walls a grid resolves, curves, and paints of surfaces."""

import math
from collections.abc import Sequence

from sam3d_ros.training.shapes.combining import Cut, Grown, Moved, Union
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.flats import Rectangle
from sam3d_ros.training.shapes.nodes import Paint, Pair, Pattern, Solid, Vector
from sam3d_ros.training.shapes.painting import Around, Masked, Mixed, Plain, Spots, Waves
from sam3d_ros.training.shapes.primitives import Box, Revolved, Tube

# The thinnest wall in largest extents: 1.6 voxels of a box of 64 whose side is 1.6 extents.
WALL = 0.042
BROAD = 1.0  # metres: more than any object


def vessel(body: Solid, wall: float, rim: float, extras: Sequence[Solid] = ()) -> Solid:
    """Return a body hollowed out to a wall and cut open at the height ``rim``.

    The body must reach above the rim by more than the wall. Extras (handles, spouts) are fused to
    its outside and leave the hollow free.
    """
    above = Moved(Box((BROAD, BROAD, BROAD)), up(BROAD + rim))
    outside: Solid = Cut(body, (above,), 0.3 * wall)
    if extras:
        outside = Union((outside, *extras), 0.5 * wall)
    return Cut(outside, (Grown(body, -wall),), 0.3 * wall)


def disc(radius: float, half_height: float, rounding: float = 0.0) -> Solid:
    """Return an upright cylinder around the origin."""
    return Revolved(Rectangle((radius, half_height), min(rounding, radius, half_height)))


def rod(start: Vector, end: Vector, radius: float, end_radius: float | None = None) -> Tube:
    """Return a straight rod with round ends."""
    return Tube((start, end), (radius, radius if end_radius is None else end_radius))


def curve(points: Sequence[Pair], count: int) -> list[Pair]:
    """Return ``count`` points of each piece of a Catmull-Rom curve through points."""
    ends = [points[0], *points, points[-1]]
    result = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for step in range(count):
            t = step / count
            u, v = (_hermite((a[k], b[k], c[k], d[k]), t) for k in range(2))
            result.append((max(u, 0.0), v))
    return [*result, points[-1]]


def _hermite(at: tuple[float, float, float, float], t: float) -> float:
    a, b, c, d = at
    linear, square, cube = c - a, 2 * a - 5 * b + 4 * c - d, 3 * b - a - 3 * c + d
    return b + 0.5 * t * (linear + t * (square + t * cube))


def painted(draw: Draw, size: float, middle: float = 0.0) -> Paint:
    """Return a paint: plain, mottled, striped, spotted, or with a band at height ``middle``."""
    kind = draw.between(0.0, 1.0)
    first, second = Plain(draw.color()), Plain(draw.color())
    if kind < 0.3:
        return first
    if kind < 0.55:
        return Mixed(noise(draw, size, draw.whole(3, 6)), first, second, draw.ratio(0.5, 8.0))
    if kind < 0.8:
        return Mixed(pattern(draw, size), first, second, draw.ratio(2.0, 20.0))
    return Masked(band(middle, draw.between(0.08, 0.4) * size), first, second)


def labelled(draw: Draw, size: float, middle: float = 0.0) -> Paint:
    """Return the paint of a package: a ground, a label around ``middle``, print on the label."""
    if draw.chance(0.3):
        return painted(draw, size, middle)
    ground, label, ink = (Plain(draw.color()) for _ in range(3))
    printed = Mixed(pattern(draw, size), ink, label, draw.ratio(4.0, 20.0))
    half = draw.between(0.1, 0.3) * size
    inner = Masked(band(middle, half * draw.between(0.4, 0.9)), printed, label)
    return Masked(band(middle, half), inner, ground)


def accented(draw: Draw, part: Solid, paint: Paint) -> Paint:
    """Return a paint in which one part, a little grown, has a colour of its own."""
    return Masked(Grown(part, 0.0005), Plain(draw.color()), paint)


def band(middle: float, half: float) -> Solid:
    """Return the level slab of all places near a height."""
    return Moved(Box((BROAD, BROAD, half)), up(middle))


def pattern(draw: Draw, size: float) -> Pattern:
    """Return stripes in some direction, crests around the axis, or spots."""
    kind = draw.between(0.0, 1.0)
    if kind < 0.4:
        return Around(draw.whole(2, 9), draw.between(-1.0, 1.0) * 12.0 / size)
    if kind < 0.7:
        return Spots(size * draw.ratio(0.12, 0.4))
    length = 2 * math.pi / (size * draw.ratio(0.08, 0.4))
    x, y, z = draw.direction()
    return Waves(((x * length, y * length, z * length, draw.angle()),))


def noise(draw: Draw, size: float, count: int) -> Waves:
    """Return a smooth random pattern: sines in random directions."""
    waves = []
    for _ in range(count):
        length = 2 * math.pi / (size * draw.ratio(0.3, 1.2))
        x, y, z = draw.direction()
        waves.append((x * length, y * length, z * length, draw.angle()))
    return Waves(tuple(waves))


def up(height: float) -> Vector:
    """Return a shift along z."""
    return 0.0, 0.0, height
