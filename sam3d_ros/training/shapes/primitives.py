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

"""Solids that stand at the leaves of a program."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sam3d_ros.training.shapes.nodes import (
    Flat,
    Numbers,
    Pair,
    Points,
    Solid,
    Vector,
    edged,
    norm,
)


@dataclass(frozen=True, slots=True)
class Ball(Solid):
    """An ellipsoid around the origin."""

    radii: Vector

    def distance(self, at: Points) -> Tensor:
        """Return the distance to first order (exact for a sphere)."""
        scaled = [part / radius for part, radius in zip(at, self.radii, strict=True)]
        level = norm(*scaled)
        steep = norm(*(part / radius for part, radius in zip(scaled, self.radii, strict=True)))
        inmost = -min(self.radii)
        return torch.where(steep > 1e-6, level * (level - 1.0) / steep.clamp(min=1e-6), inmost)

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the ellipsoid."""
        return _around(*self.radii)


@dataclass(frozen=True, slots=True)
class Box(Solid):
    """A box around the origin, its edges rounded inside ``half``."""

    half: Vector
    radius: float = 0.0

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the faces."""
        core = [half - self.radius for half in self.half]
        beyond = [part.abs() - half for part, half in zip(at, core, strict=True)]
        return edged(tuple(beyond)) - self.radius

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box itself."""
        return _around(*self.half)


@dataclass(frozen=True, slots=True)
class Revolved(Solid):
    """What a profile sweeps around the z axis; its u is the radius, its v the height."""

    profile: Flat

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the profile in the half plane of each point."""
        return self.profile.distance(norm(at.x, at.y), at.z)

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the circles of the profile."""
        (low_u, low_v), (high_u, high_v) = self.profile.reach()
        far = max(abs(low_u), abs(high_u))
        return (-far, -far, low_v), (far, far, high_v)


@dataclass(frozen=True, slots=True)
class Extruded(Solid):
    """A flat region of x and y, thick by ``half_height`` both ways along z, its rims rounded."""

    outline: Flat
    half_height: float
    radius: float = 0.0

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the outline and to the two ends."""
        sides = self.outline.distance(at.x, at.y) + self.radius
        ends = at.z.abs() - (self.half_height - self.radius)
        return edged((sides, ends)) - self.radius

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the outline between the two ends."""
        (low_u, low_v), (high_u, high_v) = self.outline.reach()
        return (low_u, low_v, -self.half_height), (high_u, high_v, self.half_height)


@dataclass(frozen=True, slots=True)
class Tube(Solid):
    """A round tube along a polyline, its radius running evenly between those at the points."""

    path: tuple[Vector, ...]
    radii: Numbers

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the nearest segment."""
        nearest = None
        stations = list(zip(self.path, self.radii, strict=True))
        for (start, begin), (end, finish) in pairwise(stations):
            along = [b - a for a, b in zip(start, end, strict=True)]
            offset = [part - a for part, a in zip(at, start, strict=True)]
            square = sum(each * each for each in along)
            reached = [each * length for each, length in zip(offset, along, strict=True)]
            part = ((reached[0] + reached[1] + reached[2]) / square).clamp(0.0, 1.0)
            gaps = [each - part * length for each, length in zip(offset, along, strict=True)]
            distance = norm(*gaps) - (begin + part * (finish - begin))
            nearest = distance if nearest is None else torch.minimum(nearest, distance)
        if nearest is None:
            raise ValueError(f"a tube needs 2 points, got {self.path}")
        return nearest

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the balls at the points."""
        sized = list(zip(self.path, self.radii, strict=True))
        low = [min(point[axis] - radius for point, radius in sized) for axis in range(3)]
        high = [max(point[axis] + radius for point, radius in sized) for axis in range(3)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])


@dataclass(frozen=True, slots=True)
class Hoop(Solid):
    """A closed loop in the plane of x and z, of round or flat section: handles, rings, frames.

    The middle of its bar follows a rectangle of ``half`` with rounded corners; the bar is
    ``2 bar[0]`` wide in the plane and ``2 bar[1]`` along y.
    """

    half: Pair
    corner: float
    bar: Pair

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the bar (exact where its section is round)."""
        core = [half - self.corner for half in self.half]
        line = edged((at.x.abs() - core[0], at.z.abs() - core[1])) - self.corner
        thin = min(self.bar)
        return edged((line.abs() - (self.bar[0] - thin), at.y.abs() - (self.bar[1] - thin))) - thin

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the loop."""
        return _around(self.half[0] + self.bar[0], self.bar[1], self.half[1] + self.bar[0])


def _around(x: float, y: float, z: float) -> tuple[Vector, Vector]:
    return (-x, -y, -z), (x, y, z)
