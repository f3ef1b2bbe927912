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

"""DINOv3: what its turns are for, and that half precision does not spoil them."""

import pytest
import torch

from sam3d_ros.errors import ConfigError, ShapeError
from sam3d_ros.nn.dinov3 import Dinov3, Dinov3Config, RotaryEmbedding
from sam3d_ros.nn.random_state import random_state

TINY = Dinov3Config(dim=32, depth=2, num_heads=2)
NUM_UNPLACED = 5


@pytest.fixture
def model() -> Dinov3:
    model = Dinov3(TINY)
    state = random_state(lambda: Dinov3(TINY), torch.Generator().manual_seed(0), torch.float32)
    kept = {name for name in state if name.endswith(("bias_mask", "periods"))}
    model.load_state_dict({n: t for n, t in state.items() if n not in kept}, strict=False)
    return model.eval().requires_grad_(requires_grad=False)


def images(rows: int = 3, columns: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 16 * rows, 16 * columns, generator=generator)


def test_features_are_one_vector_per_patch(model: Dinov3) -> None:
    assert model(images()).shape == (2, 32, 3, 4)


def test_products_of_turned_vectors_depend_on_the_way_between_their_patches_only() -> None:
    generator = torch.Generator().manual_seed(2)
    query, key = torch.randn(2, 16, generator=generator)
    turns = RotaryEmbedding(16, base=100.0)((6, 7), NUM_UNPLACED, query)
    queries, keys = (turns.apply(x.expand(1, 1, 6 * 7 + NUM_UNPLACED, 16)) for x in (query, key))

    products = (queries @ keys.mT)[0, 0, NUM_UNPLACED:, NUM_UNPLACED:].unflatten(0, (6, 7))
    products = products.unflatten(2, (6, 7))  # row, column; row, column of the other

    torch.testing.assert_close(products[1, 2, 3, 1], products[2, 5, 4, 4])
    assert abs(products[1, 2, 3, 1] - products[1, 2, 3, 2]) > 1e-3
    assert abs(products[1, 2, 3, 1] - products[1, 2, 4, 1]) > 1e-3


def test_tokens_without_a_place_are_not_turned() -> None:
    x = torch.randn(1, 1, 6 + NUM_UNPLACED, 16, generator=torch.Generator().manual_seed(3))
    turns = RotaryEmbedding(16, base=100.0)((2, 3), NUM_UNPLACED, x)

    turned = turns.apply(x)

    assert torch.equal(turned[:, :, :NUM_UNPLACED], x[:, :, :NUM_UNPLACED])
    assert not torch.allclose(turned[:, :, NUM_UNPLACED:], x[:, :, NUM_UNPLACED:], atol=0.1)


def test_half_precision_rounds_turns_but_not_the_rates_that_they_are_made_of() -> None:
    like = torch.zeros(1)
    embedding = RotaryEmbedding(64, base=100.0)
    exact = embedding((32, 32), 0, like)

    half = embedding.bfloat16()((32, 32), 0, like.bfloat16())

    assert torch.equal(half.cos, exact.cos.bfloat16())
    assert torch.equal(half.sin, exact.sin.bfloat16())


def test_half_precision_changes_features_little(model: Dinov3) -> None:
    exact = model(images())

    half = model.bfloat16()(images())

    assert half.dtype == torch.bfloat16
    assert float((half - exact).norm() / exact.norm()) < 0.01


def test_biases_of_keys_are_without_effect(model: Dinov3) -> None:
    expected = model(images())
    for block in model.blocks:
        block.attn.qkv.bias[32:64] += 100.0

    torch.testing.assert_close(model(images()), expected)


def test_images_of_a_batch_do_not_see_each_other(model: Dinov3) -> None:
    both = images()

    torch.testing.assert_close(model(both)[1:], model(both[1:]))


def test_sides_must_be_whole_patches(model: Dinov3) -> None:
    with pytest.raises(ShapeError, match="multiples of the patch size 16, got 40 x 64"):
        model(torch.zeros(1, 3, 40, 64))


def test_heads_must_have_pairs_for_both_axes() -> None:
    with pytest.raises(ConfigError, match="multiple of 4 times num_heads, got dim 36 and 2 heads"):
        Dinov3Config(dim=36, num_heads=2)
