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

"""Things made on a wheel: cans and jars, bottles, bowls and plates, cups, vases."""

import math

from sam3d_ros.training.shapes.combining import Cut, Moved, Union
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families.finish import WALL, labelled, up
from sam3d_ros.training.shapes.flats import Polygon, Rectangle
from sam3d_ros.training.shapes.language import Program
from sam3d_ros.training.shapes.nodes import Pair, Solid
from sam3d_ros.training.shapes.primitives import Revolved


def disc(radius: float, half_height: float, rounding: float = 0.0) -> Solid:
    """Return an upright cylinder around the origin."""
    return Revolved(Rectangle((radius, half_height), min(rounding, radius, half_height)))


def can(draw: Draw) -> Program:
    """Return a can, a tin or a jar: a cylinder with rims, a lid, or a recessed top."""
    height = draw.ratio(0.04, 0.2)
    radius = height * draw.ratio(0.22, 1.1) * 0.6
    size = max(height, 2 * radius)
    body: Solid = disc(radius, height / 2, draw.between(0.0, 0.12) * min(radius, height))
    if draw.chance(0.5):  # a lid or a rim, wider or narrower than the body
        lid_radius = radius * draw.between(0.8, 1.08)
        lid = disc(lid_radius, draw.between(0.03, 0.12) * height, 0.01 * size)
        body = Union((body, Moved(lid, up(height * draw.between(0.44, 0.52)))), 0.01 * size)
    if draw.chance(0.5):
        depth = draw.between(0.02, 0.06) * size
        rim = draw.between(WALL, 0.08) * size
        hollow = disc(radius - rim, depth, 0.3 * depth)
        body = Cut(body, (Moved(hollow, up(height / 2)), Moved(hollow, up(-height / 2))))
    return Program(body, labelled(draw, size))


def bottle(draw: Draw) -> Program:
    """Return a closed bottle: body, shoulder, neck and cap in one profile."""
    height = draw.ratio(0.1, 0.32)
    radius = height * draw.between(0.11, 0.24)
    neck = radius * draw.between(0.22, 0.6)
    start, end = draw.between(0.45, 0.7), draw.between(0.74, 0.88)
    profile: list[Pair] = [(0.0, 0.0), (radius * 0.9, 0.0), (radius, 0.03 * height)]
    if draw.chance(0.3):  # a waist
        profile.append((radius * draw.between(0.75, 0.95), height * start * 0.5))
    bulge = draw.between(0.6, 1.8)
    for step in range(5):
        part = step / 4
        share = (0.5 + 0.5 * math.cos(math.pi * part)) ** bulge
        profile.append((neck + (radius - neck) * share, height * (start + (end - start) * part)))
    cap = neck * draw.between(1.0, 1.35)
    low = draw.between(0.89, 0.94)
    profile += [(neck, low * height), (cap, low * height), (cap, height), (0.0, height)]
    rounding = 0.004 * height
    return Program(Revolved(Polygon(tuple(profile), rounding)), labelled(draw, height))
