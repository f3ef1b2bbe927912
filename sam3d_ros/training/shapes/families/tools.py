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

"""Tools: hammers, sticks with a working end, drills, flat tools, dispensers."""

import math

from sam3d_ros.training.shapes.combining import Common, Cut, Moved, Union
from sam3d_ros.training.shapes.deforming import Stretched, Tapered
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families.finish import accented, disc, labelled, painted, rod, up
from sam3d_ros.training.shapes.flats import Rectangle
from sam3d_ros.training.shapes.language import Program
from sam3d_ros.training.shapes.nodes import Solid
from sam3d_ros.training.shapes.primitives import Ball, Box, Extruded, Tube

QUARTER = math.pi / 2


def hammer(draw: Draw) -> Program:
    """Return a hammer, a mallet, an axe: a head across the end of a handle, lying along x."""
    length = draw.ratio(0.12, 0.3)
    bar = length * draw.between(0.028, 0.06)
    handle: Solid = rod(
        (-length / 2, 0.0, 0.0), (length / 2, 0.0, 0.0), bar, bar * draw.between(0.6, 1.1)
    )
    wide = length * draw.between(0.12, 0.28)
    thick = max(bar * draw.between(1.0, 2.2), 0.03 * length)
    kind = draw.whole(0, 2)
    if kind == 0:
        head: Solid = Moved(disc(thick, wide, 0.2 * thick), turn=(QUARTER, 0.0, 0.0))
    elif kind == 1:
        head = Box((thick, wide, thick * draw.between(0.8, 1.3)), 0.2 * thick)
    else:
        claw = Tapered(
            Box((thick, thick, wide), 0.2 * thick), (draw.between(-0.7, -0.2) / wide, 0.0)
        )
        head = Moved(claw, turn=(QUARTER, 0.0, 0.0))
    if draw.chance(0.3):
        head = Union(
            (
                head,
                Moved(
                    disc(1.4 * thick, 0.2 * wide, 0.1 * thick),
                    (0.0, wide, 0.0),
                    (QUARTER, 0.0, 0.0),
                ),
            )
        )
    head = Moved(head, (length * draw.between(0.42, 0.5), wide * draw.between(-0.4, 0.4), 0.0))
    paint = accented(draw, head, painted(draw, length))
    return Program(_posed(draw, Union((handle, head), 0.5 * bar)), paint)


def stick(draw: Draw) -> Program:
    """Return a screwdriver, a brush, a spatula, a spoon, a torch: handle, shaft and end along z."""
    length = draw.ratio(0.1, 0.3)
    grip = length * draw.between(0.035, 0.09)
    part = draw.between(0.35, 0.65) * length
    handle: Solid = Moved(disc(grip, part / 2, grip * draw.between(0.2, 1.0)), up(part / 2))
    if draw.chance(0.5):
        handle = Tapered(handle, (draw.between(-0.4, 0.3) / part,) * 2)
    shaft = max(grip * draw.between(0.3, 0.8), 0.022 * length)
    far = length * draw.between(0.85, 1.0)
    middle = rod((0.0, 0.0, part * 0.9), (0.0, 0.0, far), shaft)
    parts: list[Solid] = [handle, middle]
    wide = length * draw.between(0.06, 0.14)
    kind = draw.whole(0, 3)
    if kind == 0:  # a blade
        parts.append(Moved(Box((0.024 * length, wide, 0.15 * length), 0.01 * length), up(far)))
    elif kind == 1:  # a ball or a spoon's bowl, filled
        parts.append(Moved(Ball((draw.between(0.025, 0.06) * length, wide, 1.3 * wide)), up(far)))
    elif kind == 2:  # a lamp's or a brush's head
        parts.append(Moved(disc(wide, 0.1 * length, 0.01 * length), up(far)))
    solid = Union(tuple(parts), 0.3 * shaft)
    turn = (0.0, QUARTER, 0.0) if draw.chance(0.6) else (0.0, 0.0, 0.0)
    return Program(
        Moved(solid, turn=turn), accented(draw, Moved(handle, turn=turn), painted(draw, length))
    )


def drill(draw: Draw) -> Program:
    """Return what is held like a pistol: drill, hair dryer, glue gun, spray gun; grip along z."""
    height = draw.ratio(0.12, 0.25)
    thick = height * draw.between(0.1, 0.17)
    lean = draw.between(-0.12, 0.2) * height
    top = height - thick
    back, front = height * draw.between(0.25, 0.5), height * draw.between(0.25, 0.6)
    barrel = _barrel(draw, thick, (back + front) / 2)
    barrel = Moved(barrel, ((front - back) / 2, 0.0, top), (0.0, QUARTER, 0.0))
    width = thick * draw.between(0.55, 0.9)
    grip = Stretched(
        Tube(((-lean, 0.0, width), (0.0, 0.0, top)), (width, width * draw.between(0.8, 1.2))),
        (draw.between(1.0, 1.3), draw.between(0.7, 1.0), 1.0),
    )
    parts: list[Solid] = [barrel, grip]
    if draw.chance(0.6):
        foot = _foot(draw, thick)
        parts.append(Moved(foot, (-lean + 0.2 * thick, 0.0, foot.half[2])))
    nose = thick * draw.between(0.35, 0.8)
    reach = front + height * draw.between(0.1, 0.35)
    thin = max(nose * draw.between(0.4, 1.0), 0.024 * height)
    tip = rod((front * 0.8, 0.0, top), (reach, 0.0, top), nose, thin)
    if draw.chance(0.75):
        parts.append(tip)
    if draw.chance(0.6):
        trigger = Moved(
            Box((0.2 * thick + width, 0.35 * width, 0.5 * thick), 0.1 * width),
            (0.35 * width, 0.0, top - 1.5 * thick),
        )
        parts.append(trigger)
    solid = Union(tuple(parts), draw.between(0.1, 0.5) * thick)
    paint = accented(draw, grip, accented(draw, tip, painted(draw, height, top)))
    return Program(solid, paint)


