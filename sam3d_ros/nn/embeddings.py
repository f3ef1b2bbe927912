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

"""Numbers to vectors: flow times and grid positions as sines and cosines."""

import math

import torch
from torch import Tensor, nn

from sam3d_ros.nn.linear import Float32Linear

MAX_PERIOD = 10000.0
NUM_TIME_FREQUENCIES = 128


def sinusoid(values: Tensor, num_frequencies: int = NUM_TIME_FREQUENCIES) -> Tensor:
    """Embed numbers ``(T,)`` as ``(T, 2 * num_frequencies)``: all cosines, then all sines."""
    angles = values.float()[:, None] * _frequencies(num_frequencies, values.device)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


def position_embedding(positions: Tensor, dim: int) -> Tensor:
    """Embed integer positions on a grid ``(N, 3)`` as ``(N, dim)``, float32.

    Each axis takes ``dim // 6`` sines, then as many cosines; zeros fill what is left of ``dim``.
    """
    angles = positions.float()[..., None] * _frequencies(dim // 6, positions.device)
    waves = torch.cat((angles.sin(), angles.cos()), dim=-1).flatten(1)  # axis by axis
    return nn.functional.pad(waves, (0, dim - waves.shape[-1]))


def grid_positions(resolution: int) -> Tensor:
    """Return the positions of a cubic grid's cells ``(resolution^3, 3)``, z running fastest."""
    axis = torch.arange(resolution)
    return torch.cartesian_prod(axis, axis, axis)


class TimestepEmbedder(nn.Module):
    """A number as a vector for modulation; always in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            Float32Linear(2 * NUM_TIME_FREQUENCIES, dim), nn.SiLU(), Float32Linear(dim, dim)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Embed numbers ``(T,)``, times in thousandths of the flow, as ``(T, D)``."""
        return self.mlp(sinusoid(values))


def _frequencies(num: int, device: torch.device) -> Tensor:
    """Return ``num`` angular frequencies falling from 1 towards 1 / MAX_PERIOD."""
    exponents = torch.arange(num, device=device, dtype=torch.float32) / num
    return torch.exp(-math.log(MAX_PERIOD) * exponents)
