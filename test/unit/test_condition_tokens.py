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

"""Condition tokens obey their laws, whatever the weights."""

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor, nn

from sam3d_ros.errors import ConditionError, ShapeError
from sam3d_ros.nn.vit import Block, VitConfig
from sam3d_ros.objects.architecture import ConditionConfig, PointPatchConfig
from sam3d_ros.objects.condition import ConditionEmbedder, Modality, share_encoders
from sam3d_ros.objects.inputs import ConditionInputs
from sam3d_ros.objects.point_patch import PointPatchEmbedder, WindowBlock

SIDE = 40
ENCODER = VitConfig(dim=24, depth=2, num_heads=3, image_size=42)
POINTS = PointPatchConfig(dim=32, input_size=24, num_heads=4)
GEOMETRY = ConditionConfig(encoder=ENCODER, point_patch=POINTS)
REFINEMENT = ConditionConfig(encoder=ENCODER, point_patch=None, prenorm_features=True)
BOTH = pytest.mark.parametrize("config", [GEOMETRY, REFINEMENT], ids=["geometry", "refinement"])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def randomised(module: nn.Module) -> nn.Module:
    """Draw all weights, also those that begin as zeros or ones."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3).requires_grad_(requires_grad=False)
    return module


def inputs(batch: int = 1) -> ConditionInputs:
    points = torch.randn(2, batch, 3, SIDE, SIDE)
    points[:, :, :, :10] = torch.nan
    points[:, :, 1, 20:, :5] = torch.inf
    return ConditionInputs(
        image=torch.rand(batch, 3, SIDE, SIDE),
        rgb_image=torch.rand(batch, 3, SIDE, SIDE),
        mask=(torch.rand(batch, 1, SIDE, SIDE) > 0.5).float(),
        rgb_image_mask=(torch.rand(batch, 1, SIDE, SIDE) > 0.5).float(),
        pointmap=points[0],
        rgb_pointmap=points[1],
    )


def one_by_one(batched: ConditionInputs) -> list[ConditionInputs]:
    return [
        ConditionInputs(**{f.name: getattr(batched, f.name)[i, None] for f in fields(batched)})
        for i in range(len(batched.image))
    ]


def tokens_of(config: ConditionConfig, modality: Modality) -> slice:
    first = 2 * sum(config.tokens_per_view[:modality])
    return slice(first, first + 2 * config.tokens_per_view[modality])


@BOTH
def test_tokens_are_as_many_and_as_wide_as_the_config_says(config: ConditionConfig) -> None:
    tokens = ConditionEmbedder(config)(inputs(batch=2))

    assert tokens.shape == (2, config.num_tokens, config.width)


@BOTH
def test_a_batch_is_the_same_as_one_by_one(config: ConditionConfig) -> None:
    model, batched = randomised(ConditionEmbedder(config)), inputs(batch=3)

    together = model(batched)

    separate = torch.cat([model(single) for single in one_by_one(batched)])
    torch.testing.assert_close(together, separate, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("image", Modality.IMAGE),
        ("rgb_image", Modality.IMAGE),
        ("mask", Modality.MASK),
        ("rgb_image_mask", Modality.MASK),
        ("pointmap", Modality.POINTS),
        ("rgb_pointmap", Modality.POINTS),
    ],
)
def test_an_input_moves_its_own_view_s_tokens_and_no_other(name: str, modality: Modality) -> None:
    model, given = randomised(ConditionEmbedder(GEOMETRY)), inputs()
    other = replace(given, **{name: getattr(given, name).flip(-2)})

    moved = (model(given) != model(other)).any(dim=-1)[0]

    cropped, full = moved[tokens_of(GEOMETRY, modality)].chunk(2)
    moved_view, still_view = (full, cropped) if name.startswith("rgb") else (cropped, full)
    assert moved_view.all()
    assert not still_view.any()
    assert moved.sum() == moved_view.sum()


def test_cropped_and_whole_view_differ_by_their_group() -> None:
    model, given = randomised(ConditionEmbedder(GEOMETRY)), inputs()
    same = replace(
        given, rgb_image=given.image, rgb_image_mask=given.mask, rgb_pointmap=given.pointmap
    )

    tokens = model(same)

    for modality in Modality:
        cropped, full = tokens[:, tokens_of(GEOMETRY, modality)].chunk(2, dim=1)
        expected = (model.idx_emb[1] - model.idx_emb[0]).expand_as(full)
        torch.testing.assert_close(full - cropped, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dropped", [[m] for m in Modality] + [[], list(Modality)], ids=str)
def test_dropping_zeroes_exactly_the_tokens_of_the_modality(dropped: list[Modality]) -> None:
    model, given = randomised(ConditionEmbedder(GEOMETRY)), inputs(batch=2)
    expected = model(given)
    for modality in dropped:
        expected[:, tokens_of(GEOMETRY, modality)] = 0.0

    assert torch.equal(model(given, dropped), expected)


def test_dropped_point_maps_need_not_be_given() -> None:
    model, given = randomised(ConditionEmbedder(GEOMETRY)), inputs()
    bare = replace(given, pointmap=None, rgb_pointmap=None)

    dropped = [Modality.POINTS]

    assert torch.equal(model(bare, dropped), model(given, dropped))


@pytest.mark.parametrize("missing", ["pointmap", "rgb_pointmap"])
def test_a_missing_point_map_is_named(missing: str) -> None:
    with pytest.raises(ConditionError, match=f"got no {missing}; give depth"):
        ConditionEmbedder(GEOMETRY)(replace(inputs(), **{missing: None}))


def test_a_model_without_points_needs_no_point_map() -> None:
    model, given = randomised(ConditionEmbedder(REFINEMENT)), inputs()

    assert torch.equal(model(replace(given, pointmap=None, rgb_pointmap=None)), model(given))


@pytest.mark.parametrize("name", [f.name for f in fields(ConditionInputs)])
def test_an_input_of_another_size_is_named(name: str) -> None:
    given = inputs()
    smaller = getattr(given, name)[..., :-1]

    with pytest.raises(ShapeError, match=f"^{name} must have shape"):
        ConditionEmbedder(GEOMETRY)(replace(given, **{name: smaller}))


def test_an_input_of_another_number_is_named() -> None:
    given = inputs(batch=2)

    with pytest.raises(ShapeError, match=r"mask must have shape \(2, 1, 40, 40\)"):
        ConditionEmbedder(GEOMETRY)(replace(given, mask=given.mask[:1]))


@BOTH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_gives_nearly_the_same_tokens(
    config: ConditionConfig, dtype: torch.dtype
) -> None:
    model, given = randomised(ConditionEmbedder(config)), inputs()
    exact = model(given)

    tokens = model.to(dtype)(given)

    assert tokens.dtype == dtype
    error = (tokens.float() - exact).norm() / exact.norm()
    assert error < (0.05 if dtype == torch.bfloat16 else 0.01)


def points_with(value: float, channel: int) -> Tensor:
    points = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    points[0, channel, :7, 9:] = value
    return points


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf], ids=str)
def test_a_point_is_unknown_if_any_coordinate_is_not_finite(value: float, channel: int) -> None:
    model = randomised(PointPatchEmbedder(POINTS))

    tokens = model(points_with(value, channel))

    assert tokens.isfinite().all()
    assert torch.equal(tokens, model(points_with(torch.nan, 0)))


def test_a_known_origin_is_not_an_unknown_point() -> None:
    model = randomised(PointPatchEmbedder(POINTS))
    origin = torch.zeros(1, 3, SIDE, SIDE)

    assert not torch.allclose(model(origin), model(torch.full_like(origin, torch.nan)))


def test_a_point_too_far_for_half_precision_is_unknown() -> None:
    model = randomised(PointPatchEmbedder(POINTS)).half()

    far = model(points_with(1e6, 2))

    assert torch.equal(far, model(points_with(torch.nan, 2)))


def test_half_precision_tells_near_points_apart() -> None:
    model = randomised(PointPatchEmbedder(POINTS)).bfloat16()
    point = torch.full((1, 3, SIDE, SIDE), 3.0)
    assert torch.equal(point.bfloat16(), (point + 0.004).bfloat16())

    assert not torch.equal(model(point), model(point + 0.004))


def test_a_point_moves_the_token_of_its_window_only() -> None:
    model, points = randomised(PointPatchEmbedder(POINTS)), torch.randn(1, 3, 24, 24)
    other = points.clone()
    other[0, :, 9, 20] += 1.0  # second row of windows, third column

    moved = (model(points) != model(other)).any(dim=-1)[0]

    assert moved.nonzero().tolist() == [[5]]


def test_point_maps_are_resized_to_the_nearest_pixel() -> None:
    model, points = randomised(PointPatchEmbedder(POINTS)), torch.randn(1, 3, 24, 24)

    doubled = points.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    assert torch.equal(model(doubled), model(points))


def test_the_window_s_token_is_the_first_that_a_whole_block_would_give() -> None:
    first_only, whole = randomised(WindowBlock(32, 4, 2.0)), Block(32, 4, 2.0)
    whole.load_state_dict(first_only.state_dict())
    x = torch.randn(5, 65, 32)

    torch.testing.assert_close(first_only(x), whole(x)[:, 0])


def test_equal_encoders_of_all_models_share_memory_and_change_no_token() -> None:
    models = [randomised(ConditionEmbedder(config)) for config in (GEOMETRY, REFINEMENT)]
    encoders = [model.module_list[i].backbone for model in models for i in range(2)]
    for encoder in encoders[1:]:
        encoder.load_state_dict(encoders[0].state_dict())
    given = inputs()
    before = [model(given) for model in models]

    freed = share_encoders(*models)

    assert freed == 3 * sum(parameter.nbytes for parameter in encoders[0].parameters())
    assert len({p.data_ptr() for e in encoders for p in e.parameters()}) == len(
        list(encoders[0].parameters())
    )
    for model, tokens in zip(models, before, strict=True):
        assert torch.equal(model(given), tokens)


def test_encoders_that_differ_stay_apart() -> None:
    model = randomised(ConditionEmbedder(GEOMETRY))

    assert share_encoders(model) == 0