def _barrel(draw: Draw, thick: float, half: float) -> Solid:
    """Return the body of a drill, along z."""
    if draw.chance(0.3):
        return Box((thick, thick, half), 0.4 * thick)
    return disc(thick, half, 0.4 * thick)


def _foot(draw: Draw, thick: float) -> Box:
    """Return the battery under a drill's grip."""
    long, wide = thick * draw.between(1.1, 2.0), thick * draw.between(0.7, 1.2)
    return Box((long, wide, thick * draw.between(0.4, 0.9)), 0.2 * thick)


def flat_tool(draw: Draw) -> Program:
    """Return a wrench, a key, an opener, a hanger tag: discs and a bar cut from one plate."""
    length = draw.ratio(0.08, 0.26)
    thick = length * draw.between(0.022, 0.05)
    first, second = (length * draw.between(0.08, 0.17) for _ in range(2))
    bar = length * draw.between(0.035, 0.08)
    ends = (
        Moved(disc(first, thick), (-0.5 * length + first, 0.0, 0.0)),
        Moved(disc(second, thick), (0.5 * length - second, 0.0, 0.0)),
    )
    body = Union((*ends, Box((length * 0.42, bar, thick))), 0.5 * bar)
    cuts: list[Solid] = []
    for place, radius in ((-0.5 * length + first, first), (0.5 * length - second, second)):
        kind = draw.whole(0, 2)
        bore = radius - max(0.3 * radius, 0.045 * length)
        if kind == 0:
            cuts.append(Moved(disc(bore, 2 * thick), (place, 0.0, 0.0)))
        elif kind == 1:  # jaws
            slot = Box((radius, bore * 0.8, 2 * thick), 0.2 * bore)
            cuts.append(Moved(slot, (place + math.copysign(radius, place), 0.0, 0.0)))
    solid: Solid = Cut(body, tuple(cuts), 0.2 * thick) if cuts else body
    solid = Common((solid, Box((length, length, thick), 0.0)), 0.3 * thick)
    return Program(_posed(draw, Moved(solid, turn=(QUARTER, 0.0, 0.0))), painted(draw, length))


def dispenser(draw: Draw) -> Program:
    """Return a bottle with a pump, a trigger or a flip cap: body, neck, head and nozzle."""
    height = draw.ratio(0.1, 0.28)
    half = (height * draw.between(0.12, 0.24), height * draw.between(0.09, 0.2))
    shoulder = height * draw.between(0.5, 0.72)
    outline = Rectangle(half, min(half) * draw.between(0.2, 1.0))
    body: Solid = Moved(
        Extruded(outline, shoulder / 2, min(half) * draw.between(0.1, 0.6)), up(shoulder / 2)
    )
    if draw.chance(0.4):
        body = Tapered(body, (draw.between(-0.4, 0.1) / height,) * 2)
    neck = disc(max(min(half) * draw.between(0.3, 0.7), 0.03 * height), (height - shoulder) / 2)
    neck = Moved(neck, up((height + shoulder) / 2 - 0.05 * height))
    wide = height * draw.between(0.05, 0.1)
    reach = height * draw.between(0.1, 0.3)
    level = height * draw.between(0.92, 0.97)
    bar = height * draw.between(0.025, 0.045)
    head: list[Solid] = [Moved(Box((wide, 0.8 * wide, 0.4 * wide), 0.15 * wide), up(level))]
    head.append(rod((0.0, 0.0, level), (reach, 0.0, level - 0.02 * height), bar))
    if draw.chance(0.4):  # a trigger
        head.append(rod((0.6 * reach, 0.0, level), (0.45 * reach, 0.0, level - 0.17 * height), bar))
    top = Union((neck, *head), 0.3 * bar)
    paint = accented(draw, top, labelled(draw, height, shoulder / 2))
    return Program(Union((body, top), 0.02 * height), paint)


def _posed(draw: Draw, solid: Solid) -> Solid:
    """Return a tool lying as it is, or standing on its end."""
    if draw.chance(0.7):
        return solid
    return Moved(solid, turn=(0.0, QUARTER * draw.one_of((-1.0, 1.0)), 0.0))
