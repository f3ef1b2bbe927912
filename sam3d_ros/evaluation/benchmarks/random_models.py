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

"""Models of SAM 3D Objects with random weights, and random inputs for them, to be measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from sam3d_ros.nn.vit import VitConfig
from sam3d_ros.objects.architecture import (
    ConditionConfig,
    GeometryConfig,
    ObjectsArchitecture,
    OccupancyConfig,
    PointPatchConfig,
)
from sam3d_ros.objects.condition import ConditionEmbedder
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.inputs import ConditionInputs
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.occupancy import OccupancyDecoder
from sam3d_ros.objects.sampling import initial_noise

REDUCED = ObjectsArchitecture(
    image_size=224,
    geometry_condition=ConditionConfig(
        encoder=VitConfig(dim=128, depth=2, num_heads=4, image_size=224),
        point_patch=PointPatchConfig(dim=64, input_size=128),
    ),
    geometry=GeometryConfig(dim=128, num_blocks=2, num_heads=4, condition_dim=128, resolution=8),
    occupancy=OccupancyConfig(channels=(32, 16, 8)),
)

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """Models with random weights on a device, and inputs for them."""

    architecture: ObjectsArchitecture
    embedder: ConditionEmbedder
    model: GeometryModel
    decoder: OccupancyDecoder
    inputs: ConditionInputs
    condition: Tensor  # (1, N, C)
    noise: GeometryLatents


def make_bench(
    architecture: ObjectsArchitecture, device: torch.device, dtype: torch.dtype
) -> Bench:
    """Build everything on a device."""
    embedder = random_model(
        lambda: ConditionEmbedder(architecture.geometry_condition), device, dtype
    )
    inputs = condition_inputs(architecture, device)
    generator = torch.Generator(device).manual_seed(0)
    return Bench(
        architecture=architecture,
        embedder=embedder,
        model=random_model(lambda: GeometryModel(architecture.geometry), device, dtype),
        decoder=random_model(lambda: OccupancyDecoder(architecture.occupancy), device, dtype),
        inputs=inputs,
        condition=embedder(inputs),
        noise=initial_noise(architecture.geometry, [generator]),
    )


def random_model(build: Callable[[], ModuleT], device: torch.device, dtype: torch.dtype) -> ModuleT:
    """Build a module straight in its precision; random weights keep the size of what passes."""
    with torch.device("meta"):
        model = build().to(dtype)
    model.to_empty(device=device).eval().requires_grad_(False)
    generator = torch.Generator(device).manual_seed(0)
    for tensor in model.state_dict().values():
        fan_in = tensor[0].numel() if tensor.ndim > 1 else 4
        tensor.normal_(std=fan_in**-0.5, generator=generator)
    return model


def condition_inputs(architecture: ObjectsArchitecture, device: torch.device) -> ConditionInputs:
    """Return random inputs of the condition embedder for one object."""
    generator = torch.Generator(device).manual_seed(0)
    side = architecture.image_size

    def image(channels: int) -> Tensor:
        return torch.rand(1, channels, side, side, generator=generator, device=device)

    return ConditionInputs(
        image=image(3),
        rgb_image=image(3),
        mask=image(1),
        rgb_image_mask=image(1),
        pointmap=image(3),
        rgb_pointmap=image(3),
    )
