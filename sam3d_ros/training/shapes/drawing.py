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

"""Random numbers that are the same on every machine."""

import hashlib
import math
import random
from collections.abc import Sequence
from typing import TypeVar

from sam3d_ros.training.shapes.nodes import Vector

T = TypeVar("T")


class Draw:
    """A seeded source of the numbers from which a family builds a program.

    Only ``random.Random.random`` is used, whose sequence Python keeps across versions.
    """

    def __init__(self, *words: str | int) -> None:
        """Begin the sequence that belongs to these words."""
        digest = hashlib.sha256("/".join(map(str, words)).encode("ascii")).digest()
        self._random = random.Random(int.from_bytes(digest[:16], "big"))

    def between(self, low: float, high: float) -> float:
        """Return a number between two, evenly."""
        return low + (high - low) * self._random.random()

    def ratio(self, low: float, high: float) -> float:
        """Return a number between two positive ones, evenly in its logarithm."""
        return math.exp(self.between(math.log(low), math.log(high)))

    def whole(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def chance(self, share: float) -> bool:
        """Return True in this share of cases."""
        return self._random.random() < share

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of several."""
        return choices[self.whole(0, len(choices) - 1)]

    def angle(self) -> float:
        """Return an angle in [0, 2 pi)."""
        return self.between(0.0, 2.0 * math.pi)

    def direction(self) -> Vector:
        """Return a unit vector, evenly over the sphere."""
        z, angle = self.between(-1.0, 1.0), self.angle()
        flat = math.sqrt(1.0 - z * z)
        return flat * math.cos(angle), flat * math.sin(angle), z

    def color(self) -> Vector:
        """Return a colour: any hue, from grey to strong, from dark to light."""
        hue, value = self.between(0.0, 6.0), self.between(0.2, 1.0)
        strength = self.between(0.0, 1.0) ** 1.5
        parts = [(5.0 + hue) % 6.0, (3.0 + hue) % 6.0, (1.0 + hue) % 6.0]
        red, green, blue = (
            value * (1.0 - strength * max(0.0, min(part, 4.0 - part, 1.0))) for part in parts
        )
        return red, green, blue
