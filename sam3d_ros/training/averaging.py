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

"""The running average of a model's weights, which is better than any of the weights averaged."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential average of parameters; buffers are taken as they are.

    Early on it forgets faster, ``(1 + n) / (10 + n)`` after n steps, or it would remember the
    random beginning for as long as it remembers anything.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: each.detach().clone() for name, each in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, num_updates: int) -> None:
        """Take in the weights after the ``num_updates``-th step."""
        share = 1.0 - min(self.decay, (1.0 + num_updates) / (10.0 + num_updates))
        for name, parameter in model.named_parameters():
            self.tensors[name].lerp_(parameter.detach(), share)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from an average that was stored."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def exchange(self, model: nn.Module) -> None:
        """Swap the model's weights and the average; twice is as never."""
        for name, parameter in model.named_parameters():
            kept = parameter.detach().clone()
            parameter.copy_(self.tensors[name])
            self.tensors[name].copy_(kept)
