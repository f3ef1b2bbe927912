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

"""Linear layers and how they choose the precision in which they compute."""

from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """A linear layer that computes in the precision of its weights, whatever its input's is.

    With it a model may keep its residual stream and norms in float32 and its weights in half
    precision, and no caller has to convert.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., I)`` to ``(..., O)``."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


class Float32Linear(nn.Linear):
    """A linear layer that computes in float32 even where its weights are stored in less.

    For the few small layers whose rounding would reach everything after them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., I)`` to ``(..., O)``, float32."""
        return F.linear(x.float(), self.weight.float(), self.bias.float())


class FeedForward(nn.Module):
    """Two linear layers with the tanh form of GELU between them."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            Linear(dim, hidden_dim), nn.GELU(approximate="tanh"), Linear(hidden_dim, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., D)`` to ``(..., D)``."""
        return self.mlp(x)


def modulation_layer(dim: int) -> nn.Sequential:
    """Return the layer from a time embedding ``(T, D)`` to shift, scale, gate, twice: ``(T, 6 D)``.

    The first three are for self-attention, the others for the feed-forward layers.
    """
    return nn.Sequential(nn.SiLU(), Float32Linear(dim, 6 * dim))
