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

"""``sam3d train sft --init`` with a checkpoint of SAM 3D Objects: fine-tune its geometry model."""

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path

import torch

from sam3d_ros.apps.settings import changed_by
from sam3d_ros.errors import ConfigError
from sam3d_ros.nn.devices import device_named
from sam3d_ros.training.presets import preset
from sam3d_ros.training.recipe import TrainingConfig, ValidationConfig
from sam3d_ros.training.released.tuning import STAGE, WEIGHTS, ReleasedTuning, tune


def run(arguments: argparse.Namespace) -> int:
    """Fine-tune on captures; say where the new weights are."""
    logging.getLogger("sam3d_ros").setLevel(logging.INFO)
    if arguments.stage != "sft" or arguments.data is None:
        raise ConfigError(
            f"{arguments.init} holds SAM 3D Objects, which is fine-tuned by stage sft on your own "
            "captures; say sam3d train sft --init DIR --data DIR"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "fine-tuning SAM 3D Objects runs in one process, torchrun started "
            f"{os.environ['WORLD_SIZE']}; say sam3d train without torchrun"
        )
    if arguments.ship:
        raise ConfigError("--ship is for nano; weights of SAM 3D Objects stay in -o")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    tuning = ReleasedTuning(
        init=arguments.init,
        data=arguments.data,
        folder=arguments.output or Path("runs") / "sam3d",
        device=device_named(arguments.device),
        part=arguments.learn,
    )
    progress = tune(tuning, settings(arguments.config))
    print(f"sft: {progress.step} steps, {progress.samples} views")
    print(f"weights: {tuning.folder / WEIGHTS} (set weights.objects to it, backend sam3d)")
    return 0


def settings(path: Path | None) -> TrainingConfig:
    """Return the settings of a fine-tuning with those of a file in place of its own."""
    config = replace(preset("nano"), sft=STAGE, validation=ValidationConfig(every=0))
    return changed_by(path, config)
