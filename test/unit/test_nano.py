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

"""nano from observation to mesh and pose, with untrained weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from three_boxes import failed, made, three_boxes

from sam3d_ros.config import ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import (
    CancelledError,
    ConfigError,
    DecodingError,
    DepthSparseError,
    OutOfMemoryError,
    WeightsError,
    WeightsMissingError,
)
from sam3d_ros.geometry.measures import bounds, is_watertight
from sam3d_ros.nn.flow import FlowConfig, schedule
from sam3d_ros.objects.architecture import GeometryConfig
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.pipeline import Reconstructor
from sam3d_ros.objects.sampling import (
    CachedVelocity,
    ReferenceVelocity,
    initial_noise,
    sample_geometry,
)
from sam3d_ros.objects.volume import stage
from sam3d_ros.objects.volume.architecture import VolumeArchitecture
from sam3d_ros.objects.volume.loading import nano_flow
from sam3d_ros.objects.volume.model import NanoModel, carved, untrained
from sam3d_ros.objects.volume.prepare import prepare
from sam3d_ros.objects.volume.random_weights import (
    random_nano,
    tiny_volume_architecture,
    write_random_nano,
)
from sam3d_ros.structures import Observation


def config_of(folder: Path) -> SceneConfig:
    return SceneConfig(
        device="cpu",
        precision="fp32",
        objects=ObjectsConfig(nano_steps=2),
        weights=WeightsConfig(nano=str(folder)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_nano(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def observations() -> tuple[Observation, ...]:
    return three_boxes()


@pytest.fixture(scope="module")
def nano(folder: Path) -> Reconstructor:
    return Reconstructor.load_nano(config_of(folder))


@pytest.fixture(scope="module")
def model() -> NanoModel:
    return random_nano()


def noise_of(model: NanoModel, *seeds: int) -> GeometryLatents:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return initial_noise(model.geometry.config, generators)


def test_each_object_becomes_a_closed_metric_mesh_where_it_was_seen(
    nano: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    for outcome, observation in zip(nano.reconstruct(observations), observations, strict=True):
        result = made(outcome)
        assert is_watertight(result.mesh_object)
        low, high = bounds(result.mesh_object)
        assert (high - low).max() == pytest.approx(1.0, abs=1e-3)
        np.testing.assert_allclose(low + high, 0.0, atol=1e-3)
        up = result.camera_from_object.rotation[:, 2]
        assert observation.support is not None
        assert up @ observation.support.normal_camera > 0.999
        assert result.quality.silhouette_iou > 0.6
        assert result.quality.depth_residual_m < 0.01  # the guess is true where it was seen


def test_a_result_says_where_it_comes_from_and_what_it_took(
    nano: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    result = made(nano.reconstruct(observations[:1])[0])
    assert (nano.name, nano.portion) == ("nano", 1)
    assert (result.provenance.backend, result.provenance.seed) == ("nano", 42)
    assert set(result.stage_s) >= {"prepare", "condition", "geometry", "pose", "dress"}
    assert 0.1 < result.quality.observed_fraction < 0.9


def test_equal_seeds_give_equal_meshes_and_others_do_not(
    nano: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    (several,) = nano.reconstruct_seeds(observations[:1], [1, 2], lambda: False)
    (again,) = nano.reconstruct_seeds(observations[:1], [1], lambda: False)
    first, second, repeated = (made(each).mesh_object for each in (*several, *again))
    np.testing.assert_allclose(first.vertices, repeated.vertices, atol=1e-4)
    assert first.vertices.shape != second.vertices.shape or not np.allclose(
        first.vertices, second.vertices, atol=1e-4
    )


def test_a_batch_gives_what_singles_do(
    nano: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    together = nano.reconstruct(observations)
    for observation, outcome in zip(observations, together, strict=True):
        alone = made(nano.reconstruct([observation])[0])
        pose = made(outcome).camera_from_object
        np.testing.assert_allclose(pose.translation_m, alone.camera_from_object.translation_m,
                                   atol=1e-4)  # fmt: skip
        assert pose.scale == pytest.approx(alone.camera_from_object.scale, rel=1e-3)


def test_an_object_without_depth_fails_alone(
    nano: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    blind = replace(
        observations[0], points_camera=np.full_like(observations[0].points_camera, np.nan)
    )
    first, second = nano.reconstruct([blind, observations[1]])
    assert isinstance(failed(first), DepthSparseError)
    assert is_watertight(made(second).mesh_object)


def test_answers_that_are_no_numbers_fail_alone(
    folder: Path, observations: tuple[Observation, ...]
) -> None:
    broken = Reconstructor.load_nano(config_of(folder))
    out = broken._stages.first.geometry.get_parameter("latent_mapping.shape.out_layer.bias")
    out.fill_(torch.nan)
    (outcome,) = broken.reconstruct(observations[:1])
    assert isinstance(failed(outcome), DecodingError)
    assert "latents must be finite, shape" in str(outcome)


def test_fragments_fail_with_what_to_try(
    nano: Reconstructor, observations: tuple[Observation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(distance: object) -> None:
        raise DecodingError("fragments")

    monkeypatch.setattr(stage, "mesh_of", refuse)
    assert isinstance(failed(nano.reconstruct(observations[:1])[0]), DecodingError)


def test_too_little_memory_is_an_error_of_the_object(
    nano: Reconstructor, observations: tuple[Observation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def starve(observation: object, **_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 PB")

    monkeypatch.setattr(stage, "prepare", starve)
    assert isinstance(failed(nano.reconstruct(observations[:1])[0]), OutOfMemoryError)


def test_cancelling_stops_between_steps(
    nano: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    asked: list[None] = []

    def after_some() -> bool:
        asked.append(None)
        return len(asked) > 4

    with pytest.raises(CancelledError):
        nano.reconstruct(observations[:1], after_some)


def test_missing_weights_say_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"has no model\.safetensors; train some"):
        Reconstructor.load_nano(config_of(tmp_path))


def test_weights_of_other_sizes_are_refused_with_the_first_misfits(tmp_path: Path) -> None:
    written = write_random_nano(tmp_path / "nano")
    (written / "architecture.json").unlink()
    with pytest.raises(WeightsError, match="does not fit NanoModel"):
        Reconstructor.load_nano(config_of(written))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    written = write_random_nano(tmp_path / "nano")
    content = (written / "model.safetensors").read_bytes()
    (written / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=r"model\.safetensors cannot be read"):
        Reconstructor.load_nano(config_of(written))


def test_an_untrained_model_makes_the_guess_in_one_step(
    observations: tuple[Observation, ...],
) -> None:
    model = untrained(0, tiny_volume_architecture())
    model.codec.load_state_dict(random_nano().codec.state_dict())
    prepared = prepare(observations[0])
    condition = model.condition(prepared.view, prepared.box)
    noise = noise_of(model, 3)
    zero = torch.zeros(1)
    answer = noise + model.velocity(noise, zero, condition, zero)
    torch.testing.assert_close(answer.shape, condition[..., -model.codec.components.shape[0] :])


@pytest.mark.parametrize("num_steps", [1, 2, 4, 25, 100])
def test_a_network_that_always_answers_the_truth_gets_there_in_any_number_of_steps(
    num_steps: int,
) -> None:
    model = untrained(0, tiny_volume_architecture())  # whose network answers zeros
    config = model.geometry.config
    size = (1, config.resolution**3, config.condition_dim)
    condition = torch.randn(size, generator=torch.Generator().manual_seed(0))
    flow = FlowConfig(num_steps=num_steps, strength=0.0)
    end = sample_geometry(model.geometry, condition, noise_of(model, 1), flow)
    truth = condition[..., -config.shape_channels :]  # the guess, to which nothing is added
    torch.testing.assert_close(end.shape, truth, atol=1e-4, rtol=0)
    torch.testing.assert_close(end.rotation, torch.zeros_like(end.rotation), atol=1e-4, rtol=0)


def test_the_guess_ends_at_what_was_measured(model: NanoModel) -> None:
    features = torch.zeros(1, 10, 8, 8, 8)
    features[:, 1] = 1.0  # all valid
    features[:, 2, :, 2:6, 2:6] = 1.0  # the mask
    features[:, 0] = torch.linspace(1, -1, 8)[None, :, None, None]
    guess = carved(features)
    assert (guess[0, :, 3, 3] == torch.linspace(1, -1, 8)).all()
    assert (guess[0, :, 0, 0] == 1.0).all()


def test_cached_velocities_are_those_of_the_forward_pass(model: NanoModel) -> None:
    flow = FlowConfig(num_steps=3, strength=0.0)
    config = model.geometry.config
    size = (2, config.resolution**3, config.condition_dim)
    condition = torch.randn(size, generator=torch.Generator().manual_seed(0))
    noise = noise_of(model, 1, 2)
    cached = CachedVelocity(model.geometry, condition, flow, 2)
    reference = ReferenceVelocity(model.geometry, condition, flow)
    for step in schedule(flow):
        one, other = cached(noise, step), reference(noise, step)
        torch.testing.assert_close(one.shape, other.shape)
        torch.testing.assert_close(one.rotation, other.rotation)


def test_samples_beyond_the_condition_get_none(model: NanoModel) -> None:
    config = model.geometry.config
    size = (1, config.resolution**3, config.condition_dim)
    condition = torch.randn(size, generator=torch.Generator().manual_seed(0))
    noise = noise_of(model, 1, 1)
    modulation = model.geometry.modulation(torch.zeros(1), torch.zeros(1))
    mixed = model.geometry.velocity(noise, modulation, model.geometry.context(condition))
    nothing = model.geometry.velocity(noise, modulation, model.geometry.unconditional_context())
    assert not torch.allclose(mixed.shape[0], nothing.shape[0])
    torch.testing.assert_close(mixed.shape[1], nothing.shape[1])


def test_a_token_condition_takes_the_place_of_cross_attention() -> None:
    names = set(GeometryModel(tiny_volume_architecture().geometry).state_dict())
    assert not any("cross_attn" in name or "norm2" in name for name in names)
    assert any("self_attn" in name for name in names)


def test_sizes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="condition_dim must be 40 with token_condition"):
        GeometryConfig(dim=32, shape_channels=8, condition_dim=32, token_condition=True)
    with pytest.raises(ConfigError, match="8 voxels along the sides"):
        VolumeArchitecture(resolution=32)


def test_only_distilled_weights_are_told_the_size_of_few_steps(tmp_path: Path) -> None:
    assert not nano_flow(tmp_path, 4).shortcut
    stages = '{"stages": [{"name": "pre"}, {"name": "shortcut"}]}'
    (tmp_path / "provenance.json").write_text(stages, encoding="utf-8")
    assert nano_flow(tmp_path, 4).shortcut
    assert nano_flow(tmp_path, 1).step_size == 1000.0
    assert not nano_flow(tmp_path, 25).shortcut
    assert nano_flow(tmp_path, 25).strength == 0.0
