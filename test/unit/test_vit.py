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

"""The vision transformer keeps its promises, whatever its weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from sam3d_ros.errors import ShapeError
from sam3d_ros.nn.vit import (
    Attention,
    Block,
    ScaledBlock,
    VisionTransformer,
    VitConfig,
    normalise_colors,
    resized_positions,
)

CONFIG = VitConfig(dim=24, depth=3, num_heads=3, image_size=56)
OLDER = VitConfig(
    dim=24,
    depth=3,
    num_heads=3,
    image_size=56,
    num_registers=0,
    interpolate_antialias=False,
    interpolate_offset=0.1,
)
BOTH = pytest.mark.parametrize("config", [CONFIG, OLDER], ids=["by size", "by factor"])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def randomised(module: nn.Module) -> nn.Module:
    """Draw all weights, also those that begin as zeros or ones."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3).requires_grad_(requires_grad=False)
    return module


@BOTH
def test_positions_of_the_native_grid_are_not_touched(config: VitConfig) -> None:
    positions = torch.randn(1, config.grid_size**2, config.dim)

    assert resized_positions(positions, (config.grid_size,) * 2, config) is positions


@BOTH
@pytest.mark.parametrize("grid", [(4, 7), (7, 4), (3, 2), (9, 9)], ids=str)
def test_equal_positions_stay_equal(config: VitConfig, grid: tuple[int, int]) -> None:
    positions = torch.randn(1, 1, config.dim).expand(1, config.grid_size**2, config.dim)

    resized = resized_positions(positions, grid, config)

    torch.testing.assert_close(resized, positions[:, :1].expand(1, grid[0] * grid[1], -1))


@BOTH
def test_positions_that_vary_by_row_still_do(config: VitConfig) -> None:
    side = config.grid_size
    rows = torch.arange(float(side)).repeat_interleave(side)[None, :, None]

    resized = resized_positions(rows, (9, 5), config).view(9, 5)

    torch.testing.assert_close(resized, resized[:, :1].expand(9, 5))
    assert (resized[1:-1, 0].diff() > 0).all()


def test_the_offset_moves_the_samples_towards_the_start() -> None:
    rows = torch.arange(4.0).repeat_interleave(4)[None, :, None]
    by_size = resized_positions(rows, (9, 9), replace(OLDER, interpolate_offset=0.0))

    moved = (by_size - resized_positions(rows, (9, 9), OLDER)).view(9, 9)[1:-1, 0]

    assert (moved > 0).all()
    assert moved.max() < 0.2 / 9 * 4  # twice the offset, on a ramp of four rows over nine


@pytest.mark.parametrize(("config", "sees_all"), [(CONFIG, True), (OLDER, False)])
def test_only_an_antialiased_small_grid_sees_every_position(
    config: VitConfig, sees_all: bool
) -> None:
    larger = replace(config, image_size=12 * config.patch_size)
    corner = torch.zeros(1, 144, 1)
    corner[0, 0] = 1.0

    resized = resized_positions(corner, (2, 2), larger)

    assert bool((resized[0, 0] != 0.0).all()) is sees_all


def test_half_precision_positions_are_resized_in_single() -> None:
    positions = torch.randn(1, 16, 24)

    resized = resized_positions(positions.bfloat16(), (5, 6), CONFIG)

    assert resized.dtype == torch.bfloat16
    exact = resized_positions(positions.bfloat16().float(), (5, 6), CONFIG)
    assert torch.equal(resized, exact.bfloat16())


@BOTH
def test_a_batch_is_the_same_as_one_by_one(config: VitConfig) -> None:
    model, images = randomised(VisionTransformer(config)), torch.randn(3, 3, 42, 70)

    together = model(images)

    one_by_one = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(together, one_by_one, atol=1e-5, rtol=1e-5)


@BOTH
def test_tokens_are_class_registers_and_patches(config: VitConfig) -> None:
    model, images = randomised(VisionTransformer(config)), torch.randn(2, 3, 42, 70)

    tokens = model(images)

    num_registers, num_patches = config.num_registers, 3 * 5
    assert tokens.shape == (2, 1 + num_registers + num_patches, config.dim)
    assert torch.equal(model.patches(tokens), tokens[:, -num_patches:])
    kept = [0, *range(1 + num_registers, tokens.shape[1])]
    assert torch.equal(model.without_registers(tokens), tokens[:, kept])


def test_the_last_tokens_are_those_of_a_shallower_model() -> None:
    model, images = randomised(VisionTransformer(CONFIG)), torch.randn(1, 3, 56, 56)

    second, third = model.last_tokens(images, num_blocks=2)

    assert torch.equal(third, model(images))
    model.blocks = model.blocks[:2]
    assert torch.equal(second, model(images))


def test_forward_is_the_norm_of_the_tokens_before_it() -> None:
    model, images = randomised(VisionTransformer(CONFIG)), torch.randn(1, 3, 56, 56)

    assert torch.equal(model(images), model.norm(model.prenorm_tokens(images)))


@pytest.mark.parametrize("num_tokens", [1, 7])
def test_the_first_token_alone_is_the_first_of_all(num_tokens: int) -> None:
    attention, x = randomised(Attention(24, 3)), torch.randn(5, num_tokens, 24)

    torch.testing.assert_close(attention.first(x), attention(x)[:, :1])


def test_attention_does_not_know_the_order_of_tokens() -> None:
    attention, x, order = randomised(Attention(24, 3)), torch.randn(2, 7, 24), torch.randperm(7)

    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order])


def test_a_scale_of_one_is_no_scale_and_a_scale_of_zero_no_block() -> None:
    block, scaled = randomised(Block(24, 3, 4.0)), ScaledBlock(24, 3, 4.0)
    scaled.load_state_dict(block.state_dict(), strict=False)
    x = torch.randn(2, 5, 24)

    assert torch.equal(scaled(x), block(x))
    for layer_scale in (scaled.ls1, scaled.ls2):
        nn.init.zeros_(layer_scale.gamma)
    assert torch.equal(scaled(x), x)


def test_colors_of_imagenet_s_mean_become_zero_and_one_deviation_one() -> None:
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = torch.stack((mean, mean + deviation))[:, :, None, None]

    torch.testing.assert_close(
        normalise_colors(images), torch.tensor([0.0, 1.0])[:, None, None, None].expand_as(images)
    )


@pytest.mark.parametrize("shape", [(1, 3, 55, 56), (1, 3, 56, 60)], ids=str)
def test_sides_that_are_no_multiples_of_the_patch_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=f"multiples of the patch size 14, got {shape[2]} x"):
        VisionTransformer(CONFIG)(torch.zeros(shape))


def test_images_without_colors_are_refused() -> None:
    with pytest.raises(ShapeError, match="images must have shape"):
        VisionTransformer(CONFIG)(torch.zeros(1, 1, 56, 56))
