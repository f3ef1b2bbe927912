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

"""The decoder of splats, its activations and the rows of its files are the reference's."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fixtures import Golden

from sam3d_ros.nn.sparse.voxels import SparseTensor, voxels_of
from sam3d_ros.objects.architecture import (
    DecoderTrunkConfig,
    SplatActivation,
    SplatDecoderConfig,
    SplatGains,
)
from sam3d_ros.objects.gaussian_decoder import RawSplats, SplatDecoder, decode_splats, spread
from sam3d_ros.objects.splat_files import COLUMNS, ply_rows
from sam3d_ros.structures import Splats

UPPER_TRIANGLE = np.triu_indices(3)


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Golden]) -> Golden:
    return golden("gaussian_decoder")


@pytest.fixture(scope="module")
def decoder(recorded: Golden) -> SplatDecoder:
    decoder = SplatDecoder(config_of(recorded))
    decoder.load_state_dict(recorded.weights)
    return decoder.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def latent(recorded: Golden) -> SparseTensor:
    return SparseTensor(voxels_of(recorded.inputs["coords"]), recorded.inputs["feats"])


@pytest.fixture(scope="module")
def raw(decoder: SplatDecoder, latent: SparseTensor) -> RawSplats:
    return decoder(latent)


@pytest.fixture(scope="module")
def splats(decoder: SplatDecoder, latent: SparseTensor) -> Splats:
    """All objects' splats after each other, as the reference has them."""
    parts = decode_splats(decoder, latent)
    names = ("means", "scales", "quats_wxyz", "opacities", "sh_dc")
    joined = {name: np.concatenate([getattr(each, name) for each in parts]) for name in names}
    return Splats(**joined, min_scale=parts[0].min_scale)


def test_the_blocks_are_the_reference_s(
    recorded: Golden, decoder: SplatDecoder, latent: SparseTensor
) -> None:
    outputs: dict[str, torch.Tensor] = {}
    for index, block in enumerate(decoder.blocks):
        block.register_forward_hook(
            lambda _, __, out, name=f"block{index}": outputs.update({name: out})
        )

    features = decoder.features(latent)

    for name in outputs.keys() & recorded.outputs.keys():
        recorded.close(outputs[name], name)
    assert "block0" in recorded.outputs
    recorded.close(decoder.out_layer(decoder.norm(features)), "features")


def test_raw_splats_are_the_reference_s(recorded: Golden, raw: RawSplats) -> None:
    recorded.close(raw.xyz, "raw_xyz")
    recorded.close(raw.sh_dc[:, None], "raw_features_dc")
    recorded.close(raw.scaling, "raw_scaling")
    recorded.close(raw.rotation, "raw_rotation")
    recorded.close(raw.opacity, "raw_opacity")


def test_activated_splats_are_the_reference_s(recorded: Golden, splats: Splats) -> None:
    lengths = np.linalg.norm(splats.quats_wxyz, axis=1, keepdims=True)

    recorded.close(splats.means, "xyz")
    recorded.close(splats.scales, "scaling")
    recorded.close(splats.quats_wxyz / lengths, "rotation")
    recorded.close(splats.opacities[:, None], "opacity")
    recorded.close(splats.covariances[:, *UPPER_TRIANGLE], "covariance")


def test_rows_of_files_are_the_reference_s(recorded: Golden, splats: Splats) -> None:
    assert list(COLUMNS) == recorded.config["ply_columns"]
    recorded.close(ply_rows(splats), "ply")


def test_the_stored_perturbation_is_the_one_that_new_decoders_begin_with(recorded: Golden) -> None:
    stored = recorded.weights["offset_perturbation"]
    reach = recorded.config["representation_config"]["voxel_size"]

    torch.testing.assert_close(spread(len(stored), reach), stored)


def config_of(recorded: Golden) -> SplatDecoderConfig:
    config, told = recorded.config, recorded.config["representation_config"]
    rates = told["lr"]
    return SplatDecoderConfig(
        trunk=DecoderTrunkConfig(
            latent_channels=recorded.inputs["feats"].shape[1],
            resolution=config["resolution"],
            dim=config["model_channels"],
            num_blocks=config["num_blocks"],
            num_heads=config["num_heads"],
            mlp_ratio=config["mlp_ratio"],
            window=config["window"],
        ),
        num_splats=config["num_gaussians"],
        reach=told["voxel_size"],
        gains=SplatGains(
            xyz=rates["_xyz"],
            sh_dc=rates["_features_dc"],
            scaling=rates["_scaling"],
            rotation=rates["_rotation"],
            opacity=rates["_opacity"],
        ),
        activation=SplatActivation(
            min_scale=told["3d_filter_kernel_size"],
            scale_bias=told["scaling_bias"],
            opacity_bias=told["opacity_bias"],
        ),
    )
