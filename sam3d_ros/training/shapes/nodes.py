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

"""What the language of shapes is made of: the kinds of nodes, and what each must answer.

A program is a tree of frozen dataclasses that hold numbers (metres, radians) and other nodes.
Points are three tensors that broadcast against each other, so that the axes of a grid stay small
until a node mixes them. The formulas of distances follow I. Quilez, https://iquilezles.org/articles/.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

Numbers = tuple[float, ...]
Vector = tuple[float, float, float]
Pair = tuple[float, float]


class Points(NamedTuple):
    """Places in space, of shapes that broadcast."""

    x: Tensor
    y: Tensor
    z: Tensor


class Node:
    """Anything that a description can hold."""

    __slots__ = ()


class Solid(Node, ABC):
    """A solid in space."""

    __slots__ = ()

    @abstractmethod
    def distance(self, at: Points) -> Tensor:
        """Return how far outside the solid points are; within it less than 0.

        The sign is right everywhere, the amount only near the surface: gridding measures it again.
        """

    @abstractmethod
    def reach(self) -> tuple[Vector, Vector]:
        """Return the lowest and the highest corner of a box that contains the solid."""


class Flat(Node, ABC):
    """A region of a plane."""

    __slots__ = ()

    @abstractmethod
    def distance(self, u: Tensor, v: Tensor) -> Tensor:
        """Return how far outside the region points are; within it less than 0."""

    @abstractmethod
    def reach(self) -> tuple[Pair, Pair]:
        """Return the lowest and the highest corner of a rectangle that contains the region."""


class Pattern(Node, ABC):
    """A number in [-1, 1] for each place."""

    __slots__ = ()

    @abstractmethod
    def value(self, at: Points) -> Tensor:
        """Return the pattern's value at points."""


class Paint(Node, ABC):
    """A colour for each place."""

    __slots__ = ()

    @abstractmethod
    def color(self, at: Points) -> Tensor:
        """Return colours ``(3, ...)`` in [0, 1] at points."""


def norm(*parts: Tensor) -> Tensor:
    """Return the length of vectors given by their components."""
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total = total + part * part
    return total.sqrt()


def edged(beyond: tuple[Tensor, ...]) -> Tensor:
    """Return the distance to a corner from how far points are beyond each of its faces.

    Outside it is the Euclidean distance, inside the distance to the nearest face.
    """
    nearest = beyond[0]
    for each in beyond[1:]:
        nearest = nearest.maximum(each)
    return norm(*(each.clamp(min=0.0) for each in beyond)) + nearest.clamp(max=0.0)
