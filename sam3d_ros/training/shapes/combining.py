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

"""Solids made of other solids: joined, cut, hollowed, moved, repeated."""

import math
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from sam3d_ros.training.shapes.nodes import Points, Solid, Vector


@dataclass(frozen=True, slots=True)
class Union(Solid):
    """What lies in any part; seams are filled with fillets of about ``blend``."""

    parts: tuple[Solid, ...]
    blend: float = 0.0

    def distance(self, at: Points) -> Tensor:
        """Return the smallest distance, less where two are nearly the same."""
        total = self.parts[0].distance(at)
        for part in self.parts[1:]:
            total = smooth_minimum(total, part.distance(at), self.blend)
        return total

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around all parts and their fillets."""
        reaches = [part.reach() for part in self.parts]
        low = [min(low[axis] for low, _ in reaches) - self.blend / 4 for axis in range(3)]
        high = [max(high[axis] for _, high in reaches) + self.blend / 4 for axis in range(3)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])


@dataclass(frozen=True, slots=True)
class Common(Solid):
    """What lies in all parts; edges between them are rounded by about ``blend``."""

    parts: tuple[Solid, ...]
    blend: float = 0.0

    def distance(self, at: Points) -> Tensor:
        """Return the largest distance, more where two are nearly the same."""
        total = self.parts[0].distance(at)
        for part in self.parts[1:]:
            total = -smooth_minimum(-total, -part.distance(at), self.blend)
        return total

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box that the boxes of all parts share."""
        reaches = [part.reach() for part in self.parts]
        low = [max(low[axis] for low, _ in reaches) for axis in range(3)]
        high = [min(high[axis] for _, high in reaches) for axis in range(3)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])


@dataclass(frozen=True, slots=True)
class Cut(Solid):
    """A body without what lies in the others; edges of the cut are rounded by about ``blend``."""

    body: Solid
    removed: tuple[Solid, ...]
    blend: float = 0.0

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the body, or to the removed from within."""
        total = self.body.distance(at)
        for part in self.removed:
            total = -smooth_minimum(-total, part.distance(at), self.blend)
        return total

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box of the body."""
        return self.body.reach()


@dataclass(frozen=True, slots=True)
class Wall(Solid):
    """The skin of a body, inwards of its surface by ``thickness``."""

    body: Solid
    thickness: float

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the middle of the skin, less half its thickness."""
        half = self.thickness / 2
        return (self.body.distance(at) + half).abs() - half

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box of the body."""
        return self.body.reach()


@dataclass(frozen=True, slots=True)
class Grown(Solid):
    """A solid whose surface lies ``margin`` further out, or further in where that is negative."""

    solid: Solid
    margin: float

    def distance(self, at: Points) -> Tensor:
        """Return the distance less the margin."""
        return self.solid.distance(at) - self.margin

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box grown by the margin."""
        low, high = self.solid.reach()
        far = self.margin
        return (
            (low[0] - far, low[1] - far, low[2] - far),
            (high[0] + far, high[1] + far, high[2] + far),
        )


@dataclass(frozen=True, slots=True)
class Moved(Solid):
    """A solid turned by ``turn`` (axis times angle) about the origin, then shifted."""

    solid: Solid
    shift: Vector = (0.0, 0.0, 0.0)
    turn: Vector = (0.0, 0.0, 0.0)

    def distance(self, at: Points) -> Tensor:
        """Return the distance in the frame of the solid."""
        offset = [
            part - shift if shift else part for part, shift in zip(at, self.shift, strict=True)
        ]
        if not any(self.turn):
            return self.solid.distance(Points(*offset))
        columns = zip(*rotation(self.turn), strict=True)  # of the transpose: the turn back
        turned = [weighted(column, offset) for column in columns]
        return self.solid.distance(Points(*turned))

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the turned corners of the solid's box."""
        rows = rotation(self.turn)
        corners = list(product(*zip(*self.solid.reach(), strict=True)))
        turned = [
            [sum(r * c for r, c in zip(row, corner, strict=True)) for row in rows]
            for corner in corners
        ]
        low = [min(c[axis] for c in turned) + self.shift[axis] for axis in range(3)]
        high = [max(c[axis] for c in turned) + self.shift[axis] for axis in range(3)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])


