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

"""Sampling shape and layout: lossless shortcuts, reproducible noise, batches that do not mix."""

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch
from tiny_geometry import TINY, condition_tokens, tiny_model

from sam3d_ros.errors import CancelledError, ShapeError
from sam3d_ros.nn.attention import CrossAttention
from sam3d_ros.nn.flow import FlowConfig, integrate, schedule
from sam3d_ros.objects import sampling
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.sampling import (
    ReferenceVelocity,
    concatenated,
    halves,
    initial_noise,
    one_pass_pays,
    sample_geometry,
)

NAMES = [each.name for each in fields(GeometryLatents)]
GUIDED = FlowConfig(num_steps=4, strength=2.0)
FLOWS = {
    "guided": GUIDED,
    "unguided": FlowConfig(num_steps=3, strength=0.0),
    "1 step": FlowConfig.with_shortcut(1),
    "2 steps": FlowConfig.with_shortcut(2),
    "4 steps": FlowConfig.with_shortcut(4),
}


@pytest.fixture(scope="module")
def model() -> GeometryModel:
    return tiny_model()


@pytest.fixture(params=[False, True], ids=["two passes", "one pass"])
def in_one(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Make guided steps take one pass, or two."""
    monkeypatch.setattr(sampling, "one_pass_pays", lambda *_: request.param)
    return bool(request.param)


def noise(*seeds: int) -> GeometryLatents:
    return initial_noise(TINY, [torch.Generator().manual_seed(seed) for seed in seeds])


def assert_close(actual: GeometryLatents, expected: GeometryLatents) -> None:
    """Compare to 1e-4 of the largest value."""
    for name in NAMES:
        exact = getattr(expected, name)
        limit = 1e-4 * exact.abs().max().item()
        torch.testing.assert_close(getattr(actual, name), exact, atol=limit, rtol=0)


@pytest.mark.parametrize("flow", FLOWS.values(), ids=list(FLOWS))
@pytest.mark.usefixtures("in_one")
def test_preparing_parts_changes_nothing(flow: FlowConfig, model: GeometryModel) -> None:
    condition, x = condition_tokens(2), noise(0, 1)

    sample = sample_geometry(model, condition, x, flow)

    reference = integrate(ReferenceVelocity(model, condition, flow), x, schedule(flow))
    assert_close(sample, reference)


@pytest.mark.usefixtures("in_one")
def test_several_objects_and_seeds_in_one_batch_are_what_they_are_alone(
    model: GeometryModel,
) -> None:
    condition, seeds = condition_tokens(3), (5, 7, 5)

    together = sample_geometry(model, condition, noise(*seeds), GUIDED)

    alone = [
        sample_geometry(model, condition[i : i + 1], noise(seed), GUIDED)
        for i, seed in enumerate(seeds)
    ]
    assert_close(together, concatenated(alone))


@pytest.mark.usefixtures("in_one")
def test_several_seeds_share_the_condition_of_one_object(model: GeometryModel) -> None:
    condition = condition_tokens(1)

    together = sample_geometry(model, condition, noise(1, 2, 3), GUIDED)

    alone = [sample_geometry(model, condition, noise(seed), GUIDED) for seed in (1, 2, 3)]
    on_the_spot = ReferenceVelocity(model, condition, GUIDED)
    assert_close(together, concatenated(alone))
    assert_close(together, integrate(on_the_spot, noise(1, 2, 3), schedule(GUIDED)))


def test_the_same_seed_gives_the_same_sample_and_another_one_another(model: GeometryModel) -> None:
    condition = condition_tokens(1)

    first, again, other = (
        sample_geometry(model, condition, noise(seed), GUIDED) for seed in (1, 1, 2)
    )

    for name in NAMES:
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))


def test_noise_does_not_depend_on_its_batch() -> None:
    together, alone = noise(3, 4), noise(4)

    for name in NAMES:
        assert torch.equal(getattr(together, name)[1:], getattr(alone, name))


def test_noise_is_drawn_in_the_order_of_the_reference() -> None:
    drawn, generator = noise(9), torch.Generator().manual_seed(9)

    for name in ("rotation", "scale", "shape", "translation", "translation_scale"):
        latent = getattr(drawn, name)
        assert torch.equal(latent, torch.randn(latent.shape, generator=generator))


def test_the_generator_goes_on_after_the_noise() -> None:
    generators = [torch.Generator().manual_seed(9)]

    first, second = (initial_noise(TINY, generators) for _ in range(2))

    assert not torch.equal(first.shape, second.shape)


def test_keys_and_values_are_computed_once(model: GeometryModel) -> None:
    calls: list[object] = []
    attentions = [m for m in model.modules() if isinstance(m, CrossAttention)]
    hooks = [m.to_kv.register_forward_hook(lambda *_: calls.append(None)) for m in attentions]

    sample_geometry(model, condition_tokens(1), noise(0), GUIDED)

    for hook in hooks:
        hook.remove()
    assert len(calls) == len(attentions) == 2 * TINY.num_blocks


@pytest.fixture
def num_samples(
    model: GeometryModel, monkeypatch: pytest.MonkeyPatch
) -> Callable[[FlowConfig], list[int]]:
    """Return how many samples each pass of the model has when a flow runs for one sample."""
    passes: list[int] = []
    plain = model.velocity

    def counted(x: GeometryLatents, *parts: object) -> GeometryLatents:
        passes.append(len(x.shape))
        return plain(x, *parts)

    monkeypatch.setattr(model, "velocity", counted)

    def run(flow: FlowConfig) -> list[int]:
        passes.clear()
        sample_geometry(model, condition_tokens(1), noise(0), flow)
        return list(passes)

    return run


def test_only_guided_steps_ask_for_the_unconditional_velocity(
    in_one: bool, num_samples: Callable[[FlowConfig], list[int]]
) -> None:
    last_unguided = FlowConfig(num_steps=4, strength=2.0, interval=(0.0, 499.0))

    assert num_samples(last_unguided) == ([2, 2, 2, 1] if in_one else [1] * 7)
    assert num_samples(FlowConfig(num_steps=4, strength=0.0)) == [1] * 4
    assert num_samples(FlowConfig.with_shortcut(2)) == [1] * 2


def test_passes_are_joined_on_accelerators_and_where_there_is_little_to_compute() -> None:
    assert one_pass_pays(torch.device("cuda"), 10**9)
    assert one_pass_pays(torch.device("cpu"), 1000)
    assert not one_pass_pays(torch.device("cpu"), 10**6)


def test_samples_are_cancelled_between_steps(model: GeometryModel) -> None:
    told: list[tuple[int, int]] = []

    def cancelled() -> bool:
        return len(told) == 3

    with pytest.raises(CancelledError, match="stopped after 3 of 4 flow steps"):
        sample_geometry(
            model, condition_tokens(1), noise(0), GUIDED, cancelled, lambda *now: told.append(now)
        )
    assert told == [(1, 4), (2, 4), (3, 4)]


def test_samples_carry_no_gradient() -> None:
    model = tiny_model().requires_grad_(True)

    assert not sample_geometry(model, condition_tokens(1), noise(0), GUIDED).shape.requires_grad


def test_halves_undo_joining() -> None:
    first, second = halves(concatenated([noise(1, 2), noise(3, 4)]))

    assert torch.equal(first.shape, noise(1, 2).shape)
    assert torch.equal(second.rotation, noise(3, 4).rotation)


def test_conditions_of_another_number_are_refused_with_the_way_out(model: GeometryModel) -> None:
    with pytest.raises(ShapeError, match="repeat the tokens of an object"):
        sample_geometry(model, condition_tokens(2), noise(0, 1, 2), GUIDED)


def test_conditions_of_another_width_are_refused(model: GeometryModel) -> None:
    with pytest.raises(ShapeError, match=r"condition must have shape \(B, N, 24\)"):
        sample_geometry(model, torch.zeros(1, 5, 23), noise(0), GUIDED)


def test_noise_of_another_size_is_refused(model: GeometryModel) -> None:
    x = noise(0)
    wrong = GeometryLatents(x.shape[:, 1:], x.rotation, x.translation, x.scale, x.translation_scale)

    with pytest.raises(ShapeError, match=r"noise shape must have shape \(1, 8, 3\)"):
        sample_geometry(model, condition_tokens(1), wrong, GUIDED)
