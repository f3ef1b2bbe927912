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


"""Random numbers of a batch: a function of a key, on the device where they are needed."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407  # Knuth's, of MMIX
MASK = (1 << 64) - 1


def mixed(*key: int) -> int:
    """Return a seed in [0, 2^63) for a key of integers; other keys have unrelated ones."""
    state = 0
    for part in key:
        state = (state ^ (part & MASK)) * MULTIPLIER + INCREMENT & MASK
        state = ((state >> 32) ^ state) * MULTIPLIER & MASK
        state ^= state >> 29
    return state >> 1


class Draws:
    """Draws of one batch; shapes are ``(B, ...)``."""

    def __init__(self, device: torch.device, *key: int) -> None:
        self.device = device
        self._generator = torch.Generator(device).manual_seed(mixed(*key))

    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw evenly from ``[low, high)``."""
        unit = torch.rand(tuple(shape), generator=self._generator, device=self.device)
        return low + (high - low) * unit

    def log_uniform(self, shape: Sequence[int], low: float, high: float) -> Tensor:
        """Draw so that every factor between ``low`` and ``high`` is as likely."""
        return self.uniform(shape, math.log(low), math.log(high)).exp()

    def normal(self, shape: Sequence[int], sigma: float = 1.0) -> Tensor:
        """Draw from a Gaussian around 0."""
        return sigma * torch.randn(tuple(shape), generator=self._generator, device=self.device)

    def chance(self, shape: Sequence[int], share: float) -> Tensor:
        """Return True in a ``share`` of cases."""
        return self.uniform(shape) < share

    def integers(self, shape: Sequence[int], end: int) -> Tensor:
        """Draw from 0 to ``end - 1``."""
        return torch.randint(end, tuple(shape), generator=self._generator, device=self.device)

    def directions(self, shape: Sequence[int]) -> Tensor:
        """Draw unit vectors ``(*shape, 3)``."""
        return F.normalize(self.normal((*shape, 3)), dim=-1)
