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

"""Which of the geometry model's weights learn."""

from torch import nn

from sam3d_ros.errors import ConfigError
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.streams import LATENT_NAMES, LAYOUT, LAYOUT_STREAM

PARTS = {
    "all": "every weight of the geometry model",
    "layout": "the layout stream alone: poses and sizes of a new camera or scene, shapes stay",
    "attention": "the layers that read the view, for both streams",
}


def learn_only(model: GeometryModel, part: str) -> int:
    """Let a part of the weights learn and freeze the others; return how many learn.

    Raises:
        ConfigError: There is no such part.
    """
    if part not in PARTS:
        raise ConfigError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_is_in(name, part))
    return sum(each.numel() for each in _learning(model))


def _learning(model: nn.Module) -> list[nn.Parameter]:
    return [each for each in model.parameters() if each.requires_grad]


def _is_in(name: str, part: str) -> bool:
    words = name.split(".")
    if part == "layout":
        own = {LAYOUT_STREAM, *(LATENT_NAMES[latent] for latent in LAYOUT)}
        return bool(own.intersection(words))
    if part == "attention":
        return bool({"cross_attn", "norm2"}.intersection(words))
    return True
