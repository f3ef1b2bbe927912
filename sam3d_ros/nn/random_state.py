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

"""Small random weights, of models that nobody trained."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

SPREAD = 0.02  # standard deviation

State: TypeAlias = dict[str, Tensor]


def random_state(
    build: Callable[[], nn.Module], generator: torch.Generator, dtype: torch.dtype
) -> State:
    """Return small random weights of a module; scales of norms are about one."""
    with torch.device("meta"):
        expected = build().state_dict()
    state: State = {}
    for name, tensor in expected.items():
        is_scale = name.endswith("gamma") or (name.endswith("weight") and tensor.ndim == 1)
        drawn = torch.randn(tensor.shape, generator=generator, device=generator.device, dtype=dtype)
        state[name] = drawn.mul_(SPREAD).add_(float(is_scale))
    return state
