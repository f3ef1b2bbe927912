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

"""Flat regions, from which solids are revolved and extruded."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sam3d_ros.training.shapes.nodes import Flat, Pair, edged, norm


@dataclass(frozen=True, slots=True)
class Disc(Flat):
    """A disc around the origin."""

    radius: float

    def distance(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the distance to the circle."""
        return norm(u, v) - self.radius

    def reach(self) -> tuple[Pair, Pair]:
        """Return the square around the disc."""
        return (-self.radius, -self.radius), (self.radius, self.radius)


@dataclass(frozen=True, slots=True)
class Rectangle(Flat):
    """A rectangle around the origin, its corners rounded inside ``half``."""

    half: Pair
    radius: float = 0.0

    def distance(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the distance to the outline."""
        core = [half - self.radius for half in self.half]
        return edged((u.abs() - core[0], v.abs() - core[1])) - self.radius

    def reach(self) -> tuple[Pair, Pair]:
        """Return the rectangle itself."""
        return (-self.half[0], -self.half[1]), self.half


@dataclass(frozen=True, slots=True)
class Polygon(Flat):
    """A closed outline through points, inflated by ``radius``; for a profile u is the radius.

    A profile to revolve that starts and ends on the axis (u = 0) encloses the axis.
    """

    points: tuple[Pair, ...]
    radius: float = 0.0

    def distance(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the distance to the outline; the sign from the number of crossings."""
        squared, inside = None, None
        for (au, av), (bu, bv) in self._edges():
            eu, ev = bu - au, bv - av
            pu, pv = u - au, v - av
            part = ((pu * eu + pv * ev) / (eu * eu + ev * ev)).clamp(0.0, 1.0)
            pu, pv = pu - part * eu, pv - part * ev
            square = pu * pu + pv * pv
            squared = square if squared is None else torch.minimum(squared, square)
            if av != bv:
                crosses = (v >= min(av, bv)) & (v < max(av, bv))
                crosses = crosses & (u < au + (v - av) * (eu / ev))
                inside = crosses if inside is None else inside ^ crosses
        if squared is None or inside is None:
            raise ValueError(f"a polygon needs 3 points that enclose an area, got {self.points}")
        length = squared.sqrt()
        return torch.where(inside, -length, length) - self.radius

    def reach(self) -> tuple[Pair, Pair]:
        """Return the rectangle around the outline."""
        us, vs = [u for u, _ in self.points], [v for _, v in self.points]
        r = self.radius
        return (min(us) - r, min(vs) - r), (max(us) + r, max(vs) + r)

    def _edges(self) -> list[tuple[Pair, Pair]]:
        """Return the edges; those of a profile on the axis are mirrored at it."""
        points = list(self.points)
        if points[0][0] == 0.0 and points[-1][0] == 0.0:
            points += [(-u, v) for u, v in points[-2:0:-1]]
        closed = [*points, points[0]]
        return [(a, b) for a, b in pairwise(closed) if a != b]


@dataclass(frozen=True, slots=True)
class Petals(Flat):
    """A disc whose radius waves around it: ``radius * (1 + sum_k amplitude_k cos(k a + phase_k))``.

    The k-th pair of ``waves`` is amplitude and phase of the wave with k + 2 crests.
    """

    radius: float
    waves: tuple[Pair, ...]

    def distance(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the radial distance to the outline, shortened by the steepest slope."""
        angle = torch.atan2(v, u)
        ripple: Tensor | float = 1.0
        for index, (amplitude, phase) in enumerate(self.waves):
            ripple = ripple + amplitude * torch.cos((index + 2) * angle + phase)
        slope = sum((index + 2) * abs(a) for index, (a, _) in enumerate(self.waves))
        return (norm(u, v) - self.radius * ripple) / math.hypot(1.0, slope)

    def reach(self) -> tuple[Pair, Pair]:
        """Return the square around the largest radius."""
        far = self.radius * (1.0 + sum(abs(amplitude) for amplitude, _ in self.waves))
        return (-far, -far), (far, far)
