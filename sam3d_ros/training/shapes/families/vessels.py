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

"""Vessels with handles: mugs, jugs and teapots, pans, trays; and baskets, which are held out."""

import math

from sam3d_ros.training.shapes.combining import Cut, Mirrored, Moved, Union
from sam3d_ros.training.shapes.deforming import Tapered
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families.finish import (
    WALL,
    accented,
    curve,
    disc,
    painted,
    rod,
    up,
    vessel,
)
from sam3d_ros.training.shapes.flats import Petals, Polygon, Rectangle
from sam3d_ros.training.shapes.language import Program
from sam3d_ros.training.shapes.nodes import Solid
from sam3d_ros.training.shapes.primitives import Ball, Box, Extruded, Hoop, Revolved, Tube


def ear(draw: Draw, radius: float, height: float, bar: float) -> Solid:
    """Return a handle at the side of a body around the z axis, between 0 and ``height``."""
    tall = height * draw.between(0.24, 0.36)
    deep = draw.between(0.5, 1.0) * tall + bar
    corner = min(tall, deep) * draw.between(0.35, 1.0)
    flat = bar * draw.between(1.0, 1.7)
    hoop = Hoop((deep, tall), corner, (bar, flat))
    return Moved(hoop, (radius + 0.1 * deep, 0.0, height * draw.between(0.45, 0.58)))


def mug(draw: Draw) -> Program:
    """Return a mug: a thick cup, straight or bellied, round or square, with one ear."""
    height = draw.ratio(0.06, 0.13)
    radius = height * draw.between(0.34, 0.6)
    size = max(height, 2.6 * radius)
    wall = size * draw.between(WALL, 0.06)
    if draw.chance(0.12):
        outline = Rectangle((radius, radius), radius * draw.between(0.15, 0.5))
        body: Solid = Moved(Extruded(outline, height / 2 + 2 * wall), up(height / 2 + 2 * wall))
    else:
        base, belly = draw.between(0.75, 1.02), draw.between(0.92, 1.12)
        sides = curve([(radius * base, 0.0), (radius * belly, 0.5 * height), (radius, height)], 3)
        top = height + 3 * wall
        profile = ((0.0, 0.0), *sides, (radius, top), (0.0, top))
        body = Revolved(Polygon(profile, 0.1 * wall))
    handle = ear(draw, radius, height, 0.5 * size * draw.between(0.048, 0.075))
    paint = painted(draw, size, height / 2)
    if draw.chance(0.3):
        paint = accented(draw, handle, paint)
    return Program(vessel(body, wall, height, (handle,)), paint)


def jug(draw: Draw) -> Program:
    """Return a pitcher, a teapot or a watering pot: a bellied body with handle and spout."""
    height = draw.ratio(0.09, 0.26)
    radius = height * draw.between(0.26, 0.5)
    size = max(height, 3.0 * radius)
    wall = size * draw.between(WALL, 0.055)
    neck = radius * draw.between(0.55, 0.95)
    knots = [
        (radius * draw.between(0.6, 0.95), 0.0),
        (radius, height * draw.between(0.25, 0.5)),
        (neck, height * draw.between(0.75, 0.9)),
        (neck * draw.between(0.95, 1.2), height),
    ]
    sides = curve(knots, 3)
    top = height + 3 * wall
    body = Revolved(Polygon(((0.0, 0.0), *sides, (sides[-1][0], top), (0.0, top)), 0.1 * wall))
    handle = ear(draw, 0.92 * radius, height, 0.5 * size * draw.between(0.05, 0.07))
    paint = painted(draw, size, height / 2)
    if draw.chance(0.5):  # open, with a pouring lip
        lip = rod((-0.5 * neck, 0.0, 0.8 * height), (-1.2 * neck, 0.0, 1.03 * height), 0.4 * neck)
        return Program(vessel(Union((body, lip), wall), wall, height, (handle,)), paint)
    lid = Moved(disc(neck, 0.03 * height, 0.02 * height), up(height))
    knob = Moved(Ball((0.12 * radius,) * 3), up(1.03 * height + 0.08 * radius))
    bar = 0.03 * size
    spout = Tube(
        (
            (-0.7 * radius, 0.0, 0.3 * height),
            (-1.3 * radius, 0.0, 0.55 * height),
            (-1.55 * radius, 0.0, draw.between(0.8, 1.0) * height),
        ),
        (2.2 * bar, 1.3 * bar, bar),
    )
    above = Moved(Box((size, size, size)), up(height + size))
    parts = (Cut(body, (above,)), handle, lid, knob, spout)
    return Program(Union(parts, 0.4 * wall), accented(draw, Union((lid, knob)), paint))


