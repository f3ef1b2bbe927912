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

"""The decoder of cubes is the reference's; what is extracted from them is in test_mesh_extract."""

from collections.abc import Callable

import pytest
from fixtures import Golden

from sam3d_ros.nn.sparse.voxels import SparseTensor, voxels_of
from sam3d_ros.objects.architecture import DecoderTrunkConfig, MeshDecoderConfig
from sam3d_ros.objects.mesh_decoder import MeshDecoder, SubdivisionBlock, decode_cubes

RELEASED_GROUPS = MeshDecoderConfig().num_groups


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Golden]) -> Golden:
    return golden("mesh_decoder")


@pytest.fixture(scope="module")
def decoder(recorded: Golden) -> MeshDecoder:
    decoder = MeshDecoder(config_of(recorded))
    decoder.load_state_dict(recorded.weights)
    return decoder.eval().requires_grad_(False)


def test_a_subdivision_is_the_reference_s(golden: Callable[[str], Golden]) -> None:
    recorded = golden("mesh_subdivide_block")
    channels, out = recorded.config["channels"], recorded.config["out"]
    block = SubdivisionBlock(channels, out, recorded.config.get("num_groups", RELEASED_GROUPS))
    block.load_state_dict(recorded.weights)

    fine = block.requires_grad_(False)(latent_of(recorded))

    recorded.close(fine.voxels.coords, "coords")
    recorded.close(fine.feats, "feats")


def test_the_first_subdivision_of_the_decoder_is_the_reference_s(
    recorded: Golden, decoder: MeshDecoder
) -> None:
    latent = latent_of(recorded)
    coarse = SparseTensor(latent.voxels, decoder.features(latent))

    recorded.close(decoder.upsample[0](coarse).feats, "upsample0")


def test_the_cubes_are_the_reference_s(recorded: Golden, decoder: MeshDecoder) -> None:
    cubes = decode_cubes(decoder, latent_of(recorded))

    recorded.close(cubes.voxels.coords, "coords")
    recorded.close(cubes.feats, "features")
    assert decoder.config.resolution == recorded.config["mesh_resolution"]


def latent_of(recorded: Golden) -> SparseTensor:
    return SparseTensor(voxels_of(recorded.inputs["coords"]), recorded.inputs["feats"])


def config_of(recorded: Golden) -> MeshDecoderConfig:
    config, weights = recorded.config, recorded.weights
    out_channels = len(weights["out_layer.bias"])
    trunk = DecoderTrunkConfig(
        latent_channels=recorded.inputs["feats"].shape[1],
        resolution=config["resolution"],
        dim=config["model_channels"],
        num_blocks=config["num_blocks"],
        num_heads=config["num_heads"],
        mlp_ratio=config["mlp_ratio"],
        window=config["window"],
    )
    convs = [f"upsample.{index}.skip_connection.conv.bias" for index in range(2)]
    return MeshDecoderConfig(
        trunk=trunk,
        channels=tuple(len(weights[name]) for name in convs),
        num_groups=config["num_groups"],
        out_channels=out_channels,
    )
