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

"""Things with flat faces: cartons, gadgets, furniture; stones and brackets, which are held out."""

import math

from sam3d_ros.training.shapes.combining import Common, Cut, Mirrored, Moved, Row, Union
from sam3d_ros.training.shapes.deforming import Bent, Tapered
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families.finish import (
    accented,
    disc,
    labelled,
    painted,
    rod,
    up,
)
from sam3d_ros.training.shapes.flats import Polygon, Rectangle
from sam3d_ros.training.shapes.language import Program
from sam3d_ros.training.shapes.nodes import Solid
from sam3d_ros.training.shapes.primitives import Ball, Box, Extruded


def carton(draw: Draw) -> Program:
    """Return a box, a book, a brick, a bar of soap: straight, tapering, or with a gable."""
    size = draw.ratio(0.055, 0.28)
    half = (
        size * draw.ratio(0.07, 0.5),
        size * draw.ratio(0.12, 0.5),
        size * draw.ratio(0.12, 0.5),
    )
    body: Solid = Box(half, min(half) * draw.one_of((0.03, 0.1, 0.3, 0.7)))
    if draw.chance(0.2):
        rate = draw.between(-0.4, 0.4) / (2 * half[2])
        body = Tapered(body, (rate, rate * draw.one_of((0.0, 1.0))))
    elif draw.chance(0.2):
        x, top = half[0], half[2] + half[0] * draw.between(0.6, 1.4)
        gable = ((-x, -half[2]), (x, -half[2]), (x, half[2]), (0.0, top), (-x, half[2]))
        outline = Extruded(Polygon(gable), half[1], 0.02 * size)
        body = Moved(outline, turn=(math.pi / 2, 0.0, 0.0))
    return Program(body, labelled(draw, size))


def gadget(draw: Draw) -> Program:
    """Return a remote control, a phone, a clock, a mouse: a rounded slab with buttons."""
    length = draw.ratio(0.06, 0.24)
    half = (length / 2, length / 2 * draw.between(0.25, 0.9), length * draw.between(0.04, 0.15))
    corner = half[1] * draw.between(0.15, 0.95)
    slab: Solid = Extruded(Rectangle(half[:2], corner), half[2], half[2] * draw.between(0.1, 0.95))
    if draw.chance(0.4):
        slab = Moved(
            Bent(Moved(slab, turn=(0.0, math.pi / 2, 0.0)), draw.between(0.2, 1.5) / length),
            turn=(0.0, -math.pi / 2, 0.0),
        )
    size = min(half[0], half[1])
    button = disc(
        size * draw.between(0.1, 0.3), half[2] + draw.between(0.006, 0.03) * length, 0.004 * length
    )
    if draw.chance(0.4):
        button = Box(
            (size * 0.15, size * draw.between(0.2, 0.6), half[2] + 0.02 * length), 0.004 * length
        )
    count = draw.whole(1, 4)
    keys: Solid = Row(button, count, 1.2 * half[0] / count) if count > 1 else button
    keys = Moved(keys, (half[0] * draw.between(-0.2, 0.2), 0.0, 0.1 * half[2]))
    paint = accented(draw, keys, labelled(draw, length, half[2]))
    solid: Solid = Union((slab, keys), 0.004 * length)
    if draw.chance(0.3):  # standing on its edge
        solid = Moved(solid, turn=(0.0, -math.pi / 2 + draw.between(0.0, 0.3), 0.0))
    return Program(solid, paint)


