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

"""Things with flat faces: cartons and books, and stones."""

import math

from sam3d_ros.training.shapes.combining import Common, Moved
from sam3d_ros.training.shapes.deforming import Tapered
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families.finish import labelled, painted
from sam3d_ros.training.shapes.language import Program
from sam3d_ros.training.shapes.nodes import Solid
from sam3d_ros.training.shapes.primitives import Box


def carton(draw: Draw) -> Program:
    """Return a box, a book, a brick, a tin: straight or tapering."""
    size = draw.ratio(0.05, 0.28)
    half = (
        size * draw.ratio(0.08, 0.5),
        size * draw.ratio(0.12, 0.5),
        size * draw.ratio(0.12, 0.5),
    )
    body: Solid = Box(half, min(half) * draw.one_of((0.03, 0.1, 0.3, 0.6)))
    if draw.chance(0.2):
        rate = draw.between(-0.4, 0.4) / (2 * half[2])
        body = Tapered(body, (rate, rate * draw.one_of((0.0, 1.0))))
    return Program(body, labelled(draw, size))


def polyhedron(draw: Draw) -> Program:
    """Return a stone: what many half spaces share, rounded off."""
    size = draw.ratio(0.04, 0.16)
    slabs: list[Solid] = []
    for _ in range(draw.whole(4, 8)):
        x, y, z = draw.direction()
        turn = math.acos(z)
        axis = math.hypot(x, y)
        half = size * draw.between(0.28, 0.5)
        shift = size * 0.06
        slab = Box((size, size, half))
        slabs.append(
            Moved(slab, (x * shift, y * shift, z * shift), (-y / axis * turn, x / axis * turn, 0.0))
        )
    return Program(Common(tuple(slabs), 0.04 * size), painted(draw, size))
