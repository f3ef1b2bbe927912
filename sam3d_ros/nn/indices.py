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

"""Fixed indices as tensors, without a copy to the device at every use."""

from functools import cache

import torch
from torch import Tensor


@cache
def indices_on(device: torch.device, indices: tuple[int, ...]) -> Tensor:
    """Return indices ``(N,)``; every call with the same ones returns the same tensor.

    A copy to a GPU would wait for all that runs there. The indices are no buffers of a module
    because models are built without memory and filled from files, which would leave these empty.
    """
    with torch.inference_mode(mode=False):  # whoever needs gradients gets the same tensor
        return torch.tensor(indices, device=device)
