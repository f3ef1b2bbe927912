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

"""Losses and objectives: what costs nothing, what does, and what long steps are asked for."""

from dataclasses import fields

import pytest
import torch
from training_cases import SIDE, STAGE, Spheres, TinyFlow, spheres

from sam3d_ros.errors import ConfigError
from sam3d_ros.nn.flow import TIME_SCALE, FlowConfig, time_grid
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.training.losses import (
    LATENTS,
    distance_losses,
    drawn_times,
    noise_like,
    truth_of,
    velocity_losses,
)
from sam3d_ros.training.objectives import (
    FINEST,
    LONG_STEPS,
    FlowObjective,
    flow_question,
    grid_times,
    shortcut_question,
)
from sam3d_ros.training.recipe import LossWeights, StageConfig, TimesConfig


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truth_and_noise(num: int = 4) -> tuple[GeometryLatents, GeometryLatents]:
    truth = truth_of(TinyFlow(), spheres(torch.linspace(0.2, 0.4, num)))
    return truth, noise_like(truth, generator())


class Straight:
    """A flow that runs straight to one truth from wherever it is."""

    def __init__(self, truth: GeometryLatents) -> None:
        self.truth = truth
        self.told: list[torch.Tensor] = []

    def velocity(
        self,
        x: GeometryLatents,
        time: torch.Tensor,
        condition: torch.Tensor,
        step_size: torch.Tensor,
    ) -> GeometryLatents:
        self.told.append(step_size)
        left = (1.0 - time / TIME_SCALE)[:, None, None]
        way = self.truth + x * -1.0
        return GeometryLatents(*(getattr(way, name) / left for name in LATENTS))


def test_the_true_velocity_costs_nothing() -> None:
    truth, noise = truth_and_noise()
    asked = flow_question(noise, truth, torch.rand(4, generator=generator()))
    assert velocity_losses(asked.velocity, asked.velocity, LossWeights()).total == 0.0


def test_a_velocity_leads_from_where_the_flow_is_to_the_data() -> None:
    truth, noise = truth_and_noise()
    time = torch.tensor([0.0, 0.3, 0.6, 0.9])
    asked = flow_question(noise, truth, time)
    arrived = asked.x.shape + (1 - time)[:, None, None] * asked.velocity.shape
    torch.testing.assert_close(arrived, truth.shape)


def test_losses_of_latents_are_weighted_as_those_of_sam_3d() -> None:
    truth, _ = truth_and_noise()
    for name, weight in {"shape": 1.0, "rotation": 0.1, "translation": 1.0, "scale": 0.1}.items():
        off = {each: getattr(truth, each) for each in LATENTS} | {name: getattr(truth, name) + 2.0}
        losses = velocity_losses(GeometryLatents(**off), truth, LossWeights())
        torch.testing.assert_close(losses.total, torch.tensor(4.0 * weight))


def test_the_true_distance_costs_less_than_any_shift_of_it() -> None:
    truth = spheres(torch.tensor([0.3])).distance
    losses = [distance_losses(truth + shift, truth, LossWeights()) for shift in (-0.2, 0.0, 0.2)]
    assert losses[1].parts["distance"] == 0.0
    assert losses[1].total < losses[0].total
    assert losses[1].total < losses[2].total


def test_a_shell_that_is_missed_costs_as_much_as_a_block() -> None:
    far = torch.full((1, SIDE, SIDE, SIDE), 0.9)
    shell, block = far.clone(), far.clone()
    shell[:, 2:6, 2:6, 2] = -0.9
    block[:, 1:7, 1:7, 1:7] = -0.9
    missed, hit = (
        [distance_losses(guess, truth, LossWeights()).parts["overlap"] for truth in (shell, block)]
        for guess in (far, block)
    )
    assert missed[0] > 0.9
    assert missed[1] > 0.9
    assert hit[1] == pytest.approx(0.0, abs=1e-6)
    assert hit[0] > 0.5


def test_beyond_the_truncation_farther_is_no_error_and_nearer_is_one() -> None:
    truth = torch.ones(1, SIDE, SIDE, SIDE)
    weights = LossWeights(sign=0.0, overlap=0.0)
    assert distance_losses(3.0 * truth, truth, weights).total == 0.0
    assert distance_losses(0.5 * truth, truth, weights).total > 0.0
    assert distance_losses(-3.0 * truth, -truth, weights).total == 0.0


