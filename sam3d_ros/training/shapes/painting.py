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

"""Patterns and paints: what the surface of a solid looks like, and how it is embossed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.training.shapes.nodes import Paint, Pattern, Points, Solid, Vector

Wave = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Waves(Pattern):
    """The mean of sines; each has a wave vector (radians for each metre) and a phase."""

    waves: tuple[Wave, ...]

    def value(self, at: Points) -> Tensor:
        """Return the mean of the sines."""
        total: Tensor | float = 0.0
        for kx, ky, kz, phase in self.waves:
            total = total + torch.sin(kx * at.x + ky * at.y + kz * at.z + phase)
        return total / len(self.waves)  # type: ignore[return-value]  # a tensor: there are waves


@dataclass(frozen=True, slots=True)
class Spots(Pattern):
    """Spots about ``period`` apart, on a lattice askew to the axes."""

    period: float

    def value(self, at: Points) -> Tensor:
        """Return the product of three cosines."""
        k = 2 * math.pi / self.period
        u, v, w = at.x + 0.41 * at.z, at.y - 0.37 * at.x, at.z + 0.29 * at.y
        return (k * u).cos() * (k * v).cos() * (k * w).cos()


@dataclass(frozen=True, slots=True)
class Around(Pattern):
    """Crests around the z axis, ``slant`` radians further for each metre of height."""

    count: int
    slant: float = 0.0

    def value(self, at: Points) -> Tensor:
        """Return a cosine of the angle."""
        return torch.cos(self.count * torch.atan2(at.y, at.x) + self.slant * at.z)


@dataclass(frozen=True, slots=True)
class Plain(Paint):
    """One colour."""

    rgb: Vector

    def color(self, at: Points) -> Tensor:
        """Return the colour for each point."""
        shapes = (part.shape for part in at)
        shape = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]  # untyped upstream
        color = torch.tensor(self.rgb, dtype=at.x.dtype, device=at.x.device)
        return color.view(3, *(1,) * len(shape)).expand(3, *shape)


@dataclass(frozen=True, slots=True)
class Mixed(Paint):
    """A paint where a pattern is high, one where it is low; ``contrast`` sharpens the seam."""

    pattern: Pattern
    high: Paint
    low: Paint
    contrast: float = 1.0

    def color(self, at: Points) -> Tensor:
        """Return the mix of both paints."""
        share = (0.5 + 0.5 * self.contrast * self.pattern.value(at)).clamp(0.0, 1.0)
        return torch.lerp(self.low.color(at), self.high.color(at), share)


@dataclass(frozen=True, slots=True)
class Masked(Paint):
    """One paint within a solid, another outside it: labels, caps, handles."""

    stencil: Solid
    inside: Paint
    outside: Paint

    def color(self, at: Points) -> Tensor:
        """Return the colour of the side on which each point lies."""
        within = self.stencil.distance(at) < 0.0
        return torch.where(within, self.inside.color(at), self.outside.color(at))
