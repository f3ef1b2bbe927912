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

"""What a stage of the curriculum is made from, and procedural data for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.training.recipe import TrainingConfig
from sam3d_ros.training.scenes.pool import PoolSize
from sam3d_ros.training.scenes.recipes import SceneRecipe
from sam3d_ros.training.scenes.source import ProceduralSource, SampleSize
from sam3d_ros.training.shapes import TRAINING_FAMILIES
from sam3d_ros.training.trainer import Stage

# Of data, beside the run's seed: no stage sees the samples of another, nor those of validation.
SEEDS = {"codec": 1, "validation": 2, "pre": 3, "mid": 4, "sft": 5, "dpo": 6, "shortcut": 7,
         "refine": 8}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageStart:
    """What a stage is made from."""

    name: str
    config: TrainingConfig
    model: NanoModel  # with the weights that the stage begins with; copy what shall stay so
    device: torch.device
    distilled: bool = False  # whether the model understands to be told the size of its steps
    data: Path | None = None  # a user's captures, in place of procedural scenes


StageBuilder = Callable[[StageStart], Stage[NanoModel, Any]]


def source_of(
    config: TrainingConfig,
    recipe: SceneRecipe,
    purpose: str,
    device: torch.device,
    families: Mapping[str, float] = TRAINING_FAMILIES,
) -> ProceduralSource:
    """Return procedural data for a purpose, one of ``SEEDS``."""
    data = config.data
    return ProceduralSource(
        recipe,
        seed=1000 * config.seed + SEEDS[purpose],
        device=device,
        families=families,
        size=SampleSize(
            crop_px=data.crop_px,
            resolution=config.architecture.resolution,
            pool=PoolSize(
                resolution=data.shape_resolution, window=data.shape_groups, views=data.views
            ),
        ),
    )
