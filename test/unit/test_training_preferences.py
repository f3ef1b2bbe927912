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

"""Preference alignment: the loss of Diffusion-DPO for a flow, and what descending it does."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from test_training_engine import P, box, view_of_a_ball

from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.volume.model import NanoModel, untrained
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView
from sam3d_ros.training.engine.preferences import PreferenceObjective, PreferencePairs
from sam3d_ros.training.losses import noise_like
from sam3d_ros.training.presets import preset
from sam3d_ros.training.recipe import StageConfig

CONFIG = StageConfig(steps=1)
B = 4


def pairs(model: NanoModel) -> PreferencePairs:
    """Return balls, and two random answers to each."""
    assert P
    generator = torch.Generator().manual_seed(3)
    index = torch.zeros(B, dtype=torch.long)
    view: VolumeView = view_of_a_ball()[index]
    boxes: VolumeBox = box()[index]
    like = GeometryLatents(
        torch.zeros(B, *_shape_size(model)),
        torch.zeros(B, 1, 6),
        torch.zeros(B, 1, 3),
        torch.zeros(B, 1, 3),
        torch.zeros(B, 1, 1),
    )
    return PreferencePairs(
        view=view, box=boxes, best=noise_like(like, generator), worst=noise_like(like, generator)
    )


def _shape_size(model: NanoModel) -> tuple[int, int]:
    config = model.geometry.config
    return config.resolution**3, config.shape_channels


@pytest.fixture
def model() -> NanoModel:
    nano = untrained(0, preset("smoke").architecture)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in nano.geometry.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return nano


def loss_of(objective: PreferenceObjective, model: NanoModel, batch: PreferencePairs) -> float:
    with torch.no_grad():
        return float(objective(model, batch, torch.Generator().manual_seed(7)).total)


def test_a_policy_equal_to_its_reference_has_the_loss_of_a_tossed_coin(model: NanoModel) -> None:
    objective = PreferenceObjective(copy.deepcopy(model), CONFIG)

    assert loss_of(objective, model, pairs(model)) == pytest.approx(math.log(2.0), abs=1e-5)


def test_swapping_best_and_worst_turns_the_preference_round(model: NanoModel) -> None:
    reference = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.geometry.parameters():
            parameter.mul_(1.02)
    batch = pairs(model)
    swapped = PreferencePairs(view=batch.view, box=batch.box, best=batch.worst, worst=batch.best)
    objective = PreferenceObjective(reference, CONFIG, beta=1.0)

    one, other = (loss_of(objective, model, each) for each in (batch, swapped))

    # -log sigmoid(m) and -log sigmoid(-m) of small m lie on either side of log 2.
    assert (one - math.log(2.0)) * (other - math.log(2.0)) < 0


def test_pairs_that_nobody_can_tell_apart_do_not_count(model: NanoModel) -> None:
    reference = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.geometry.parameters():
            parameter.mul_(1.02)
    objective, batch = PreferenceObjective(reference, CONFIG, beta=1.0), pairs(model)
    none, first = torch.zeros(B, dtype=torch.bool), torch.arange(B) < 1

    assert loss_of(objective, model, replace(batch, told_apart=none)) == 0.0
    counted = loss_of(objective, model, replace(batch, told_apart=first))
    assert counted not in (0.0, pytest.approx(loss_of(objective, model, batch), rel=1e-6))
    every = replace(batch, told_apart=torch.ones(B, dtype=torch.bool))
    assert loss_of(objective, model, every) == pytest.approx(loss_of(objective, model, batch))


def test_descending_prefers_the_better_answers_and_leaves_the_reference_alone(
    model: NanoModel,
) -> None:
    reference = copy.deepcopy(model).requires_grad_(False)
    before = {name: value.clone() for name, value in reference.state_dict().items()}
    objective, batch = PreferenceObjective(reference, CONFIG, beta=50.0), pairs(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    for step in range(12):
        optimiser.zero_grad()
        objective(model, batch, torch.Generator().manual_seed(step)).total.backward()
        optimiser.step()

    losses = objective(model, batch, torch.Generator().manual_seed(99))
    assert float(losses.total.detach()) < math.log(2.0) - 0.05
    assert float(losses.parts["preferred"]) == 1.0
    assert all(torch.equal(before[name], value) for name, value in reference.state_dict().items())


def test_the_same_generator_gives_the_same_loss(model: NanoModel) -> None:
    with torch.no_grad():
        reference = copy.deepcopy(model)
        for parameter in model.geometry.parameters():
            parameter.mul_(1.05)
    objective, batch = PreferenceObjective(reference, CONFIG), pairs(model)

    assert loss_of(objective, model, batch) == loss_of(objective, model, batch)
