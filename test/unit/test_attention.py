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

"""Attention, norms, linear layers and embeddings: the laws that models rely on."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.attention import CrossAttention, SelfAttention, add_cross_attention
from sam3d_ros.nn.embeddings import (
    TimestepEmbedder,
    grid_positions,
    position_embedding,
    sinusoid,
)
from sam3d_ros.nn.linear import FeedForward, Float32Linear, Linear
from sam3d_ros.nn.norms import Float32LayerNorm, HeadRmsNorm, modulated_norm

DIM, HEADS, CONDITION_DIM = 24, 3, 10
HALVES = [torch.bfloat16, torch.float16]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def attention() -> CrossAttention:
    return CrossAttention(DIM, CONDITION_DIM, HEADS).requires_grad_(False)


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend by the formula; ``(B, L, H, D)``."""
    weights = torch.einsum("blhd,bnhd->bhln", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("bhln,bnhd->blhd", weights.softmax(-1), v).flatten(2)


def test_self_attention_is_its_formula() -> None:
    layer = SelfAttention(DIM, HEADS).requires_grad_(False)
    layer.q_rms_norm.gamma.normal_()
    layer.k_rms_norm.gamma.normal_()
    x = torch.randn(2, 7, DIM)
    q, k, v = layer.to_qkv(x).chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (HEADS, -1)) for part in (q, k, v))
    q = F.normalize(q, dim=-1) * layer.q_rms_norm.gamma * math.sqrt(DIM / HEADS)
    k = F.normalize(k, dim=-1) * layer.k_rms_norm.gamma * math.sqrt(DIM / HEADS)

    torch.testing.assert_close(layer(x), layer.to_out(plain_attention(q, k, v)))


def test_cross_attention_is_its_formula(attention: CrossAttention) -> None:
    x, condition = torch.randn(2, 7, DIM), torch.randn(2, 5, CONDITION_DIM)
    k, v = (p.unflatten(-1, (HEADS, -1)) for p in attention.to_kv(condition).chunk(2, dim=-1))

    expected = attention.to_out(plain_attention(attention.to_q(x).unflatten(-1, (HEADS, -1)), k, v))

    torch.testing.assert_close(attention(x, attention.context(condition)), expected)


def test_a_condition_of_zeros_reads_as_a_constant(attention: CrossAttention) -> None:
    x, zeros = torch.randn(2, 7, DIM), torch.zeros(2, 5, CONDITION_DIM)

    read = attention(x, attention.context(zeros))

    constant = attention.unconditional_context().unconditional
    torch.testing.assert_close(read, constant.expand_as(read))


def test_samples_beyond_the_context_are_unconditional(attention: CrossAttention) -> None:
    norm = Float32LayerNorm(DIM)
    x, condition = torch.randn(3, 7, DIM), torch.randn(2, 5, CONDITION_DIM)

    mixed = add_cross_attention(x, norm, attention, attention.context(condition))

    alone = attention.unconditional_context()
    expected = add_cross_attention(x[:2], norm, attention, attention.context(condition))
    torch.testing.assert_close(mixed[:2], expected)
    torch.testing.assert_close(mixed[2:], add_cross_attention(x[2:], norm, attention, alone))


def test_samples_can_share_one_condition(attention: CrossAttention) -> None:
    x, condition = torch.randn(3, 7, DIM), torch.randn(1, 5, CONDITION_DIM)

    shared = attention.context(condition).expanded(3)

    repeated = attention.context(condition.repeat(3, 1, 1))
    torch.testing.assert_close(attention(x, shared), attention(x, repeated))
    assert shared.keys.untyped_storage().nbytes() < repeated.keys.untyped_storage().nbytes()


def test_the_order_of_the_condition_does_not_matter(attention: CrossAttention) -> None:
    x, condition = torch.randn(2, 7, DIM), torch.randn(2, 5, CONDITION_DIM)

    reversed_read = attention(x, attention.context(condition.flip(1)))

    torch.testing.assert_close(reversed_read, attention(x, attention.context(condition)))


def test_every_head_gets_one_length() -> None:
    norm = HeadRmsNorm(HEADS, 8).requires_grad_(False)

    lengths = norm(1e3 * torch.rand(4, HEADS, 1) * torch.randn(4, HEADS, 8)).norm(dim=-1)

    torch.testing.assert_close(lengths, torch.full((4, HEADS), math.sqrt(8)))


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_a_head_of_zeros_stays_zero(dtype: torch.dtype) -> None:
    norm = HeadRmsNorm(HEADS, 8).to(dtype)

    assert (norm(torch.zeros(2, HEADS, 8, dtype=dtype)) == 0).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_the_length_of_a_head_is_taken_beyond_the_range_of_half_precision(
    dtype: torch.dtype,
) -> None:
    x = torch.full((1, HEADS, 8), 3e4, dtype=dtype)  # whose square no float16 can hold

    assert (HeadRmsNorm(HEADS, 8).to(dtype)(x) == 1).all()