def pan(draw: Draw) -> Program:
    """Return a pan with a long handle, or a pot with two ears and perhaps a lid."""
    radius = draw.ratio(0.035, 0.09)
    height = radius * draw.between(0.3, 1.6)
    top = disc(radius, height, draw.between(0.05, 0.4) * min(radius, height))
    two = draw.chance(0.45)
    size = 2.6 * radius if two else 4.0 * radius
    wall = size * draw.between(WALL, 0.055)
    body = Moved(top, up(height))
    rim = height * draw.between(0.7, 0.95) - 0.2 * wall
    rim = min(rim * 2.0, 2.0 * height - 1.5 * wall - 0.4 * min(radius, height))
    bar = 0.5 * size * draw.between(0.05, 0.075)
    if two:
        hoop = Moved(
            Hoop((0.3 * radius, 0.35 * radius), 0.2 * radius, (bar, bar)), turn=(1.5708, 0.0, 0.0)
        )
        handle: Solid = Mirrored(Moved(hoop, (radius, 0.0, 0.8 * rim)))
    else:
        far = radius * draw.between(2.2, 3.0)
        rise = draw.between(0.6, 1.3) * rim
        handle = rod(
            (0.9 * radius, 0.0, 0.75 * rim), (far, 0.0, rise), bar, bar * draw.between(0.9, 1.4)
        )
    paint = accented(draw, handle, painted(draw, size, height))
    if two and draw.chance(0.4):  # a lid
        lid = Moved(disc(1.02 * radius, 0.6 * wall, 0.5 * wall), up(rim))
        knob = Moved(Ball((0.2 * radius,) * 3), up(rim + 0.6 * wall + 0.12 * radius))
        above = Moved(Box((1.0, 1.0, 1.0)), up(rim + 1.0))
        return Program(Union((Cut(body, (above,)), handle, lid, knob), 0.3 * wall), paint)
    return Program(vessel(body, wall, rim, (handle,)), paint)


def tray(draw: Draw) -> Program:
    """Return an open box: a tray, a bin, a drawer, a baking dish, straight or slanting."""
    size = draw.ratio(0.06, 0.28)
    half = (size / 2, size / 2 * draw.ratio(0.35, 1.0))
    height = size * draw.ratio(0.12, 1.0)
    size = max(size, height)
    wall = size * draw.between(WALL, 0.06)
    corner = half[1] * draw.between(0.0, 0.9)
    over = height / 2 + 2 * wall
    body: Solid = Extruded(Rectangle(half, corner), over, draw.between(0.0, 0.3) * wall)
    if draw.chance(0.5):
        rate = draw.between(0.0, 0.25) / (2 * over)
        body = Tapered(body, (rate, rate))
    extras: list[Solid] = []
    if draw.chance(0.3):  # a broad rim
        brim = Extruded(
            Rectangle((half[0] + 1.2 * wall, half[1] + 1.2 * wall), corner), 0.5 * wall, 0.2 * wall
        )
        extras.append(Moved(brim, up(height - 0.5 * wall)))
    return Program(
        vessel(Moved(body, up(over)), wall, height, extras), painted(draw, size, height / 2)
    )


def basket(draw: Draw) -> Program:
    """Return a basket: a flower-shaped or oval tub that widens upwards, an arch over it."""
    size = draw.ratio(0.1, 0.28)
    height = size * draw.between(0.3, 0.6)
    wall = size * draw.between(WALL + 0.004, 0.06)
    oval, corners = ((draw.between(-0.15, 0.15), draw.angle()) for _ in range(2))
    waves = (oval, (0.0, 0.0), (0.3 * corners[0], corners[1]))
    over = height / 2 + 2 * wall
    radius = 0.4 * size
    rate = draw.between(0.05, 0.3) / (2 * over)
    body = Moved(Tapered(Extruded(Petals(radius, waves), over), (rate, rate)), up(over))
    half = radius * (1.0 + sum(a * math.cos(phase) for a, phase in waves))
    reach = half * (1.0 + rate * (0.85 * height - over)) - 0.6 * wall
    bar = 0.5 * size * draw.between(0.05, 0.07)
    arch = Hoop((reach, 0.9 * height), reach * draw.between(0.5, 1.0) * 0.9, (bar, 1.6 * bar))
    inside = Moved(Box((1.0, 1.0, 1.0)), up(0.8 * height - 1.0))
    handle = Cut(Moved(arch, up(0.8 * height)), (inside,))
    return Program(
        Union((vessel(body, wall, height), handle), 0.3 * wall), painted(draw, size, height / 2)
    )
