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

"""The geometry model and its sampling give what the reference gave, prepared or not."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from fixtures import Golden, load_golden
from torch import Tensor

from sam3d_ros.nn.flow import FlowConfig, integrate, schedule, time_grid
from sam3d_ros.objects import sampling
from sam3d_ros.objects.architecture import GeometryConfig
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.sampling import CachedVelocity, ReferenceVelocity
from sam3d_ros.objects.streams import LATENT_NAMES, LAYOUT_STREAM, SHAPE_STREAM, Streams

BACKBONE = "_base_models.generator.reverse_fn.backbone."
VARIANTS = ("nod", "d0", "d", "cfg_d0")


@pytest.fixture(scope="module")
def forward() -> Golden:
    return load_golden("mot_flow_forward")


@pytest.fixture(scope="module")
def recorded() -> Golden:
    return load_golden("ss_flow_sampling")


@pytest.fixture(scope="module")
def model(forward: Golden) -> GeometryModel:
    config = forward.config
    geometry = GeometryConfig(
        dim=config["model_channels"],
        num_blocks=config["num_blocks"],
        num_heads=config["num_heads"],
        mlp_ratio=config["mlp_ratio"],
        condition_dim=config["cond_channels"],
        resolution=config["resolution"],
        shape_channels=config["latents"]["shape"],
    )
    model = GeometryModel(geometry)
    model.load_state_dict(forward.weights)
    return model.eval().requires_grad_(False)


def latents_of(tensors: dict[str, Tensor], prefix: str) -> GeometryLatents:
    return GeometryLatents(**{name: tensors[prefix + key] for name, key in LATENT_NAMES.items()})


def assert_latents(golden: Golden, actual: GeometryLatents, prefix: str) -> None:
    for each in fields(actual):
        golden.close(getattr(actual, each.name), prefix + LATENT_NAMES[each.name])


def assert_streams(golden: Golden, actual: Streams[Tensor], prefix: str) -> None:
    golden.close(actual.shape, prefix + SHAPE_STREAM)
    golden.close(actual.layout, prefix + LAYOUT_STREAM)


def step_size_of(variant: str, golden: Golden) -> Tensor | None:
    d = golden.inputs["d"]
    return {"nod": None, "d": d}.get(variant, torch.zeros_like(d))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_velocity_is_the_reference_s(
    variant: str, forward: Golden, model: GeometryModel
) -> None:
    x, condition = latents_of(forward.inputs, "x."), forward.inputs["cond"]
    if variant == "cfg_d0":
        condition = condition * 0

    velocity = model(x, forward.inputs["t"], condition, step_size_of(variant, forward))

    assert_latents(forward, velocity, f"{variant}.")


def test_the_velocity_without_condition_needs_no_tokens(
    forward: Golden, model: GeometryModel
) -> None:
    t, d = forward.inputs["t"], forward.inputs["d"]
    modulation = model.modulation(t, torch.zeros_like(d))

    velocity = model.velocity(
        latents_of(forward.inputs, "x."), modulation, model.unconditional_context()
    )

    assert_latents(forward, velocity, "cfg_d0.")


def test_one_pass_gives_the_velocities_with_and_without_condition(
    forward: Golden, model: GeometryModel
) -> None:
    x = latents_of(forward.inputs, "x.")
    times = forward.inputs["t"].expand(len(x.shape)).repeat(2)
    modulation = model.modulation(times, torch.zeros_like(times))
    context = model.context(forward.inputs["cond"])

    both = model.velocity(sampling.concatenated([x, x]), modulation, context)

    conditional, unconditional = sampling.halves(both)
    assert_latents(forward, conditional, "d0.")
    assert_latents(forward, unconditional, "cfg_d0.")


def test_times_and_step_sizes_are_embedded_like_the_reference_s(
    forward: Golden, model: GeometryModel
) -> None:
    t, d = forward.inputs["t"], forward.inputs["d"]

    forward.close(model.t_embedder(t), "t_emb")
    forward.close(model.d_embedder(d), "d_emb")
    forward.close(model.d_embedder(torch.zeros_like(d)), "d_emb_zero")


def test_tokens_and_the_first_block_are_the_reference_s(
    forward: Golden, model: GeometryModel
) -> None:
    block, condition = model.blocks[0], forward.inputs["cond"]
    modulation = model.modulation(forward.inputs["t"], forward.inputs["d"]).blocks[:, 0]

    tokens = model.latent_mapping.tokens(latents_of(forward.inputs, "x."))

    assert_streams(forward, tokens, "stream_in.")
    assert_streams(forward, block(tokens, modulation, block.context(condition)), "block0.")


def flow_of(mode: dict[str, Any]) -> FlowConfig:
    return FlowConfig(
        num_steps=mode["steps"],
        strength=float(mode["strength"]),
        interval=tuple(mode["interval"]),
        rescale=float(mode["rescale_t"]),
        shortcut=not mode["no_shortcut"],
    )


def assert_states(golden: Golden, mode: str, velocity: Any) -> None:
    """Run a mode and compare every state that the reference recorded."""
    x = latents_of(golden.inputs, "x0.")
    for step in schedule(flow_of(golden.config["modes"][mode])):
        x = integrate(velocity, x, [step])
        for name, key in LATENT_NAMES.items():
            if (output := f"{mode}.step{step.index}.{key}") in golden.outputs:
                golden.close(getattr(x, name), output)
    assert_latents(golden, x, f"{mode}.final.")


def test_times_are_the_reference_s(recorded: Golden) -> None:
    for mode, settings in recorded.config["modes"].items():
        recorded.close(time_grid(flow_of(settings)), f"{mode}.t_seq")


def test_everything_on_the_spot_gives_the_reference_s_states(
    recorded: Golden, model: GeometryModel
) -> None:
    for mode, settings in recorded.config["modes"].items():
        velocity = ReferenceVelocity(model, recorded.inputs["cond"], flow_of(settings))

        assert_states(recorded, mode, velocity)


@pytest.mark.parametrize("in_one", [False, True], ids=["two passes", "one pass"])
def test_prepared_parts_give_the_reference_s_states(
    in_one: bool, recorded: Golden, model: GeometryModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "one_pass_pays", lambda *_: in_one)
    condition = recorded.inputs["cond"]
    for mode, settings in recorded.config["modes"].items():
        velocity = CachedVelocity(model, condition, flow_of(settings), len(condition))

        assert_states(recorded, mode, velocity)


def test_the_released_tensors_are_exactly_the_model_s(
    manifest: Callable[..., dict[str, tuple[int, ...]]],
) -> None:
    with torch.device("meta"):
        model = GeometryModel(GeometryConfig())

    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}

    assert shapes == manifest("ss_generator", BACKBONE)
