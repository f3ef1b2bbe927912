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

"""A geometry model small enough for unit tests, with weights that make every part count."""

import torch
from torch import Tensor

from sam3d_ros.objects.architecture import GeometryConfig
from sam3d_ros.objects.geometry_model import GeometryModel

TINY = GeometryConfig(
    dim=32,
    num_blocks=2,
    num_heads=4,
    mlp_ratio=2.0,
    condition_dim=24,
    resolution=2,
    shape_channels=3,
)
NUM_TOKENS = 5


def tiny_model(config: GeometryConfig = TINY) -> GeometryModel:
    """Return a model with random weights, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    model = GeometryModel(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        spread = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.3
        parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return model


def condition_tokens(num_objects: int, seed: int = 1) -> Tensor:
    """Return condition tokens ``(B, NUM_TOKENS, C)``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_objects, NUM_TOKENS, TINY.condition_dim, generator=generator)
