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

"""Laws of what people say about a person in a crop."""

import pytest
import torch
from torch import Tensor

from sam3d_ros.body.prompts import (
    NO_PROMPT,
    NOT_A_KEYPOINT,
    PromptEncoder,
    middle_columns,
    no_keypoints,
)

CHANNELS = 8


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    encoder, generator = PromptEncoder(CHANNELS), torch.Generator().manual_seed(0)
    for tensor in encoder.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return encoder.requires_grad_(False)


def keypoints(*rows: tuple[float, float, float]) -> Tensor:
    return torch.tensor([rows])


@pytest.mark.parametrize("label", [NO_PROMPT, NOT_A_KEYPOINT])
def test_what_is_no_keypoint_has_no_place(encoder: PromptEncoder, label: int) -> None:
    here, there = encoder(keypoints((0.1, 0.9, label), (0.7, 0.2, label)))[0]

    assert torch.equal(here, there)


def test_keypoints_differ_by_place_and_by_kind(encoder: PromptEncoder) -> None:
    first, moved, other = encoder(keypoints((0.1, 0.9, 3), (0.7, 0.2, 3), (0.1, 0.9, 4)))[0]

    assert not torch.allclose(first, moved)
    assert not torch.allclose(first, other)


def test_to_say_nothing_is_to_give_a_point_that_says_nothing(encoder: PromptEncoder) -> None:
    nothing = no_keypoints(torch.zeros(3, CHANNELS, 2, 2))

    assert torch.equal(encoder(nothing), encoder(keypoints((0.5, 0.5, NO_PROMPT)).repeat(3, 1, 1)))


def test_a_mask_without_a_score_is_no_mask(encoder: PromptEncoder) -> None:
    features, masks = torch.zeros(2, CHANNELS, 4, 4), torch.ones(2, 1, 64, 64)

    half = encoder.add_masks(features, masks, torch.tensor([0.5, 0.0]))

    whole = encoder.add_masks(features, masks, torch.ones(2))
    torch.testing.assert_close(half[0], whole[0] / 2)
    assert torch.equal(half[1:], encoder.add_no_masks(features[1:]))


def test_patches_of_a_narrow_crop_are_those_in_the_middle_of_a_square(
    encoder: PromptEncoder,
) -> None:
    square = encoder.pe_layer.grid(8, 8)

    assert torch.equal(encoder.pe_layer.grid(8, 6), square[..., 1:7])
    assert torch.equal(middle_columns(square, 8), square)
    assert torch.equal(square[0, :, 2, 5], encoder.pe_layer(torch.tensor([5.5 / 8, 2.5 / 8])))
