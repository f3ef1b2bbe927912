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


"""The refinement model and its sampling give what the reference gave, prepared or not."""

from typing import Any

import pytest
import torch
from fixtures import Golden, load_golden
from torch import Tensor

from sam3d_ros.nn.flow import FlowConfig, integrate, schedule, time_grid
from sam3d_ros.nn.sparse.voxels import SparseTensor, voxels_of
from sam3d_ros.objects.architecture import RefinementConfig
from sam3d_ros.objects.refinement_model import RefinementModel
from sam3d_ros.objects.refinement_sampling import (
    TIMES_DTYPE,
    CachedVelocity,
    ReferenceVelocity,
    sample_refinement,
    structured,
)


@pytest.fixture(scope="module")
def forward() -> Golden:
    return load_golden("slat_flow_forward")


@pytest.fixture(scope="module")
def recorded() -> Golden:
    return load_golden("slat_flow_sampling")


@pytest.fixture(scope="module")
def model(forward: Golden, recorded: Golden) -> RefinementModel:
    config = forward.config
    refinement = RefinementConfig(
        dim=config["model_channels"],
        num_blocks=config["num_blocks"],
        num_heads=config["num_heads"],
        mlp_ratio=config["mlp_ratio"],
        condition_dim=config["cond_channels"],
        resolution=config["resolution"],
        latent_channels=forward.inputs["x"].shape[-1],
        io_channels=config["io"],
        latent_mean=tuple(recorded.config["slat_mean"]),
        latent_std=tuple(recorded.config["slat_std"]),
    )
    model = RefinementModel(refinement)
    model.load_state_dict(forward.weights)
    return model.eval().requires_grad_(False)


def latents_of(golden: Golden, name: str) -> SparseTensor:
    return SparseTensor(voxels_of(golden.inputs["coords"]), golden.inputs[name].flatten(0, -2))


def assert_rows(golden: Golden, actual: Tensor, output: str) -> None:
    """Compare rows of voxels with an output that may have a leading axis of batches."""
    golden.close(actual.reshape(golden.outputs[output].shape), output)


@pytest.mark.parametrize(("output", "factor"), [("velocity", 1.0), ("velocity_uncond", 0.0)])
def test_the_velocity_is_the_reference_s(
    output: str, factor: float, forward: Golden, model: RefinementModel
) -> None:
    x, condition = latents_of(forward, "x"), forward.inputs["cond"] * factor

    assert_rows(forward, model(x, forward.inputs["t"], condition).feats, output)


def test_prepared_parts_give_the_reference_s_velocities(
    forward: Golden, model: RefinementModel
) -> None:
    x = latents_of(forward, "x")
    grid, modulation = model.grid(x.voxels), model.modulation(forward.inputs["t"])
    encoded = model.encode(x.feats, grid, modulation)

    contexts = (model.context(forward.inputs["cond"]), model.unconditional_context())
    velocities = [model.velocity(encoded, grid, modulation, context) for context in contexts]

    assert_rows(forward, velocities[0], "velocity")
    assert_rows(forward, velocities[1], "velocity_uncond")


def test_what_is_between_the_layers_is_the_reference_s(
    forward: Golden, model: RefinementModel
) -> None:
    x = latents_of(forward, "x")
    grid, modulation = model.grid(x.voxels), model.modulation(forward.inputs["t"])
    encoded = model.encode(x.feats, grid, modulation)
    context = model.context(forward.inputs["cond"])
    tokens = encoded.coarse + grid.positions

    tokens = model.blocks[0](tokens, modulation.blocks[:, 0], context[0], grid.tokens)

    forward.close(model.input_layer(x.feats), "mid.input_layer")
    forward.close(encoded.fine, "mid.input_block0")
    forward.close(encoded.coarse, "mid.input_block1")
    forward.close(grid.tokens.coords, "mid.input_block1_coords")
    forward.close(tokens, "mid.block0")


def test_the_way_back_to_the_voxels_is_the_reference_s(
    forward: Golden, model: RefinementModel
) -> None:
    x = latents_of(forward, "x")
    grid, modulation = model.grid(x.voxels), model.modulation(forward.inputs["t"])
    encoded = model.encode(x.feats, grid, modulation)
    tokens = encoded.coarse + grid.positions
    for index, context in enumerate(model.context(forward.inputs["cond"])):
        tokens = model.blocks[index](tokens, modulation.blocks[:, index], context, grid.tokens)
    both = torch.cat((tokens, encoded.coarse), dim=1)

    back = model.out_blocks[0].unpooled(both, x.voxels, modulation.outputs[0])

    forward.close(back.feats, "mid.out_block0")


def flow_of(mode: dict[str, Any]) -> FlowConfig:
    return FlowConfig(
        num_steps=mode["steps"],
        strength=float(mode["strength"]),
        interval=tuple(mode["interval"]),
        rescale=float(mode["rescale_t"]),
    )


def test_times_are_the_reference_s(recorded: Golden) -> None:
    for mode, settings in recorded.config["modes"].items():
        recorded.close(time_grid(flow_of(settings), TIMES_DTYPE), f"{mode}.t_seq")


@pytest.mark.parametrize("prepared", [True, False], ids=["prepared", "on the spot"])
def test_latents_are_the_reference_s(
    prepared: bool, recorded: Golden, model: RefinementModel
) -> None:
    noise, condition = latents_of(recorded, "x0"), recorded.inputs["cond"]
    for mode, settings in recorded.config["modes"].items():
        flow = flow_of(settings)
        velocity = (
            CachedVelocity(model, condition, noise, flow)
            if prepared
            else ReferenceVelocity(model, condition, noise.voxels)
        )

        latents = integrate(velocity, noise.feats, schedule(flow, TIMES_DTYPE))

        assert_rows(recorded, latents, f"{mode}.latent")
        assert_rows(recorded, structured(latents, model.config), f"{mode}.slat")


def test_samples_are_the_reference_s_structured_latents(
    recorded: Golden, model: RefinementModel
) -> None:
    noise, condition = latents_of(recorded, "x0"), recorded.inputs["cond"]
    for mode, settings in recorded.config["modes"].items():
        sampled = sample_refinement(model, condition, noise, flow_of(settings))

        assert_rows(recorded, sampled.feats, f"{mode}.slat")
