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

"""The arithmetic of the parts: what torch counts, and what is known of the released sizes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sam3d_ros.evaluation.benchmarks.arithmetic import (
    condition_flop,
    conditional_flop,
    context_flop,
    encoder_flop,
    modulation_flop,
    occupancy_flop,
    reference_flop,
    reference_sampling_flop,
    sampling_flop,
    unconditional_flop,
)
from sam3d_ros.evaluation.benchmarks.random_models import REDUCED, condition_inputs, random_model
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.condition import ConditionEmbedder
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.occupancy import OccupancyDecoder
from sam3d_ros.objects.sampling import initial_noise, sample_geometry

RELEASED = ObjectsArchitecture()
NUM_CONDITION = RELEASED.geometry_condition.num_tokens
CPU = torch.device("cpu")


def counted(run: Callable[[], object]) -> int:
    """Count with torch's own counter, which only sees attention that is made of products."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def test_the_condition_embedder_takes_what_torch_counts() -> None:
    config = REDUCED.geometry_condition
    embedder = random_model(lambda: ConditionEmbedder(config), CPU, torch.float32)

    total = counted(lambda: embedder(condition_inputs(REDUCED, CPU)))

    assert condition_flop(config) == pytest.approx(total, rel=1e-6)


def test_the_occupancy_decoder_takes_what_torch_counts() -> None:
    config, geometry = REDUCED.occupancy, REDUCED.geometry
    decoder = random_model(lambda: OccupancyDecoder(config), CPU, torch.float32)
    shape = torch.zeros(1, geometry.resolution**3, geometry.shape_channels)

    assert occupancy_flop(config, geometry.resolution) == counted(lambda: decoder(shape))


def test_velocities_and_samples_take_what_torch_counts() -> None:
    config, num_condition = replace(REDUCED.geometry, num_blocks=2, resolution=3), 50
    model = random_model(lambda: GeometryModel(config), CPU, torch.float32)
    condition = torch.zeros(1, num_condition, config.condition_dim)
    x = initial_noise(config, [torch.Generator().manual_seed(0)])
    time = torch.zeros(1)
    with torch.no_grad():
        modulation, context = model.modulation(time, time), model.context(condition)
        nothing = model.unconditional_context()
    flow = FlowConfig(num_steps=3)

    assert counted(lambda: model.context(condition)) == context_flop(config, num_condition)
    assert counted(lambda: model.modulation(time, time)) == modulation_flop(config, 1)
    assert counted(lambda: model.velocity(x, modulation, nothing)) == unconditional_flop(config)
    assert counted(lambda: model.velocity(x, modulation, context)) == conditional_flop(
        config, num_condition
    )
    assert counted(lambda: model(x, time, condition, time)) == reference_flop(config, num_condition)
    assert counted(lambda: sample_geometry(model, condition, x, flow)) == sampling_flop(
        config, num_condition, flow
    )


def test_the_released_sizes_take_what_is_known_of_them() -> None:
    geometry, guided = RELEASED.geometry, FlowConfig()

    tera = {
        "4 images": 4 * encoder_flop(RELEASED.geometry_condition.encoder),
        "as written": reference_flop(geometry, NUM_CONDITION),
        "prepared": conditional_flop(geometry, NUM_CONDITION),
        "unconditional": unconditional_flop(geometry),
        "decoder": occupancy_flop(RELEASED.occupancy, geometry.resolution),
        "25 steps as written": reference_sampling_flop(geometry, NUM_CONDITION, guided),
        "25 steps prepared": sampling_flop(geometry, NUM_CONDITION, guided),
    }

    assert {name: flop / 1e12 for name, flop in tera.items()} == pytest.approx(
        {
            "4 images": 4.1,
            "as written": 9.1,
            "prepared": 7.6,
            "unconditional": 4.1,
            "decoder": 0.8,
            "25 steps as written": 400.0,
            "25 steps prepared": 270.0,
        },
        rel=0.1,
    )
