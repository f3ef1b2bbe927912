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

"""Things without edges: fruit; animals and shoes, which are held out."""

import math

from sam3d_ros.training.shapes.combining import Cut, Mirrored, Moved, Union
from sam3d_ros.training.shapes.deforming import Bent, Embossed, Stretched
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families.finish import curve, noise, painted, rod, up
from sam3d_ros.training.shapes.flats import Polygon
from sam3d_ros.training.shapes.language import Program
from sam3d_ros.training.shapes.nodes import Pair, Solid
from sam3d_ros.training.shapes.painting import Around, Masked, Mixed, Plain
from sam3d_ros.training.shapes.primitives import Ball, Box, Revolved, Tube


def fruit(draw: Draw) -> Program:
    """Return an apple, a pear, a lemon, a potato, a pumpkin, a banana, a carrot, bread."""
    size = draw.ratio(0.035, 0.2)
    if draw.chance(0.35):
        return Program(_long(draw, size), _skin(draw, size))
    body = _round(draw, size)
    if draw.chance(0.5):
        body = Embossed(body, noise(draw, size, 4), draw.between(0.01, 0.05) * size)
    elif draw.chance(0.4):
        body = Embossed(body, Around(draw.whole(3, 9)), draw.between(0.008, 0.03) * size)
    if draw.chance(0.3):
        bar = 0.025 * size
        body = Union((body, rod((0.0, 0.0, 0.8 * size), (0.03 * size, 0.0, 1.15 * size), bar)), bar)
    return Program(body, _skin(draw, size))


def _round(draw: Draw, size: float) -> Solid:
    """Return something like an apple, a pear or an egg, standing at the origin."""
    middle = draw.between(0.3, 0.55)
    widest = size * draw.between(0.32, 0.58)
    knots: list[Pair] = [(0.0, size * draw.between(0.0, 0.1))]  # a dimple below
    for step in range(1, 8):
        height = step / 8
        share = height / middle if height < middle else (1.0 - height) / (1.0 - middle)
        knots.append((widest * math.sqrt(share * (2.0 - share)), size * height))
    if draw.chance(0.3):  # a neck, as of a pear
        waist = draw.between(0.45, 0.85)
        knots = [(u * (waist if v > 0.65 * size else 1.0), v) for u, v in knots]
    knots.append((0.0, size * draw.between(0.88, 1.0)))  # a dimple above
    body: Solid = Revolved(Polygon(tuple(curve(knots, 2)), 0.01 * size))
    if draw.chance(0.3):
        body = Stretched(body, (draw.between(0.75, 1.1), draw.between(0.75, 1.1), 1.0))
    return body


def _long(draw: Draw, size: float) -> Solid:
    """Return something like a banana or a carrot, lying along x."""
    thick = size * draw.between(0.08, 0.24)
    knots = [(0.0, -0.5), (draw.between(0.3, 0.9), -0.42), (1.0, draw.between(-0.2, 0.2))]
    knots += [(draw.between(0.3, 0.9), 0.4), (0.1, 0.5), (0.0, 0.51)]
    profile = curve([(u * thick, v * size) for u, v in knots], 3)
    body: Solid = Revolved(Polygon(tuple(profile), 0.02 * size))
    if draw.chance(0.5):
        body = Embossed(body, Around(draw.whole(3, 6)), 0.08 * thick)
    if draw.chance(0.7):
        body = Bent(body, draw.between(0.3, 2.2) / size)
    return Moved(body, turn=(math.pi / 2 * draw.one_of((0.0, 1.0)), math.pi / 2, 0.0))


def _skin(draw: Draw, size: float) -> Mixed:
    """Return a mottled paint of two like colours."""
    red, green, blue = draw.color()
    other = (red * draw.between(0.6, 1.0), green * draw.between(0.6, 1.0), blue)
    return Mixed(noise(draw, size, 5), Plain((red, green, blue)), Plain(other), 1.5)