@dataclass(frozen=True, slots=True)
class Mirrored(Solid):
    """A solid and its mirror image in the plane x = 0 (axis 0) or y = 0 (axis 1)."""

    solid: Solid
    axis: int = 0

    def distance(self, at: Points) -> Tensor:
        """Return the distance from the positive side."""
        if self.axis == 0:
            return self.solid.distance(Points(at.x.abs(), at.y, at.z))
        return self.solid.distance(Points(at.x, at.y.abs(), at.z))

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around both."""
        low, high = self.solid.reach()
        far = max(abs(low[self.axis]), abs(high[self.axis]))
        if self.axis == 0:
            return (-far, low[1], low[2]), (far, high[1], high[2])
        return (low[0], -far, low[2]), (high[0], far, high[2])


@dataclass(frozen=True, slots=True)
class Ring(Solid):
    """A solid repeated ``count`` times around the z axis; it should lie about the x axis."""

    solid: Solid
    count: int

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the copy in whose sector a point lies."""
        step = 2 * math.pi / self.count
        angle = torch.atan2(at.y, at.x)
        angle = angle - torch.round(angle / step) * step
        radius = (at.x * at.x + at.y * at.y).sqrt()
        return self.solid.distance(Points(radius * angle.cos(), radius * angle.sin(), at.z))

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the circle of the farthest corner."""
        low, high = self.solid.reach()
        far = math.hypot(max(abs(low[0]), abs(high[0])), max(abs(low[1]), abs(high[1])))
        return (-far, -far, low[2]), (far, far, high[2])


@dataclass(frozen=True, slots=True)
class Row(Solid):
    """A solid repeated ``count`` times along x, ``step`` apart, centred."""

    solid: Solid
    count: int
    step: float

    def distance(self, at: Points) -> Tensor:
        """Return the distance to the nearest copy."""
        odd = (self.count - 1) / 2
        index = torch.round(at.x / self.step + odd).clamp(0.0, 2 * odd) - odd
        return self.solid.distance(Points(at.x - self.step * index, at.y, at.z))

    def reach(self) -> tuple[Vector, Vector]:
        """Return the box around the first and the last."""
        low, high = self.solid.reach()
        far = self.step * (self.count - 1) / 2
        return (low[0] - far, low[1], low[2]), (high[0] + far, high[1], high[2])


def smooth_minimum(a: Tensor, b: Tensor, blend: float) -> Tensor:
    """Return the minimum, rounded off by a parabola where both are within ``blend``."""
    if blend == 0.0:
        return torch.minimum(a, b)
    overlap = (blend - (a - b).abs()).clamp(min=0.0)
    return torch.minimum(a, b) - overlap * overlap * (0.25 / blend)


def rotation(turn: Vector) -> tuple[Vector, Vector, Vector]:
    """Return the rotation matrix of axis times angle (Rodrigues' formula)."""
    angle = math.hypot(*turn)
    if angle == 0.0:
        return (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    x, y, z = (each / angle for each in turn)
    c, s = math.cos(angle), math.sin(angle)
    k = 1.0 - c
    return (
        (c + x * x * k, x * y * k - z * s, x * z * k + y * s),
        (y * x * k + z * s, c + y * y * k, y * z * k - x * s),
        (z * x * k - y * s, z * y * k + x * s, c + z * z * k),
    )


def weighted(weights: tuple[float, ...], parts: list[Tensor]) -> Tensor:
    """Return the sum of tensors times numbers."""
    total = weights[0] * parts[0]
    for weight, part in zip(weights[1:], parts[1:], strict=True):
        total = total + weight * part
    return total
