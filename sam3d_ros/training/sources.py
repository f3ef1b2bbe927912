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

"""Where training steps take their batches from."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

BatchT_co = TypeVar("BatchT_co", covariant=True)


class SampleSource(Protocol[BatchT_co]):
    """An endless row of batches, each a function of its index alone."""

    def batch(self, step: int, size: int) -> BatchT_co:
        """Return the batch of an index, of ``size`` samples, on the source's device."""
        ...


class InTurn(Generic[BatchT_co]):
    """A ``SampleSource`` of several, one batch of each after the other."""

    def __init__(self, sources: Sequence[SampleSource[BatchT_co]]) -> None:
        self._sources = sources

    def batch(self, step: int, size: int) -> BatchT_co:
        """Return the batch of an index."""
        num = len(self._sources)
        return self._sources[step % num].batch(step // num, size)


def shuffled_rounds(num: int, first: int, size: int, seed: int) -> Tensor:
    """Return ``size`` indices below ``num`` from an endless row of shuffled rounds."""
    places = torch.arange(first, first + size)
    order = {
        each: torch.randperm(num, generator=torch.Generator().manual_seed(1_000_003 * seed + each))
        for each in set((places // num).tolist())
    }
    return torch.stack([order[int(place) // num][int(place) % num] for place in places])
