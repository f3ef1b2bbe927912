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

"""The stages of the curriculum: what each of them learns from, and what it descends."""

from collections.abc import Mapping
from typing import Any

import torch

from sam3d_ros.errors import ConfigError
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.engine.alignment import dpo_stage, own_data
from sam3d_ros.training.objectives import FlowObjective, RefinementObjective
from sam3d_ros.training.recipe import TrainingConfig
from sam3d_ros.training.scenes.recipes import FULL_SENSOR, RECIPES
from sam3d_ros.training.shapes import HELD_OUT_FAMILIES, TRAINING_FAMILIES
from sam3d_ros.training.sources import InTurn, SampleSource
from sam3d_ros.training.starts import StageBuilder, StageStart, source_of
from sam3d_ros.training.trainer import Stage
from sam3d_ros.training.validation import ValidationSet


def flow_stage(start: StageStart) -> Stage[NanoModel, Any]:
    """Return a stage of flow matching, on procedural scenes or on a user's captures."""
    config = start.config.stage(start.name)
    return Stage(
        name=start.name, config=config, source=_source(start), objective=FlowObjective(config)
    )


def refinement_stage(start: StageStart) -> Stage[NanoModel, Any]:
    """Return the stage in which the second stage learns from the answers of the first."""
    config = start.config.stage(start.name)
    return Stage(
        name=start.name,
        config=config,
        source=_source(start),
        objective=RefinementObjective(config, one_step(distilled=start.distilled)),
    )


def one_step(*, distilled: bool) -> FlowConfig:
    """Return how a model answers in one step; a distilled one is told so."""
    return FlowConfig(num_steps=1, strength=0.0, shortcut=distilled)


def _source(start: StageStart) -> SampleSource[TrainingBatch]:
    if start.data is not None:
        return own_data(start, start.data)
    recipes = start.config.stage(start.name).scenes
    return InTurn(
        [source_of(start.config, RECIPES[name], start.name, start.device) for name in recipes]
    )


STAGE_BUILDERS: Mapping[str, StageBuilder] = {
    "pre": flow_stage,
    "mid": flow_stage,
    "sft": flow_stage,
    "dpo": dpo_stage,
    "shortcut": flow_stage,
    "refine": refinement_stage,
}


def built(start: StageStart) -> Stage[NanoModel, Any]:
    """Return a stage by its name.

    Raises:
        ConfigError: There is no such stage.
    """
    if start.name not in STAGE_BUILDERS:
        known = ", ".join(STAGE_BUILDERS)
        raise ConfigError(f"stage must be one of {known}, got {start.name!r}")
    return STAGE_BUILDERS[start.name](start)


def validation_sets(config: TrainingConfig, device: torch.device) -> tuple[ValidationSet, ...]:
    """Return objects of training families, and of families that are never trained on."""
    families = {"known": TRAINING_FAMILIES, "held_out": HELD_OUT_FAMILIES}
    size = config.validation
    sets = []
    for name, weights in families.items():
        source = source_of(config, FULL_SENSOR, "validation", device, weights)
        num = -(-size.size // size.batch_size)
        batches = tuple(source.batch(index, size.batch_size) for index in range(num))
        sets.append(ValidationSet(name=name, batches=batches))
    return tuple(sets)