def stand(draw: Draw) -> Program:
    """Return a stool, a table, a tripod, a chair for dolls: a plate on legs."""
    height = draw.ratio(0.06, 0.2)
    half = (height * draw.between(0.35, 0.7), height * draw.between(0.3, 0.7))
    thick = height * draw.between(0.03, 0.08)
    if draw.chance(0.5):
        seat: Solid = disc(half[0], thick, 0.5 * thick)
        half = (half[0], half[0])
    else:
        seat = Box((*half, thick), 0.3 * thick)
    foot = draw.between(0.75, 1.05)
    bar = height * draw.between(0.03, 0.055)
    inset = 0.85 if draw.chance(0.6) else 0.6
    top = (half[0] * inset * 0.75, half[1] * inset * 0.75, height)
    leg = rod(
        (half[0] * foot * 0.8, half[1] * foot * 0.8, bar), top, bar, bar * draw.between(0.8, 1.3)
    )
    legs = Mirrored(Mirrored(leg, 0), 1)
    parts: list[Solid] = [Moved(seat, up(height)), legs]
    if draw.chance(0.35):  # a back
        back = Box((thick, half[1], height * draw.between(0.25, 0.5)), 0.3 * thick)
        parts.append(Moved(back, (-half[0] + thick, 0.0, 1.35 * height)))
    if draw.chance(0.3):
        shelf = Box((half[0] * 0.8, half[1] * 0.8, 0.8 * thick), 0.2 * thick)
        parts.append(Moved(shelf, up(height * draw.between(0.2, 0.5))))
    solid = Union(tuple(parts), draw.between(0.0, 0.5) * bar)
    return Program(solid, painted(draw, height, height / 2))


def polyhedron(draw: Draw) -> Program:
    """Return a stone: what many slabs in random directions share, rounded off."""
    size = draw.ratio(0.04, 0.16)
    slabs: list[Solid] = []
    for _ in range(draw.whole(4, 8)):
        x, y, z = draw.direction()
        flat = math.hypot(x, y)
        turn = math.acos(z) / flat
        shift = size * draw.between(-0.08, 0.08)
        slab = Box((size, size, size * draw.between(0.28, 0.5)))
        slabs.append(Moved(slab, (x * shift, y * shift, z * shift), (-y * turn, x * turn, 0.0)))
    body = Common((Ball((0.75 * size,) * 3), *slabs), 0.04 * size)
    return Program(body, painted(draw, size))


def bracket(draw: Draw) -> Program:
    """Return a machined part: an angle or a channel with bolt holes, a gusset, a bushing."""
    size = draw.ratio(0.05, 0.2)
    half = (size / 2, size * draw.between(0.18, 0.4), size * draw.between(0.03, 0.06))
    corner = half[1] * draw.between(0.05, 0.6)
    base: Solid = Moved(Extruded(Rectangle(half[:2], corner), half[2]), up(half[2]))
    tall = size * draw.between(0.25, 0.5)
    plate: Solid = Moved(Box((half[2], half[1] * 0.95, tall)), (0.0, 0.0, tall))
    place = half[0] * draw.one_of((0.9, 0.9, 0.5, 0.0))
    upright = Moved(plate, (-place, 0.0, 0.0))
    solids: list[Solid] = [base, Mirrored(upright) if draw.chance(0.35) else upright]
    if draw.chance(0.5):
        side = tall * draw.between(0.5, 1.2)
        triangle = Polygon(((0.0, 0.0), (side, 0.0), (0.0, side)))
        gusset = Moved(Extruded(triangle, half[2]), turn=(math.pi / 2, 0.0, 0.0))
        solids.append(Moved(gusset, (-place, 0.0, half[2])))
    if draw.chance(0.4):
        boss = disc(half[1] * draw.between(0.4, 0.7), size * 0.12)
        solids.append(Moved(boss, (0.5 * half[0], 0.0, size * 0.12)))
    bore = half[1] * draw.between(0.2, 0.34)
    hole = Row(disc(bore, size), draw.whole(1, 3), half[0] * 0.62)
    across = Moved(disc(1.2 * bore, size), up(tall * 1.35), (0.0, math.pi / 2, 0.0))
    holes: tuple[Solid, ...] = (Moved(hole, (0.3 * half[0], 0.0, 0.0)), across)
    solid = Cut(Union(tuple(solids), 0.02 * size), holes[: draw.whole(1, 2)])
    return Program(solid, painted(draw, size, size / 4))
