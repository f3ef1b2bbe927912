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

"""Solids bent, twisted, tapered, stretched and embossed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.training.shapes.nodes import Pattern, Points, Solid, Vector, norm


@dataclass(frozen=True, slots=True)
class Stretched(Solid):
    """A solid scaled by a factor along each axis."""

    solid: Solid
    factors: Vector

    def distance(self, at: Points) -> Tensor:
        """Return the distance before stretching, times the smallest factor."""
        scaled = Points(*(part / each for part, each in zip(at, self.factors, strict=True)))
        return self.solid.distance(scaled) * min(self.factors)

    def reach(self) -> tuple[Vector, Vector]:
        """Return the stretched box."""
        low, high = (
            (c[0] * self.factors[0], c[1] * self.factors[1], c[2] * self.factors[2])
            for c in self.solid.reach()
        )
        return low, high


@dataclass(frozen=True, slots=True)
class Tapered(Solid):
    """A solid whose cross-sections shrink with height: x times ``1 + rates[0] z``, y likewise."""

    solid: Solid
    rates: tuple[float, float]

    def distance(self, at: Points) -> Tensor:
        """Return the distance before tapering, times the smaller of scale and 1."""
        scales = [(1.0 + rate * at.z).clamp(min=0.05) for rate in self.rates]
        distance = self.solid.distance(Points(at.x / scales[0], at.y / scales[1], at.z))
        return distance * torch.minimum(scales[0], scales[1]).clamp(max=1.0)

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the widest section."""
        low, high = self.solid.reach()
        x, y = (max(1.0 + rate * low[2], 1.0 + rate * high[2], 0.05) for rate in self.rates)
        return (low[0] * x, low[1] * y, low[2]), (high[0] * x, high[1] * y, high[2])


@dataclass(frozen=True, slots=True)
class Twisted(Solid):
    """A solid turned about z by ``rate`` radians for each metre of height."""

    solid: Solid
    rate: float

    def distance(self, at: Points) -> Tensor:
        """Return the distance before twisting."""
        angle = self.rate * at.z
        c, s = angle.cos(), angle.sin()
        return self.solid.distance(Points(c * at.x + s * at.y, c * at.y - s * at.x, at.z))

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the circle of the farthest corner."""
        low, high = self.solid.reach()
        far = math.hypot(max(abs(low[0]), abs(high[0])), max(abs(low[1]), abs(high[1])))
        return (-far, -far, low[2]), (far, far, high[2])


@dataclass(frozen=True, slots=True)
class Bent(Solid):
    """A solid along z bent towards +x into a circle of ``curvature`` (1/m); z keeps its length."""

    solid: Solid
    curvature: float

    def distance(self, at: Points) -> Tensor:
        """Return the distance before bending."""
        radius = 1.0 / self.curvature
        inwards = radius - at.x
        angle = torch.atan2(at.z, inwards)
        return self.solid.distance(Points(radius - norm(inwards, at.z), at.y, radius * angle))

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the bent corners and edges."""
        low, high = self.solid.reach()
        radius = 1.0 / self.curvature
        places = []
        for step in range(17):
            angle = (low[2] + (high[2] - low[2]) * step / 16) / radius
            for x in (low[0], high[0]):
                places.append(
                    (radius - (radius - x) * math.cos(angle), (radius - x) * math.sin(angle))
                )
        slack = 0.02 * (high[2] - low[2])
        xs, zs = [x for x, _ in places], [z for _, z in places]
        return (min(xs) - slack, low[1], min(zs) - slack), (
            max(xs) + slack,
            high[1],
            max(zs) + slack,
        )


@dataclass(frozen=True, slots=True)
class Embossed(Solid):
    """A solid whose surface is raised by ``height`` times a pattern; sunk where that is < 0."""

    solid: Solid
    pattern: Pattern
    height: float

    def distance(self, at: Points) -> Tensor:
        """Return the distance less the relief."""
        return self.solid.distance(at) - self.height * self.pattern.value(at)

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the highest relief."""
        low, high = self.solid.reach()
        far = abs(self.height)
        return (low[0] - far, low[1] - far, low[2] - far), (
            high[0] + far,
            high[1] + far,
            high[2] + far,
        )
