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

"""What people say about a person in a crop."""

import torch
from fixtures import Golden, load_golden

from sam3d_ros.body.prompts import PromptEncoder


def recorded_encoder() -> tuple[Golden, PromptEncoder]:
    golden = load_golden("body/prompt_encoder")
    encoder = PromptEncoder(golden.config["embed_dim"])
    encoder.load_state_dict(
        {name.removeprefix("prompt_encoder."): tensor for name, tensor in golden.weights.items()}
    )
    return golden, encoder


def test_keypoints_become_the_recorded_vectors() -> None:
    golden, encoder = recorded_encoder()

    golden.close(encoder(golden.inputs["keypoints"]), "sparse_embeddings")


def test_masks_say_of_features_what_is_recorded() -> None:
    golden, encoder = recorded_encoder()
    masks, (scores,) = golden.inputs["mask"], golden.inputs["mask_score"]
    nothing = torch.zeros_like(golden.outputs["mask_embeddings"])

    golden.close(encoder.mask_downscaling(masks), "mask_embeddings")
    golden.close(encoder.add_no_masks(nothing), "no_mask_embeddings")
    golden.close(encoder.add_masks(nothing, masks, scores), "mask_prompt")


def test_patches_are_where_they_are_recorded_to_be() -> None:
    golden, encoder = recorded_encoder()

    golden.close(encoder.pe_layer.grid(*golden.outputs["dense_pe"].shape[-2:]), "dense_pe")
    golden.close(encoder.pe_layer.grid(32, 24)[..., ::4, ::4], "dense_pe_32x24_sub4")
