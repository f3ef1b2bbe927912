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

"""A stand-in for recordings of a GPU's work."""

from collections.abc import Callable

import torch
from torch import Tensor


class SameMemory:
    """Work on the memory that it was made with, as a recording is."""

    made = 0

    def __init__(self, work: Callable[[], list[Tensor]]) -> None:
        SameMemory.made += 1
        self._work = work
        self.outputs = [torch.full_like(output, torch.nan) for output in work()]

    def replay(self) -> None:
        for held, new in zip(self.outputs, self._work(), strict=True):
            held.copy_(new)
