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

"""Small layers of the body model's heads and tokens, named as in the released checkpoints."""

from torch import Tensor, nn
from torch.nn import functional as F


class TwoLayers(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(
        self, in_dim: int, hidden_dim: int, out_dim: int, activation: type[nn.Module] = nn.ReLU
    ) -> None:
        super().__init__()
        # The checkpoints keep a layer and its activation together, so names are 0.0 and 1.
        self.layers = nn.Sequential(
            nn.Sequential(nn.Linear(in_dim, hidden_dim), activation()),
            nn.Linear(hidden_dim, out_dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., I)`` to ``(..., O)``."""
        return self.layers(x)


class BoxLayers(nn.Module):
    """Three linear layers from a token to a box."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList((nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, 4)))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(..., D)`` to centre, width and height ``(..., 4)`` in [0, 1] of a crop."""
        first, second, last = self.layers
        return last(F.relu(second(F.relu(first(x))))).sigmoid()
