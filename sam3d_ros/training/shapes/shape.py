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

"""An object of a family: the program that a seed gives, and its bounds."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sam3d_ros.errors import ShapeProgramError
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families import BUILDERS
from sam3d_ros.training.shapes.language import Program, described, parsed
from sam3d_ros.training.shapes.nodes import Points, Solid, Vector

PROBE_CELLS = 40  # along each axis, to find where the surface ends
ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One object: z up as it stands, in metres."""

    program: Program
    family: str
    seed: int
    bounds_m: tuple[Vector, Vector]  # lowest and highest corner around the surface

    @property
    def centre_m(self) -> Vector:
        """The middle of the bounds."""
        low, high = self.bounds_m
        return (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2

    @property
    def extent_m(self) -> Vector:
        """Length of the bounds along x, y and z."""
        low, high = self.bounds_m
        return high[0] - low[0], high[1] - low[1], high[2] - low[2]


def shape_of(family: str, seed: int) -> Shape:
    """Return the object that a seed gives in a family; the same on every machine.

    Raises:
        ShapeProgramError: For a family that does not exist.
    """
    if family not in BUILDERS:
        raise ShapeProgramError(f"family must be one of {', '.join(BUILDERS)}, got {family!r}")
    for attempt in range(ATTEMPTS):
        program = BUILDERS[family](Draw(family, seed, attempt))
        program = parsed(described(program))  # the text is the whole truth
        probe = _probed(program.solid)
        if _in_one_piece(probe.field):
            return Shape(program=program, family=family, seed=seed, bounds_m=_bounds(probe))
    raise ShapeProgramError(f"{family} {seed} must be in one piece, is not in {ATTEMPTS} attempts")


def measured(solid: Solid) -> tuple[Vector, Vector]:
    """Return the lowest and the highest corner around the surface of a solid."""
    return _bounds(_probed(solid))


class _Probe(NamedTuple):
    """A solid's field on a small grid that goes one cell beyond its reach."""

    field: Tensor  # (N, N, N)
    axes: list[Tensor]  # of x, y and z: (N, 1, 1), (1, N, 1) and (1, 1, N)


def _probed(solid: Solid) -> _Probe:
    axes = []
    for axis, (start, end) in enumerate(zip(*solid.reach(), strict=True)):
        step = (end - start) / PROBE_CELLS
        places = start + step * (torch.arange(-1, PROBE_CELLS + 1) + 0.5)
        axes.append(places.view(*(-1 if each == axis else 1 for each in range(3))))
    field = solid.distance(Points(*axes)).expand([PROBE_CELLS + 2] * 3)
    return _Probe(field, axes)


def _in_one_piece(field: Tensor) -> bool:
    """Tell whether what is inside hangs together, if only by corners of cells."""
    _, count = ndimage.label(field.numpy() < 0.0, structure=np.ones((3, 3, 3)))
    return bool(count == 1)


def _bounds(probe: _Probe) -> tuple[Vector, Vector]:
    ends = [_ends(probe.field, places.flatten(), axis) for axis, places in enumerate(probe.axes)]
    return (ends[0][0], ends[1][0], ends[2][0]), (ends[0][1], ends[1][1], ends[2][1])


def _ends(field: Tensor, places: Tensor, axis: int) -> tuple[float, float]:
    """Return where along an axis the solid begins and ends.

    The smallest distance of each slice falls evenly towards the first slice that the solid meets.
    """
    others = [each for each in range(3) if each != axis]
    least = field.amin(dim=others).tolist()
    inside = [index for index, each in enumerate(least) if each < 0.0]
    if not inside:
        raise ShapeProgramError("a program must have an inside, this one is empty")
    first, last = max(inside[0], 1), min(inside[-1], len(least) - 2)
    start = _crossing(places, least, first, first - 1)
    end = _crossing(places, least, last, last + 1)
    return start, end


def _crossing(places: Tensor, least: list[float], inner: int, outer: int) -> float:
    begin, end = float(places[inner]), float(places[outer])
    part = least[inner] / min(least[inner] - least[outer], -1e-12)
    return round(begin + (end - begin) * min(max(part, 0.0), 1.0), 6)
