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

"""The geometry model: who depends on whom, and in which precision."""

from dataclasses import fields, replace

import pytest
import torch
from tiny_geometry import TINY, condition_tokens, tiny_model

from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.sampling import concatenated, initial_noise
from sam3d_ros.objects.streams import LAYOUT

NAMES = [each.name for each in fields(GeometryLatents)]
# Largest difference from float32, relative to the largest value. Two blocks of random weights.
BOUNDS = {torch.bfloat16: 2e-2, torch.float16: 2e-3}


@pytest.fixture(scope="module")
def model() -> GeometryModel:
    return tiny_model()


def noise(*seeds: int) -> GeometryLatents:
    return initial_noise(TINY, [torch.Generator().manual_seed(seed) for seed in seeds])


def taken(latents: GeometryLatents, samples: list[int]) -> GeometryLatents:
    return GeometryLatents(*(getattr(latents, name)[samples] for name in NAMES))


def assert_close(actual: GeometryLatents, expected: GeometryLatents) -> None:
    for name in NAMES:
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name))


TIME, STEP = torch.tensor([300.0]), torch.tensor([0.0])


@pytest.mark.parametrize("name", LAYOUT)
def test_the_shape_never_depends_on_the_layout(model: GeometryModel, name: str) -> None:
    x, condition = noise(0), condition_tokens(1)

    moved = replace(x, **{name: getattr(x, name) + 5.0})

    first, second = (model(each, TIME, condition, STEP) for each in (x, moved))
    assert torch.equal(first.shape, second.shape)
    for other in LAYOUT:
        assert not torch.equal(getattr(first, other), getattr(second, other))


def test_the_layout_depends_on_the_shape(model: GeometryModel) -> None:
    x, condition = noise(0), condition_tokens(1)

    moved = replace(x, shape=x.shape + 1.0)

    first, second = (model(each, TIME, condition, STEP) for each in (x, moved))
    for name in LAYOUT:
        assert not torch.allclose(getattr(first, name), getattr(second, name))


def test_permuting_the_batch_permutes_the_velocities(model: GeometryModel) -> None:
    x, condition, order = noise(0, 1, 2), condition_tokens(3), [2, 0, 1]

    velocity = model(taken(x, order), TIME, condition[order], STEP)

    assert_close(velocity, taken(model(x, TIME, condition, STEP), order))


def test_every_sample_may_have_a_time_and_a_step_of_its_own(model: GeometryModel) -> None:
    x, condition = noise(0, 1), condition_tokens(2)
    times, steps = torch.tensor([100.0, 700.0]), torch.tensor([0.0, 500.0])

    velocity = model(x, times, condition, steps)

    alone = [
        model(taken(x, [i]), times[i : i + 1], condition[i : i + 1], steps[i : i + 1])
        for i in range(2)
    ]
    assert_close(velocity, concatenated(alone))


def test_the_smallest_step_is_not_the_same_as_no_step(model: GeometryModel) -> None:
    x, condition = noise(0), condition_tokens(1)

    with_step, without = model(x, TIME, condition, STEP), model(x, TIME, condition)

    assert not torch.allclose(with_step.shape, without.shape)


@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
def test_half_precision_stays_close_to_float32(model: GeometryModel, dtype: torch.dtype) -> None:
    x, condition = noise(0, 1), condition_tokens(2)
    half = tiny_model().to(dtype)

    velocity, expected = (each(x, TIME, condition, STEP) for each in (half, model))

    for name in NAMES:
        actual, exact = getattr(velocity, name), getattr(expected, name)
        assert actual.dtype is torch.float32
        assert (actual - exact).abs().max() < BOUNDS[dtype] * exact.abs().max()


def test_every_weight_of_the_model_has_a_gradient() -> None:
    model = tiny_model().requires_grad_(True)
    velocity = model(noise(0), TIME, condition_tokens(1), STEP)

    sum(getattr(velocity, name).square().sum() for name in NAMES).backward()

    idle = [name for name, p in model.named_parameters() if not p.grad.abs().sum() > 0]
    assert idle == []
