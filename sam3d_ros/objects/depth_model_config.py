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


"""The depth model's sizes as its own file tells them, in the names of MoGe's configuration."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sam3d_ros.errors import WeightsError
from sam3d_ros.nn.vit import VitConfig
from sam3d_ros.objects.architecture import DepthModelConfig

OURS = {
    "intermediate_layers": "num_features",
    "dim_proj": "projection_dim",
    "dim_upsample": "upsample_dims",
    "dim_times_res_block_hidden": "hidden_ratio",
    "num_res_blocks": "num_res_blocks",
    "last_conv_channels": "last_dim",
    "mask_threshold": "mask_threshold",
}
FORM = {"remap_output": "exp", "res_block_norm": "group_norm", "last_conv_size": 1}
ENCODERS = {  # width, depth, heads
    "dinov2_vits14": (384, 12, 6),
    "dinov2_vitb14": (768, 12, 12),
    "dinov2_vitl14": (1024, 24, 16),
}


def told_config(told: Mapping[str, object], default: DepthModelConfig) -> DepthModelConfig:
    """Return ``default`` with what a file's ``model_config`` tells.

    Entries that say nothing about sizes (``output_mask`` and ``split_head`` of early files among
    them) are ignored: whether the tensors fit is checked when they are loaded.

    Raises:
        WeightsError: The model has another form than the one written in ``depth_model``.
    """
    for name, known in FORM.items():
        if name in told and told[name] != known:
            raise _unknown(name, told[name], repr(known))
    sizes = {
        ours: _like(getattr(default, ours), told[theirs], theirs)
        for theirs, ours in OURS.items()
        if theirs in told
    }
    min_tokens, max_tokens = _token_range(told, default)
    encoder = _encoder(told, default.encoder)
    return replace(default, encoder=encoder, min_tokens=min_tokens, max_tokens=max_tokens, **sizes)


def _encoder(told: Mapping[str, object], default: VitConfig) -> VitConfig:
    if "encoder" not in told:
        return default
    name = told["encoder"]
    if name not in ENCODERS:
        raise _unknown("encoder", name, f"one of {', '.join(ENCODERS)}")
    dim, depth, num_heads = ENCODERS[str(name)]
    return replace(default, dim=dim, depth=depth, num_heads=num_heads)


def _token_range(told: Mapping[str, object], default: DepthModelConfig) -> tuple[int, int]:
    """Return the range of patches; early files tell one of pixels instead."""
    if "num_tokens_range" in told:
        return _pair(told["num_tokens_range"], "num_tokens_range")
    if "trained_area_range" in told:
        low, high = _pair(told["trained_area_range"], "trained_area_range")
        patch_area = default.encoder.patch_size**2
        return low // patch_area, high // patch_area
    return default.min_tokens, default.max_tokens


def _pair(value: object, name: str) -> tuple[int, int]:
    match value:
        case [int() | float() as low, int() | float() as high]:
            return int(low), int(high)
    raise _unknown(name, value, "two numbers")


def _like(known: Any, value: object, name: str) -> Any:
    """Return ``value`` in the type of ``known``: a number, or a tuple of whole numbers."""
    if isinstance(known, tuple):
        if isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
            return tuple(map(int, value))
        raise _unknown(name, value, "a list of numbers")
    if not isinstance(value, int | float):
        raise _unknown(name, value, "a number")
    return type(known)(value)


def _unknown(name: str, value: object, known: str) -> WeightsError:
    return WeightsError(
        f"depth model's file tells {name} = {value!r}, expected {known}; take MoGe v1 as it is "
        "released in Ruicheng/moge-vitl"
    )