def test_one_modulation_for_all_samples_is_one_for_each() -> None:
    x, shift, scale = torch.randn(3, 7, DIM), torch.randn(1, 1, DIM), torch.randn(1, 1, DIM)
    each = [part.expand(3, 1, DIM) for part in (shift, scale)]

    torch.testing.assert_close(modulated_norm(x, shift, scale), modulated_norm(x, *each))
    normed = F.layer_norm(x, (DIM,), eps=1e-6)
    torch.testing.assert_close(modulated_norm(x, shift, scale), normed * (1 + scale) + shift)


@pytest.mark.parametrize("num", [1, 2])
def test_what_autocast_made_of_modulations_scales_a_norm_of_float32(num: int) -> None:
    torch.manual_seed(0)
    x, shift, scale = torch.randn(num, 5, 8), torch.randn(num, 1, 8), torch.randn(num, 1, 8)
    shift, scale = shift.bfloat16(), scale.bfloat16()
    expected = modulated_norm(x, shift.float(), scale.float())
    torch.testing.assert_close(
        modulated_norm(x.bfloat16(), shift, scale), expected, atol=0.1, rtol=0.1
    )


@pytest.mark.parametrize("dtype", HALVES)
def test_norms_compute_in_float32(dtype: torch.dtype) -> None:
    x = (100 + torch.randn(2, 7, DIM)).to(dtype)
    norm = Float32LayerNorm(DIM, eps=1e-6)

    torch.testing.assert_close(norm.to(dtype)(x), F.layer_norm(x.float(), (DIM,), eps=1e-6))
    shift = torch.zeros(1, 1, DIM)
    torch.testing.assert_close(modulated_norm(x, shift, shift), norm(x))


@pytest.mark.parametrize("dtype", HALVES)
def test_linear_layers_choose_their_precision(dtype: torch.dtype) -> None:
    x = torch.randn(2, 7, DIM)

    assert Linear(DIM, DIM).to(dtype)(x).dtype is dtype
    assert FeedForward(DIM, 2 * DIM).to(dtype)(x).dtype is dtype
    assert Float32Linear(DIM, DIM).to(dtype)(x.to(dtype)).dtype is torch.float32
    assert TimestepEmbedder(DIM).to(dtype)(torch.tensor([500.0])).dtype is torch.float32


def test_single_stream_layers_have_the_names_of_the_refinement_model_s() -> None:
    block = nn.ModuleDict(
        {
            "self_attn": SelfAttention(DIM, HEADS),
            "cross_attn": CrossAttention(DIM, CONDITION_DIM, HEADS),
            "mlp": FeedForward(DIM, 2 * DIM),
        }
    )

    names = {name.removesuffix(".weight").removesuffix(".bias") for name in block.state_dict()}

    assert names == {
        "self_attn.to_qkv",
        "self_attn.to_out",
        "self_attn.q_rms_norm.gamma",
        "self_attn.k_rms_norm.gamma",
        "cross_attn.to_q",
        "cross_attn.to_kv",
        "cross_attn.to_out",
        "mlp.mlp.0",
        "mlp.mlp.2",
    }


def test_time_zero_is_all_cosines() -> None:
    waves = sinusoid(torch.zeros(1), 4)

    assert waves.tolist() == [[1.0] * 4 + [0.0] * 4]


def test_grid_positions_run_fastest_along_z() -> None:
    assert grid_positions(2)[:3].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_axes_are_embedded_one_by_one_and_the_rest_is_zero() -> None:
    dim = 16  # two frequencies per axis, and four zeros

    embedded = position_embedding(torch.tensor([[5, 0, 0], [5, 7, 0]]), dim)

    assert embedded.shape == (2, dim)
    assert (embedded[:, 12:] == 0).all()
    assert torch.equal(embedded[0, :4], embedded[1, :4])
    assert not torch.equal(embedded[0, 4:8], embedded[1, 4:8])
    assert torch.equal(embedded[0, 4:8], torch.tensor([0.0, 0.0, 1.0, 1.0]))


def test_no_two_cells_of_a_grid_look_alike() -> None:
    embedded = position_embedding(grid_positions(16), 96)

    distances = torch.cdist(embedded, embedded) + 9 * torch.eye(len(embedded))
    assert distances.min() > 0.1
