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

"""What validation measures: overlap, surfaces, size; and the text that goes with weights."""

from dataclasses import replace

import pytest
import torch
from training_cases import CONFIG, Spheres, TinyFlow, spheres

from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.training.model_card import model_card
from sam3d_ros.training.provenance import Origin, StageRecord, training_record
from sam3d_ros.training.validation import (
    ValidationSet,
    scale_error,
    surface_f1,
    validated,
    viou,
)

ONE_STEP = FlowConfig(num_steps=1, strength=0.0)


class Knowing(TinyFlow):
    """A flow that knows the sphere from its condition."""

    def velocity(
        self,
        x: GeometryLatents,
        time: torch.Tensor,
        condition: torch.Tensor,
        step_size: torch.Tensor,
    ) -> GeometryLatents:
        velocity = super().velocity(x, time, condition, step_size)
        return replace(velocity, shape=self.encode(spheres(condition[:, 0, 0]).distance) - x.shape)


def test_who_knows_the_truth_scores_all() -> None:
    sets = [ValidationSet(name="known", batches=(Spheres().batch(0, 3), Spheres().batch(1, 3)))]
    figures = validated(Knowing(), sets, ONE_STEP)
    assert figures == {
        "known/viou": 1.0,
        "known/f1": 1.0,
        "known/scale_error": 0.0,
        "known/viou/sphere": 1.0,
    }


def test_validation_is_the_same_every_time() -> None:
    sets = [ValidationSet(name="known", batches=(Spheres().batch(0, 3),))]
    model = TinyFlow()
    assert validated(model, sets, ONE_STEP) == validated(model, sets, ONE_STEP)


def test_overlap_is_that_of_the_bodies() -> None:
    truth = torch.ones(1, 4, 4, 4)
    truth[:, :2] = -1.0  # 32 voxels
    predicted = torch.ones(1, 4, 4, 4)
    predicted[:, 1:3] = -1.0  # 32, of which 16 are in both
    assert viou(predicted, truth).item() == pytest.approx(16 / 48)
    assert viou(torch.ones(1, 4, 4, 4), truth).item() == 0.0


def test_a_larger_body_has_an_error_of_scale_and_a_worse_surface() -> None:
    small, large = spheres(torch.tensor([0.26])), spheres(torch.tensor([0.39]))
    assert scale_error(large.distance, small.distance).item() == pytest.approx(0.5, abs=0.1)
    assert scale_error(torch.ones_like(small.distance), small.distance).item() == 1.0
    assert surface_f1(small.distance, small.distance, small.extent).item() == 1.0
    assert surface_f1(large.distance, small.distance, small.extent).item() == 0.0


def test_the_model_card_tells_stages_figures_and_that_no_gpu_was_used() -> None:
    stage = StageRecord(
        name="pre",
        steps=50,
        planned_steps=100,
        samples=400,
        hours=1.25,
        recipe="isolated",
        origins=(
            Origin(step=0, commit="abc", hardware="2 cores of EPYC"),
            Origin(step=20, commit="abc", hardware="1 cores of EPYC"),
        ),
        validation={"known/viou": 0.6123, "held_out/viou": 0.5},
    )
    record = training_record(CONFIG, (stage,))
    card = model_card(record)
    assert "| pre | isolated | 50 of 100 | 400 | 0.612 / 0.500 | - / - | - / - |" in card
    assert "what 1.2 hours on a CPU gave" in card
    assert "| commit | abc |" in card
    assert "| hardware | 2 cores of EPYC, 1 cores of EPYC |" in card
    values = record.as_json()
    assert values["hours"] == 1.25
    assert values["samples"] == 400
    assert values["config"]["pre"]["steps"] == CONFIG.pre.steps
