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

"""Shapes that are nothing in particular: prisms, random booleans, frames of rods."""

import math

from sam3d_ros.training.shapes.combining import Common, Cut, Moved, Ring, Union
from sam3d_ros.training.shapes.deforming import Bent, Embossed, Tapered, Twisted
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families.finish import WALL, disc, noise, painted, up
from sam3d_ros.training.shapes.flats import Petals, Polygon, Rectangle
from sam3d_ros.training.shapes.language import Program
from sam3d_ros.training.shapes.nodes import Flat, Numbers, Pair, Solid, Vector
from sam3d_ros.training.shapes.primitives import Ball, Box, Extruded, Hoop, Tube


def prism(draw: Draw) -> Program:
    """Return an extruded outline - flower, star, polygon - straight, twisted, tapered or bored."""
    size = draw.ratio(0.04, 0.2)
    half = size / 2 * draw.ratio(0.2, 1.0)
    body: Solid = Extruded(_outline(draw, size / 2), half, draw.between(0.0, 0.03) * size)
    if draw.chance(0.3):
        body = Twisted(body, draw.between(-1.2, 1.2) / half)
    if draw.chance(0.35):
        rate = draw.between(-0.35, 0.35) / half
        body = Tapered(body, (rate, rate))
    if draw.chance(0.3):
        bore = disc(size * draw.between(0.1, 0.22), 2 * half)
        body = Cut(body, (Moved(bore, up(draw.one_of((0.0, 2.2 * half)))),), 0.01 * size)
    if draw.chance(0.3):
        body = Moved(body, turn=(math.pi / 2, 0.0, 0.0))
    return Program(body, painted(draw, size))


def _outline(draw: Draw, far: float) -> Flat:
    kind = draw.whole(0, 3)
    if kind == 0:
        waves = [
            (draw.between(-0.25, 0.25) / (k + 1), draw.angle()) for k in range(draw.whole(1, 5))
        ]
        return Petals(far * 0.8, tuple(waves))
    if kind == 1:
        return Rectangle((far, far * draw.between(0.3, 1.0)), 0.1 * far)
    count = draw.whole(3, 8)
    inner = draw.between(0.5, 0.85) if kind == 2 else draw.between(0.97, 1.0)
    points: list[Pair] = []
    for index in range(2 * count):
        angle = math.pi * index / count
        radius = 0.92 * far * (inner if index % 2 else 1.0)
        if kind == 3:
            radius *= draw.between(0.75, 1.0)
            angle += draw.between(-0.3, 0.3) / count
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return Polygon(tuple(points), 0.04 * far)


def csg(draw: Draw) -> Program:
    """Return primitives joined and cut at random."""
    size = draw.ratio(0.05, 0.22)
    spot: Vector = (0.0, 0.0, 0.0)
    parts: list[Solid] = []
    for _ in range(draw.whole(2, 5)):
        radius = size * draw.between(0.12, 0.3)
        parts.append(_placed(draw, _primitive(draw, radius), spot))
        x, y, z = draw.direction()
        step = radius * draw.between(0.5, 1.0)  # the next begins within this one
        spot = (spot[0] + x * step, spot[1] + y * step, spot[2] + z * step)
    body: Solid = Union(tuple(parts), size * draw.between(0.0, 0.08))
    for _ in range(draw.whole(0, 2)):
        x, y, z = draw.direction()
        far = size * draw.between(0.2, 0.35)
        cut = _primitive(draw, size * draw.between(0.08, 0.2))
        body = Cut(
            body, (_placed(draw, cut, (x * far, y * far, z * far)),), size * draw.between(0.0, 0.03)
        )
    if draw.chance(0.2):
        body = Embossed(body, noise(draw, size, 4), 0.02 * size)
    if draw.chance(0.15):
        body = Bent(body, draw.between(0.3, 1.2) / size)
    return Program(body, painted(draw, size))


def _primitive(draw: Draw, radius: float) -> Solid:
    """Return a simple solid that contains the ball of half its radius."""
    sides = [radius * draw.between(0.6, 1.4) for _ in range(3)]
    kind = draw.whole(0, 4)
    if kind == 0:
        return Ball((sides[0], sides[1], sides[2]))
    if kind == 1:
        return Box((sides[0], sides[1], sides[2]), draw.between(0.0, 0.6) * radius)
    if kind == 2:
        return disc(sides[0], sides[1], draw.between(0.0, 0.5) * radius)
    if kind == 3:
        return Tapered(disc(sides[0], sides[1]), (-draw.between(0.2, 0.8) / sides[1],) * 2)
    return Extruded(_outline(draw, 1.1 * sides[0]), sides[1], 0.05 * radius)


def _placed(draw: Draw, solid: Solid, spot: Vector) -> Solid:
    angle = draw.one_of((0.0, 0.0, math.pi / 2, draw.angle()))
    x, y, z = draw.direction()
    return Moved(solid, spot, (x * angle, y * angle, z * angle))


def rods(draw: Draw) -> Program:
    """Return bars and hoops: frames, tripods, jacks, knots of tubes, spoked wheels."""
    size = draw.ratio(0.06, 0.25)
    bar = 0.5 * size * draw.between(0.06, 0.12)
    kind = draw.whole(0, 2)
    if kind == 0:  # a wheel
        ring = Moved(Hoop((0.5 * size,) * 2, 0.5 * size, (bar, bar)), turn=(math.pi / 2, 0.0, 0.0))
        spoke = Tube(((0.0, 0.0, 0.0), (0.5 * size, 0.0, 0.0)), (bar, 0.8 * bar))
        hub = disc(2 * bar, bar * draw.between(1.0, 3.0), 0.3 * bar)
        wheel: Solid = Union((ring, Ring(spoke, draw.whole(3, 7)), hub), 0.5 * bar)
        turn = (math.pi / 2, 0.0, 0.0) if draw.chance(0.5) else (0.0, 0.0, 0.0)
        return Program(Moved(wheel, turn=turn), painted(draw, size))
    if kind == 1:  # branches
        tubes = [_branch(draw, size, bar) for _ in range(draw.whole(2, 5))]
        return Program(Union(tuple(tubes), bar), painted(draw, size))
    half = (0.5 * size, size * draw.between(0.25, 0.5))  # a frame or a cage
    hoop = Hoop(half, min(half) * draw.between(0.05, 1.0), (bar, bar * draw.between(1.0, 2.5)))
    apart = size * draw.between(0.1, 0.3)
    rail = Tube(((half[0], -apart, 0.0), (half[0], apart, 0.0)), (bar, bar))
    ends = [Moved(hoop, (0.0, side * apart, 0.0)) for side in (-1.0, 1.0)]
    other = Moved(rail, (-2 * half[0], 0.0, 0.0))
    cage = Common(
        (Union((*ends, rail, other), 0.5 * bar), Ball((size, size, size))), WALL * 0.1 * size
    )
    return Program(cage, painted(draw, size))


def _branch(draw: Draw, size: float, bar: float) -> Tube:
    """Return a tube of two pieces from the middle outwards."""
    x, y, z = draw.direction()
    first = size * draw.between(0.2, 0.35)
    knee = (x * first, y * first, z * first)
    u, v, w = draw.direction()
    second = size * draw.between(0.1, 0.3)
    end = (knee[0] + u * second, knee[1] + v * second, knee[2] + w * second)
    radii: Numbers = (bar * 1.2, bar, bar * draw.between(0.6, 1.4))
    return Tube(((0.0, 0.0, 0.0), knee, end), radii)
