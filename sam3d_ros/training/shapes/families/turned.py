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

"""Things made on a wheel: cans and jars, bottles, bowls and plates, cups, spindles."""

import math

from sam3d_ros.training.shapes.combining import Cut, Moved, Union
from sam3d_ros.training.shapes.deforming import Embossed, Stretched
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families.finish import (
    WALL,
    accented,
    curve,
    disc,
    labelled,
    painted,
    up,
    vessel,
)
from sam3d_ros.training.shapes.flats import Polygon
from sam3d_ros.training.shapes.language import Program
from sam3d_ros.training.shapes.nodes import Pair, Solid
from sam3d_ros.training.shapes.painting import Around
from sam3d_ros.training.shapes.primitives import Box, Revolved


def can(draw: Draw) -> Program:
    """Return a can, a tin or a jar: a cylinder with rims, a lid, or recessed ends."""
    height = draw.ratio(0.035, 0.2)
    radius = height * draw.ratio(0.2, 0.9)
    size = max(height, 2 * radius)
    body: Solid = disc(radius, height / 2, draw.between(0.0, 0.12) * min(radius, height))
    if draw.chance(0.5):  # a lid, narrower or wider than the body
        lid = disc(
            radius * draw.between(0.75, 1.08), draw.between(0.03, 0.12) * height, 0.01 * size
        )
        lid = Moved(lid, up(height * draw.between(0.44, 0.52)))
        paint = accented(draw, lid, labelled(draw, size))
        return Program(Union((body, lid), 0.01 * size), paint)
    if draw.chance(0.6):
        depth = draw.between(0.01, 0.06) * size
        rim = draw.between(WALL, 0.07) * size
        hollow = disc(radius - rim, depth, 0.3 * depth)
        body = Cut(body, (Moved(hollow, up(height / 2)), Moved(hollow, up(-height / 2))))
    if draw.chance(0.3):  # ribs around, as of a food can's side or a lid's grip
        body = Embossed(body, Around(draw.whole(8, 24)), draw.between(0.004, 0.01) * size)
    return Program(body, labelled(draw, size))


def bottle(draw: Draw) -> Program:
    """Return a closed bottle: body, shoulder, neck and cap in one profile, round or oval."""
    height = draw.ratio(0.08, 0.3)
    radius = height * draw.between(0.11, 0.3)
    neck = max(radius * draw.between(0.22, 0.65), 0.022 * height)
    start, end = draw.between(0.45, 0.72), draw.between(0.75, 0.88)
    profile: list[Pair] = [(0.0, 0.0), (radius * 0.88, 0.0), (radius, 0.03 * height)]
    if draw.chance(0.3):  # a waist
        profile.append((radius * draw.between(0.75, 0.95), height * start * 0.5))
    bulge = draw.between(0.6, 1.8)
    for step in range(5):
        part = step / 4
        share = (0.5 + 0.5 * math.cos(math.pi * part)) ** bulge
        profile.append((neck + (radius - neck) * share, height * (start + (end - start) * part)))
    cap, low = neck * draw.between(1.0, 1.4), draw.between(0.89, 0.94)
    profile += [(neck, low * height), (cap, low * height), (cap, height), (0.0, height)]
    body: Solid = Revolved(Polygon(tuple(profile), 0.004 * height))
    if draw.chance(0.3):
        body = Stretched(body, (1.0, draw.between(0.5, 0.85), 1.0))
    top = Moved(Box((height, height, height)), up((low + 1.0) * height))
    return Program(body, accented(draw, top, labelled(draw, height, 0.35 * height)))


def bowl(draw: Draw) -> Program:
    """Return a bowl, a dish or a plate: a wide turned shell, often with a foot."""
    radius = draw.ratio(0.035, 0.14)
    height = radius * draw.ratio(0.2, 1.3)
    wall = 2 * radius * draw.between(WALL, 0.07)
    foot = radius * draw.between(0.3, 0.65)
    power = draw.ratio(0.35, 1.4)
    side = [(foot + (radius - foot) * (k / 6) ** power, height * k / 6) for k in range(7)]
    lean = (side[-1][0] - side[-2][0]) / (side[-1][1] - side[-2][1])
    over = 3 * wall  # the side goes on above the rim
    top = (side[-1][0] + lean * over, height + over)
    body = Revolved(Polygon(((0.0, 0.0), *side, top, (0.0, top[1]))))
    extras: list[Solid] = []
    if draw.chance(0.5):
        low = draw.between(0.02, 0.08) * height + 0.3 * wall
        extras.append(
            Moved(
                disc(foot * draw.between(0.75, 1.0), low + 0.5 * wall, 0.2 * wall), up(0.5 * wall)
            )
        )
    return Program(vessel(body, wall, height, extras), painted(draw, 2 * radius, height))


def cup(draw: Draw) -> Program:
    """Return a tumbler, a paper cup, a pot or a glass, some on a stem or a foot."""
    height = draw.ratio(0.05, 0.2)
    radius = height * draw.between(0.26, 0.6)
    base = radius * draw.between(0.55, 1.05)
    size = max(height, 2 * radius)
    wall = size * draw.between(WALL, 0.07)
    belly = draw.between(0.9, 1.15) * (base + radius) / 2
    stem = draw.chance(0.15)
    low = height * draw.between(0.35, 0.5) if stem else 0.0
    sides = curve([(base, low), (belly, (low + height) / 2), (radius, height)], 3)
    top = (radius + (sides[-1][0] - sides[-2][0]) * 0.5, height + 3 * wall)
    body = Revolved(Polygon(((0.0, low), *sides, top, (0.0, top[1])), 0.1 * wall))
    extras: list[Solid] = []
    if stem:
        foot = disc(radius * draw.between(0.6, 1.0), wall / 2, 0.3 * wall)
        post = disc(wall * draw.between(0.6, 1.2), low / 2 + wall / 2)
        extras = [Moved(foot, up(wall / 2)), Moved(post, up(low / 2 + wall / 2))]
    return Program(vessel(body, wall, height, extras), painted(draw, size, height / 2))


def spindle(draw: Draw) -> Program:
    """Return what a lathe makes: candlesticks, pawns, knobs, vases filled in."""
    height = draw.ratio(0.04, 0.25)
    knots: list[Pair] = []
    count = draw.whole(3, 6)
    widest = height * draw.between(0.18, 0.5)
    for index in range(count):
        knots.append((widest * draw.between(0.22, 1.0), height * index / (count - 1)))
    smooth = draw.chance(0.6)
    sides = curve(knots, 3) if smooth else knots
    thinnest = 0.025 * height
    sides = [(max(u, thinnest), v) for u, v in sides]
    profile = ((0.0, 0.0), *sides, (0.0, height))
    body: Solid = Revolved(Polygon(profile, draw.between(0.005, 0.03) * height))
    if draw.chance(0.2):
        body = Embossed(body, Around(draw.whole(5, 14)), 0.012 * height)
    return Program(body, painted(draw, height, height / 2))
