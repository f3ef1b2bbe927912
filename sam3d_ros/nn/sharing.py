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

"""Memory shared between models that carry copies of the same weights."""

import hashlib
from collections.abc import Iterable

import torch
from torch import nn


def share_equal_parameters(modules: Iterable[nn.Module]) -> int:
    """Let parameters that are equal in several modules be one; return the bytes freed.

    Parameters are one where name, shape, type, device and every bit agree, so outputs do not
    change. The module that comes first keeps its own. What was shared stays so when a module is
    moved or cast, and is trained together: meant for weights that are only read.
    """
    owners: dict[tuple[object, ...], nn.Parameter] = {}
    freed = 0
    for module in modules:
        for name, parameter in list(module.named_parameters(remove_duplicate=False)):
            if parameter.is_meta:
                continue
            owner = owners.setdefault((name, *_identity(parameter)), parameter)
            if owner is not parameter:
                path, _, leaf = name.rpartition(".")
                setattr(module.get_submodule(path), leaf, owner)
                freed += parameter.nbytes
    return freed


def _identity(parameter: nn.Parameter) -> tuple[object, ...]:
    values = parameter.detach().cpu().contiguous().view(-1).view(torch.uint8)
    digest = hashlib.sha256(values.numpy().tobytes()).digest()
    return parameter.shape, parameter.dtype, parameter.device, parameter.requires_grad, digest
