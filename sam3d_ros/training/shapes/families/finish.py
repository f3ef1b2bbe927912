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

"""What families share: walls that a grid resolves, and how surfaces are painted."""

import math

from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.nodes import Paint, Pattern, Solid, Vector
from sam3d_ros.training.shapes.painting import Around, Masked, Mixed, Plain, Spots, Waves
from sam3d_ros.training.shapes.primitives import Box

# The thinnest wall in largest extents: 1.6 voxels of a box of 64 whose side is 1.6 extents.
WALL = 0.042


def painted(draw: Draw, size_m: float) -> Paint:
    """Return a paint: plain, mottled, striped, spotted, or banded."""
    kind = draw.between(0.0, 1.0)
    first = Plain(draw.color())
    if kind < 0.3:
        return first
    second = Plain(draw.color())
    if kind < 0.55:
        return Mixed(noise(draw, size_m, draw.whole(3, 6)), first, second, draw.ratio(0.5, 8.0))
    if kind < 0.8:
        return Mixed(pattern(draw, size_m), first, second, draw.ratio(2.0, 20.0))
    return banded(draw, size_m, first, second)


def banded(draw: Draw, size_m: float, inside: Paint, outside: Paint) -> Paint:
    """Return a paint with a level band, as of a label."""
    half = draw.between(0.08, 0.4) * size_m
    return Masked(Box((9.0, 9.0, half)), inside, outside)


def labelled(draw: Draw, size_m: float) -> Paint:
    """Return the paint of a package: a ground, a label on it, print on the label."""
    ground, label, ink = (Plain(draw.color()) for _ in range(3))
    printed = Mixed(pattern(draw, size_m), ink, label, draw.ratio(4.0, 20.0))
    half = draw.between(0.1, 0.3) * size_m
    inner = Masked(Box((9.0, 9.0, half * draw.between(0.4, 0.9))), printed, label)
    return Masked(Box((9.0, 9.0, half)), inner, ground)


def pattern(draw: Draw, size_m: float) -> Pattern:
    """Return stripes in some direction, crests around the axis, or spots."""
    kind = draw.between(0.0, 1.0)
    if kind < 0.4:
        return Around(draw.whole(2, 9), draw.between(-1.0, 1.0) * 12.0 / size_m)
    if kind < 0.7:
        return Spots(size_m * draw.ratio(0.12, 0.4))
    length = 2 * math.pi / (size_m * draw.ratio(0.08, 0.4))
    x, y, z = draw.direction()
    return Waves(((x * length, y * length, z * length, draw.angle()),))


def noise(draw: Draw, size_m: float, count: int) -> Waves:
    """Return a smooth random pattern: sines in random directions."""
    waves = []
    for _ in range(count):
        length = 2 * math.pi / (size_m * draw.ratio(0.3, 1.2))
        x, y, z = draw.direction()
        waves.append((x * length, y * length, z * length, draw.angle()))
    return Waves(tuple(waves))


def overpainted(draw: Draw, part: Solid, paint: Paint) -> Paint:
    """Return a paint in which one part has a colour of its own."""
    return Masked(part, Plain(draw.color()), paint)


def up(height: float) -> Vector:
    """Return a shift along z."""
    return 0.0, 0.0, height
