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

"""Crops of people against the recorded reference."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fixtures import Golden

from sam3d_ros.body.crop import crop_affines, crop_squares, cut, default_camera

# OpenCV rounds places to a 32nd of a pixel. The reference solves float32 points for its maps, so
# that a few places round to the other side, between neighbours as different as black and white.
OTHER_LEVELS = 8 / 255 + 1e-6
OTHER_PIXELS = 0.01

PADDINGS = [1.25, 0.9]


@pytest.fixture(scope="module")
def fixture(golden: Callable[[str], Golden]) -> Golden:
    return golden("body/crop_affine")


def affines_of(fixture: Golden, padding: float) -> np.ndarray:
    squares = crop_squares(fixture.inputs["boxes"].numpy(), padding)
    return crop_affines(*squares, fixture.config["input_size_wh"][0])


@pytest.mark.parametrize("padding", PADDINGS)
def test_squares_are_the_reference_s(fixture: Golden, padding: float) -> None:
    centers, sides = crop_squares(fixture.inputs["boxes"].numpy(), padding)

    fixture.close(centers[None], f"pad{padding}.bbox_center")
    fixture.close(np.stack((sides, sides), axis=1)[None], f"pad{padding}.bbox_scale")


@pytest.mark.parametrize("padding", PADDINGS)
def test_affine_maps_are_the_reference_s(fixture: Golden, padding: float) -> None:
    fixture.close(affines_of(fixture, padding)[None], f"pad{padding}.affine_trans")


@pytest.mark.parametrize("padding", PADDINGS)
def test_crops_are_the_reference_s(fixture: Golden, padding: float) -> None:
    size = fixture.config["input_size_wh"][0]

    crops = cut(fixture.inputs["image"].numpy(), affines_of(fixture, padding), size)

    expected = fixture.outputs[f"pad{padding}.img"][0]
    difference = (torch.from_numpy(crops).movedim(3, 1) / 255 - expected).abs()
    assert float(difference.max()) <= OTHER_LEVELS
    assert float((difference > 1e-6).float().mean()) <= OTHER_PIXELS


@pytest.mark.parametrize("padding", PADDINGS)
def test_crops_of_masks_are_the_reference_s(fixture: Golden, padding: float) -> None:
    size, affines = fixture.config["input_size_wh"][0], affines_of(fixture, padding)
    masks = fixture.inputs["masks"][..., 0].numpy()

    crops = [cut(mask, affine[None], size) for mask, affine in zip(masks, affines, strict=True)]

    expected = fixture.outputs[f"pad{padding}.mask"][0, :, 0].numpy()
    assert np.mean(np.concatenate(crops) != expected) <= OTHER_PIXELS


def test_the_guessed_camera_is_the_reference_s(fixture: Golden) -> None:
    height, width = fixture.inputs["image"].shape[:2]

    fixture.close(default_camera(width, height).matrix_px[None], "pad1.25.cam_int")