def test_a_voxel_on_the_wrong_side_far_away_still_has_a_gradient() -> None:
    truth = torch.ones(1, SIDE, SIDE, SIDE)
    predicted = (-2.0 * truth).requires_grad_()
    distance_losses(predicted, truth, LossWeights()).total.backward()
    assert (predicted.grad < 0).all()


@pytest.mark.parametrize("at_noise", [0.0, 0.5, 1.0])
def test_so_many_times_are_the_noise_and_the_others_are_between(at_noise: float) -> None:
    times = drawn_times(TimesConfig(at_noise=at_noise), 40, generator())
    assert (times == 0).sum() == round(40 * at_noise)
    assert ((times[round(40 * at_noise) :] > 0) & (times < 1)[round(40 * at_noise) :]).all()


def test_a_share_of_times_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"at_noise must be in \[0, 1\], got 1.5"):
        TimesConfig(at_noise=1.5)


def test_the_layout_of_a_batch_becomes_latents() -> None:
    batch = spheres(torch.tensor([0.25, 0.4]))
    truth = truth_of(TinyFlow(), batch)
    columns = torch.tensor([1.0, 0, 0, 0, 1, 0]) * 3**0.5
    torch.testing.assert_close(truth.rotation, columns.expand(2, 1, 6))
    torch.testing.assert_close(truth.scale.exp(), batch.extent[:, None])
    assert [len(getattr(truth, each.name)) for each in fields(truth)] == [2] * 5


def test_of_a_straight_flow_long_steps_are_asked_to_go_as_the_flow() -> None:
    truth, noise = truth_and_noise(16)
    model = Straight(truth)
    asked = shortcut_question(model, noise, truth, torch.zeros(16, 1, 1), generator(1))
    for name in LATENTS:
        expected = getattr(truth, name) - getattr(noise, name)
        torch.testing.assert_close(getattr(asked.velocity, name), expected, atol=1e-4, rtol=1e-4)


def test_a_long_step_is_told_twice_the_size_of_the_two_it_is_made_of() -> None:
    truth, noise = truth_and_noise(64)
    model = Straight(truth)
    asked = shortcut_question(model, noise, truth, torch.zeros(64, 1, 1), generator(2))
    assert set(asked.step_size.tolist()) == {TIME_SCALE / n for n in LONG_STEPS}
    for told in model.told:
        finest = asked.step_size == 2 * TIME_SCALE / FINEST
        torch.testing.assert_close(told[~finest], asked.step_size[~finest] / 2)
        assert (told[finest] == 0).all()


def test_steps_are_learned_at_the_times_of_the_sampler() -> None:
    for num in LONG_STEPS:
        grid = time_grid(FlowConfig(num_steps=num)).float()
        index = torch.arange(num + 1)
        torch.testing.assert_close(grid_times(index, torch.full_like(index, num)), grid)
        nested = grid_times(2 * index, torch.full_like(index, 2 * num))
        torch.testing.assert_close(nested, grid)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_an_objective_is_a_function_of_batch_and_generator(share: float) -> None:
    objective = FlowObjective(StageConfig(steps=1, consistency_share=share))
    model, batch = TinyFlow(), Spheres().batch(0, 4)
    first, again, other = (
        objective(model, batch, generator(seed)).total.item() for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_the_target_of_a_long_step_gets_no_gradient() -> None:
    model, batch = TinyFlow(), Spheres().batch(0, 4)
    objective = FlowObjective(StageConfig(steps=1, consistency_share=0.5))
    truth = truth_of(model, batch)
    asked = shortcut_question(
        model, truth, truth, model.condition(batch.view, batch.box), generator()
    )
    assert not asked.velocity.shape.requires_grad
    objective(model, batch, generator()).total.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_batches_of_a_stage_are_at_least_one_sample() -> None:
    with pytest.raises(ConfigError, match="batch_size must be at least 1, got 0"):
        StageConfig(steps=1, batch_size=0)
    assert STAGE.batch_size == 2
