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


"""The file of the refinement model is loaded whole, and no encoder twice."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from releases import TINY, random_state, write_release

from sam3d_ros.errors import WeightsError
from sam3d_ros.objects.architecture import ConditionConfig, ObjectsArchitecture, RefinementConfig
from sam3d_ros.objects.condition import ConditionEmbedder
from sam3d_ros.objects.refinement_model import RefinementModel
from sam3d_ros.objects.weights import (
    EMBEDDER_PREFIX,
    GENERATOR_PREFIX,
    load_geometry_stage,
    load_refinement_stage,
)

CONDITION = ConditionConfig(
    encoder=TINY.geometry_condition.encoder,
    point_patch=None,
    prenorm_features=True,
    hidden_multiple_of=16,
)
SMALL: ObjectsArchitecture = replace(
    TINY,
    refinement_condition=CONDITION,
    refinement=RefinementConfig(
        dim=32, num_blocks=2, num_heads=2, condition_dim=32, resolution=8, io_channels=16
    ),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_release(tmp_path)
    first = torch.load(folder / "checkpoints/ss_generator.ckpt")["state_dict"]
    condition = random_state(lambda: ConditionEmbedder(CONDITION))
    for name in condition:
        if name.startswith("module_list."):  # the encoders of both files are equal
            condition[name] = first[EMBEDDER_PREFIX + name]
    model = random_state(lambda: RefinementModel(SMALL.refinement))
    state = {EMBEDDER_PREFIX + name: value for name, value in condition.items()}
    state |= {GENERATOR_PREFIX + name: value for name, value in model.items()}
    torch.save({"state_dict": state}, folder / "checkpoints/slat_generator.ckpt")
    return folder


def test_every_tensor_of_the_file_is_loaded(folder: Path) -> None:
    stage = load_refinement_stage(folder, SMALL, device="cpu", dtype=torch.float32)

    stored = torch.load(folder / "checkpoints/slat_generator.ckpt")["state_dict"]
    for prefix, module in (
        (EMBEDDER_PREFIX, stage.condition),
        (GENERATOR_PREFIX, stage.refinement),
    ):
        for name, value in module.state_dict().items():
            assert torch.equal(value, stored.pop(prefix + name))
    assert not stored


def test_encoders_share_the_memory_of_those_loaded_before(folder: Path) -> None:
    first = load_geometry_stage(folder, SMALL, device="cpu", dtype=torch.float32)

    second = load_refinement_stage(
        folder, SMALL, device="cpu", dtype=torch.float32, loaded=[first.condition]
    )

    encoders = [*first.condition.module_list[:2], *second.condition.module_list]
    names = [name for name, _ in encoders[0].named_parameters()]
    for name in names:
        assert len({encoder.get_parameter(name).data_ptr() for encoder in encoders}) == 1


def test_a_file_of_other_sizes_is_refused(folder: Path) -> None:
    other = replace(SMALL, refinement=replace(SMALL.refinement, io_channels=8))

    with pytest.raises(WeightsError, match="input_layer"):
        load_refinement_stage(folder, other, device="cpu", dtype=torch.float32)