def animal(draw: Draw) -> Program:
    """Return a toy animal: trunk, head, legs, ears and tail grown into each other."""
    size = draw.ratio(0.06, 0.2)
    long, thick = 0.3 * size, size * draw.between(0.12, 0.2)
    leg = size * draw.between(0.12, 0.3)
    high = leg + 0.8 * thick
    trunk = Moved(Ball((long, thick, thick * draw.between(0.85, 1.15))), up(high))
    head = size * draw.between(0.1, 0.17)
    face = (long * draw.between(0.9, 1.25), 0.0, high + thick * draw.between(0.5, 1.4))
    parts: list[Solid] = [trunk, Moved(Ball((head, head * 0.9, head * 0.9)), face)]
    parts.append(rod((0.6 * long, 0.0, high), face, 0.6 * head))
    nose = (face[0] + head * draw.between(0.9, 1.6), 0.0, face[2] - 0.2 * head)
    parts.append(rod(face, nose, 0.55 * head, 0.35 * head))
    bar = size * draw.between(0.03, 0.06)
    foot = rod((0.62 * long, 0.55 * thick, bar), (0.55 * long, 0.5 * thick, high), bar, 1.2 * bar)
    parts.append(Mirrored(Mirrored(foot, 0), 1))
    lobe = head * draw.between(0.3, 0.6)
    ear = Moved(
        Ball((0.024 * size, lobe, lobe * draw.between(1.0, 2.0))),
        (face[0], 0.7 * head, face[2] + 0.9 * head),
    )
    parts.append(Mirrored(ear, 1))
    if draw.chance(0.7):
        end = (-long * draw.between(1.2, 1.6), 0.0, high + thick * draw.between(-0.5, 1.5))
        parts.append(rod((-0.8 * long, 0.0, high), end, 0.03 * size, 0.025 * size))
    solid = Union(tuple(parts), draw.between(0.02, 0.05) * size)
    return Program(solid, painted(draw, size, high))


def shoe(draw: Draw) -> Program:
    """Return a shoe or a slipper: toe, instep and heel over a flat sole, open for the foot."""
    length = draw.ratio(0.1, 0.28)
    wide = length * draw.between(0.15, 0.2)
    tall = length * draw.between(0.28, 0.45)
    toe = Moved(Ball((0.26 * length, wide, 0.2 * length)), (0.24 * length, 0.0, 0.06 * length))
    ankle = Tube(
        ((-0.3 * length, 0.0, 0.0), (-0.3 * length, 0.0, tall + 0.2 * length)),
        (0.85 * wide, 0.8 * wide),
    )
    instep = rod(
        (0.2 * length, 0.0, 0.05 * length),
        (-0.28 * length, 0.0, 0.75 * tall),
        0.8 * wide,
        0.7 * wide,
    )
    body = Union((toe, ankle, instep), 0.12 * length)
    upper = Cut(
        body,
        (Moved(Box((1.0, 1.0, 1.0)), up(tall + 1.0)), Moved(Box((1.0, 1.0, 1.0)), up(-1.0))),
        0.01 * length,
    )
    inner = Tube(
        (
            (0.15 * length, 0.0, 0.09 * length),
            (-0.28 * length, 0.0, 0.12 * length),
            (-0.3 * length, 0.0, tall + 0.3 * length),
        ),
        (0.4 * wide, 0.55 * wide, 0.5 * wide),
    )
    path = ((0.3 * length, 0.0, 0.0), (0.0, 0.0, 0.0), (-0.32 * length, 0.0, 0.0))
    sole = Stretched(
        Tube(path, (1.05 * wide, 0.9 * wide, 0.95 * wide)), (1.0, 1.0, draw.between(0.12, 0.3))
    )
    solid = Union((Cut(upper, (inner,), 0.01 * length), sole), 0.005 * length)
    band = Moved(Box((1.0, 1.0, 1.0)), up(0.02 * length - 1.0))
    paint = Masked(band, Plain(draw.color()), painted(draw, length, tall / 2))
    return Program(solid, paint)
