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


"""The depth model (MoGe v1) and the recovery of focal length and shift against the reference."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fixtures import Golden

from sam3d_ros.nn.vit import VitConfig
from sam3d_ros.objects.architecture import DepthModelConfig
from sam3d_ros.objects.depth_model import DepthModel
from sam3d_ros.objects.focal_shift import recover_focal_shift


def config_of(sizes: dict[str, Any]) -> DepthModelConfig:
    encoder = VitConfig(
        dim=sizes["dim"],
        depth=sizes["depth"],
        num_heads=sizes["heads"],
        image_size=sizes["img"],
        num_registers=0,
        interpolate_antialias=False,
        interpolate_offset=0.1,
    )
    return DepthModelConfig(
        encoder=encoder,
        num_features=sizes["intermediate_layers"],
        projection_dim=sizes["dim_proj"],
        upsample_dims=tuple(sizes["dim_upsample"]),
        hidden_ratio=sizes["dim_times_res_block_hidden"],
        num_res_blocks=sizes["num_res_blocks"],
        min_tokens=sizes["num_tokens_range"][0],
        max_tokens=sizes["num_tokens_range"][1],
    )


@torch.inference_mode()
def test_points_and_mask_are_the_reference_s(golden: Callable[[str], Golden]) -> None:
    moge = golden("moge_v1")
    model = DepthModel(config_of(moge.config)).eval()
    model.load_state_dict(moge.weights, strict=True)
    image = moge.inputs["image"]
    images = image if image.ndim == 4 else image[None]

    points, mask = model(images, moge.config["num_tokens"])

    moge.close(points, "points_raw")
    moge.close(mask, "mask_raw")


def test_focal_length_and_shift_are_the_reference_s(golden: Callable[[str], Golden]) -> None:
    moge = golden("moge_focal_shift")
    for case in (f"case{i}" for i in range(moge.config["n"])):
        points, valid = (moge.inputs[f"{case}.{name}"].numpy() for name in ("points", "mask"))

        found = recover_focal_shift(points, valid > 0)

        matrix = found.matrix_normalised(*valid.shape)
        moge.close([found.focal], f"{case}.focal")
        moge.close([found.shift], f"{case}.shift")
        moge.close([matrix[0, 0]], f"{case}.fx_norm")
        moge.close([matrix[1, 1]], f"{case}.fy_norm")
        moved = points + np.array([0.0, 0.0, found.shift])
        moved[valid == 0] = np.inf  # the reference's mark of what is not known; ours is NaN
        moge.close(moved, f"{case}.points_cam")
        assert matrix[0, 2] == matrix[1, 2] == pytest.approx(0.5)
