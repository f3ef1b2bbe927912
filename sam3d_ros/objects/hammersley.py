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

"""Hammersley points: a given number of points that fill a cube, or a sphere, evenly."""

import numpy as np
from numpy.typing import NDArray

from sam3d_ros.structures import Floats


def hammersley(num: int) -> Floats:
    """Return ``num`` points ``(N, 3)`` in the unit cube: even, base 2, base 3."""
    index = np.arange(num)
    return np.stack((index / num, _reversed_digits(index, 2), _reversed_digits(index, 3)), axis=-1)


def hammersley_directions(num: int) -> Floats:
    """Return ``num`` directions ``(N, 2)``: azimuth in [0, 2 pi), then elevation, radians."""
    even, base_2, _ = hammersley(num).T
    return np.stack((2.0 * np.pi * base_2, np.arcsin(2.0 * even - 1.0)), axis=-1)


def _reversed_digits(index: NDArray[np.integer], base: int) -> Floats:
    """Return the van der Corput sequence: an integer's digits mirrored at the point."""
    value, rest, weight = np.zeros(len(index)), index, 1.0
    while rest.any():
        rest, digit = np.divmod(rest, base)
        weight /= base
        value += weight * digit
    return value
