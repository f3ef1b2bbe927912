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


"""Operations on sparse voxels give what the reference's gave."""

from typing import TypeVar

import pytest
from fixtures import Golden, load_golden
from torch import nn

from sam3d_ros.nn.sparse.attention import full_attention, window_attention
from sam3d_ros.nn.sparse.convolution import SparseConv
from sam3d_ros.nn.sparse.norms import SparseGroupNorm
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels, voxels_of
from sam3d_ros.objects.refinement_blocks import ResBlock

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@pytest.fixture(scope="module")
def recorded() -> Golden:
    return load_golden("sparse_ops")


@pytest.fixture(scope="module")
def voxels(recorded: Golden) -> Voxels:
    return voxels_of(recorded.inputs["coords"])


@pytest.fixture
def x(recorded: Golden, voxels: Voxels) -> SparseTensor:
    return SparseTensor(voxels, recorded.inputs["feats"])


def loaded(module: ModuleT, recorded: Golden, name: str) -> ModuleT:
    """Load the weights recorded under a name."""
    prefix = name + "."
    weights = {k: v for k, v in recorded.weights.items() if k.startswith(prefix)}
    module.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items()})
    return module.eval().requires_grad_(False)


@pytest.mark.parametrize(("name", "kernel_size"), [("conv3", 3), ("conv1", 1)])
def test_convolutions_are_the_reference_s(
    name: str, kernel_size: int, recorded: Golden, x: SparseTensor
) -> None:
    config = recorded.config
    conv = loaded(SparseConv(config["channels"], config["out"], kernel_size), recorded, name)

    recorded.close(conv(x).feats, name)


def test_linear_layers_are_the_reference_s(recorded: Golden, x: SparseTensor) -> None:
    linear = loaded(
        nn.Linear(recorded.config["channels"], recorded.config["out"]), recorded, "linear"
    )

    recorded.close(linear(x.feats), "linear")


def test_group_norm_is_the_reference_s(recorded: Golden, x: SparseTensor) -> None:
    groups, channels = recorded.config["groups"], recorded.config["channels"]
    norm = loaded(SparseGroupNorm(groups, channels), recorded, "groupnorm")

    recorded.close(norm(x).feats, "groupnorm")


def test_halving_and_its_means_are_the_reference_s(recorded: Golden, x: SparseTensor) -> None:
    halved = x.voxels.halved

    pooled = halved.pool(x.feats)

    recorded.close(halved.coarse.coords, "downsample.coords")
    recorded.close(pooled, "downsample.feats")


def test_unpooling_to_the_remembered_voxels_is_the_reference_s(
    recorded: Golden, x: SparseTensor
) -> None:
    expected, halved = recorded.outputs["upsample.feats"], x.voxels.halved
    # What was unpooled is not recorded: take it from the first child of each voxel.
    unpooled = expected[halved.children.amin(dim=1)]

    recorded.close(halved.unpool(unpooled), "upsample.feats")
    recorded.close(x.voxels.coords, "upsample.coords")


def test_subdivision_is_the_reference_s(recorded: Golden, x: SparseTensor) -> None:
    subdivided = x.subdivided()

    recorded.close(subdivided.voxels.coords, "subdivide.coords")
    recorded.close(subdivided.feats, "subdivide.feats")


def test_window_attention_is_the_reference_s(recorded: Golden, voxels: Voxels) -> None:
    qkv, size = recorded.inputs["qkv"], recorded.config["window"]

    plain = window_attention(qkv, voxels.windows(size))
    shifted = window_attention(qkv, voxels.windows(size, size // 2))

    recorded.close(plain, "window_attn_shift0")
    recorded.close(shifted, "window_attn_shifthalf")


def test_full_attention_is_the_reference_s(recorded: Golden, voxels: Voxels) -> None:
    recorded.close(full_attention(recorded.inputs["qkv"], voxels), "full_attn")


def res_block(recorded: Golden, name: str, in_channels: int, out_channels: int) -> ResBlock:
    block = ResBlock(in_channels, out_channels, recorded.config["emb"])
    return loaded(block, recorded, name)


def test_residual_blocks_are_the_reference_s(recorded: Golden, x: SparseTensor) -> None:
    channels = recorded.config["channels"]
    block = res_block(recorded, "res_plain", channels, channels)

    out = block(x, block.modulation(recorded.inputs["res_plain.emb"]))

    recorded.close(out.feats, "res_plain.feats")
    recorded.close(out.voxels.coords, "res_plain.coords")


def test_residual_blocks_after_pooling_are_the_reference_s(
    recorded: Golden, x: SparseTensor
) -> None:
    block = res_block(recorded, "res_down", recorded.config["channels"], recorded.config["out"])
    pooled = SparseTensor(x.voxels.halved.coarse, x.voxels.halved.pool(x.feats))

    out = block(pooled, block.modulation(recorded.inputs["res_down.emb"]))

    recorded.close(out.feats, "res_down.feats")
    recorded.close(out.voxels.coords, "res_down.coords")


def test_residual_blocks_after_unpooling_are_the_reference_s(
    recorded: Golden, x: SparseTensor
) -> None:
    # What was recorded goes on from the pooled one, with the same embedding.
    block = res_block(recorded, "res_up", recorded.config["out"], recorded.config["channels"])
    feats, modulation = recorded.outputs["res_down.feats"], recorded.inputs["res_down.emb"]

    out = block.unpooled(feats, x.voxels, block.modulation(modulation))

    recorded.close(out.feats, "res_up.feats")
    recorded.close(out.voxels.coords, "res_up.coords")
