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


"""Loading the released files: each part gets its own tensors, and what is wrong is named."""

import logging
from pathlib import Path

import pytest
import torch
from releases import TINY, write_release

from sam3d_ros.errors import WeightsError, WeightsMissingError
from sam3d_ros.objects.architecture import DepthModelConfig
from sam3d_ros.objects.depth_model_config import told_config
from sam3d_ros.objects.weights import (
    EMBEDDER_PREFIX,
    GENERATOR_PREFIX,
    GeometryStage,
    load_depth_model,
    load_geometry_stage,
)

GENERATOR = "checkpoints/ss_generator.ckpt"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release")


def load_stage(folder: Path, dtype: torch.dtype = torch.float32) -> GeometryStage:
    return load_geometry_stage(folder, TINY, device="cpu", dtype=dtype)


def test_each_part_of_the_first_stage_gets_its_own_tensors(release: Path) -> None:
    stored = torch.load(release / GENERATOR)["state_dict"]
    halves = torch.load(release / "checkpoints/ss_decoder.ckpt")

    stage = load_stage(release)

    for name, value in stage.condition.state_dict().items():
        assert torch.equal(value, stored[EMBEDDER_PREFIX + name])
    for name, value in stage.geometry.state_dict().items():
        assert torch.equal(value, stored[GENERATOR_PREFIX + name])
    for name, value in stage.occupancy.state_dict().items():
        assert torch.equal(value, halves[name].float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_everything_has_memory_the_wanted_dtype_and_no_gradient(
    release: Path, dtype: torch.dtype
) -> None:
    stage = load_stage(release, dtype)

    for module in (stage.condition, stage.geometry, stage.occupancy):
        tensors = [*module.parameters(), *module.buffers()]
        assert {(t.device.type, t.dtype) for t in tensors} == {("cpu", dtype)}
        assert not any(t.requires_grad for t in tensors)
        assert not module.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_two_equal_image_encoders_share_their_memory(release: Path, dtype: torch.dtype) -> None:
    images, masks = (
        module.backbone for module in load_stage(release, dtype).condition.module_list[:2]
    )

    for of_images, of_masks in zip(images.parameters(), masks.parameters(), strict=True):
        assert of_images.data_ptr() == of_masks.data_ptr()


def test_the_folder_inside_of_the_download_will_do_as_well(release: Path) -> None:
    assert load_stage(release / "checkpoints").geometry.config == TINY.geometry


def test_tensors_of_other_models_in_the_file_are_ignored_with_one_line(
    release: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        load_stage(release)

    (line,) = caplog.messages
    assert "ignored 1 tensors" in line
    assert "under _base_models.decoder" in line


def test_a_missing_file_is_named_with_the_command_that_helps(release: Path) -> None:
    (release / GENERATOR).unlink()

    with pytest.raises(WeightsMissingError, match=r"ss_generator\.ckpt.*sam3d check --weights"):
        load_stage(release)


def test_a_missing_folder_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="none does not exist"):
        load_stage(tmp_path / "none")


def test_a_misfit_names_the_file_the_module_and_the_tensor_as_stored(release: Path) -> None:
    content = torch.load(release / GENERATOR)
    name = GENERATOR_PREFIX + "t_embedder.mlp.0.weight"
    content["state_dict"][name] = torch.zeros(3, 3)
    torch.save(content, release / GENERATOR)

    with pytest.raises(WeightsError, match="does not fit GeometryModel") as raised:
        load_stage(release)

    assert f"{name} must be (32, 256), got (3, 3)" in str(raised.value)
    assert "ss_generator.ckpt" in str(raised.value)


def test_the_released_sizes_are_expected_unless_others_are_given(release: Path) -> None:
    with pytest.raises(WeightsError, match=r"must be \(1, 1, 1024\), got \(1, 1, 32\)"):
        load_geometry_stage(release, device="cpu", dtype=torch.float32)


def test_the_depth_model_is_loaded_from_its_own_folder(release: Path) -> None:
    stored = torch.load(release / "moge-vitl/model.pt")["model"]

    model = load_depth_model(release, TINY, device="cpu", dtype=torch.float32)

    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))


def test_sizes_that_the_depth_model_s_file_tells_are_taken(release: Path) -> None:
    path = release / "moge-vitl/model.pt"
    content = torch.load(path)
    content["model_config"] |= {"num_tokens_range": [10, 20], "mask_threshold": 0.25}
    torch.save(content, path)

    config = load_depth_model(release, TINY, device="cpu", dtype=torch.float32).config

    assert (config.min_tokens, config.max_tokens, config.mask_threshold) == (10, 20, 0.25)


def test_a_depth_model_config_is_read_in_the_names_of_its_authors() -> None:
    told = {
        "encoder": "dinov2_vitb14",
        "remap_output": "exp",
        "intermediate_layers": 3,
        "dim_proj": 256,
        "dim_upsample": [128, 64],
        "dim_times_res_block_hidden": 1,
        "num_res_blocks": 4,
        "last_conv_channels": 16,
        "trained_area_range": [250000, 500000],
        "split_head": True,
    }

    config = told_config(told, DepthModelConfig())

    encoder = config.encoder
    assert (encoder.dim, encoder.depth, encoder.num_heads, encoder.num_registers) == (
        768,
        12,
        12,
        0,
    )
    assert (config.num_features, config.projection_dim, config.upsample_dims) == (3, 256, (128, 64))
    assert (config.hidden_ratio, config.num_res_blocks, config.last_dim) == (1, 4, 16)
    assert (config.min_tokens, config.max_tokens) == (1275, 2551)


def test_a_depth_model_that_tells_nothing_is_the_released_one() -> None:
    assert told_config({}, DepthModelConfig()) == DepthModelConfig()


@pytest.mark.parametrize(
    "told",
    [
        {"remap_output": "linear"},
        {"encoder": "dinov2_vitg14"},
        {"intermediate_layers": [2, 5]},
        {"dim_upsample": 256},
        {"num_tokens_range": [1200]},
    ],
    ids=str,
)
def test_a_depth_model_in_another_form_is_refused(told: dict[str, object]) -> None:
    (name,) = told

    with pytest.raises(WeightsError, match=f"tells {name} = .*, expected .*; take MoGe v1"):
        told_config(told, DepthModelConfig())
