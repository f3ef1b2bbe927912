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

"""The body model's transformer over tokens, alone."""

import torch
from fixtures import load_golden

from sam3d_ros.body.architecture import BodyDecoderConfig
from sam3d_ros.body.decoder import ImageContext, TokenDecoder, TokenStream


def test_tokens_read_from_each_other_and_from_the_image_as_recorded() -> None:
    golden = load_golden("body/decoder_plain")
    inputs, sizes = golden.inputs, golden.config
    decoder = TokenDecoder(
        BodyDecoderConfig(
            dim=sizes["dims"],
            depth=sizes["depth"],
            num_heads=sizes["num_heads"],
            head_dim=sizes["head_dims"],
            mlp_dim=sizes["mlp_dims"],
        ),
        context_dim=sizes["context_dims"],
    )
    decoder.load_state_dict(
        {name.removeprefix("decoder."): tensor for name, tensor in golden.weights.items()}
    )
    patches = inputs["image_embedding"].flatten(2).mT
    placed = ImageContext(patches=patches, places=inputs["image_augment"].flatten(2).mT)
    tokens = TokenStream(values=inputs["token_embedding"], places=inputs["token_augment"])

    with torch.inference_mode():
        golden.close(decoder(tokens, placed), "tokens")
        unplaced = TokenStream(values=inputs["token_embedding"])
        golden.close(decoder(unplaced, ImageContext(patches=patches)), "tokens_without_augment")
