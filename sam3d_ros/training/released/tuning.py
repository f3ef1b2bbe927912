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

"""Fine-tuning of a released checkpoint on a user's captures, start to end."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from sam3d_ros.objects.architecture_file import read_architecture
from sam3d_ros.objects.files import GEOMETRY_FILE, SUBFOLDER
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.weights import load_geometry_stage
from sam3d_ros.training.captures.reading import captures_in
from sam3d_ros.training.checkpoints import Progress
from sam3d_ros.training.recipe import OptimiserConfig, StageConfig, TrainingConfig
from sam3d_ros.training.released.examples import ExampleConfig, ExampleSource, prepare_examples
from sam3d_ros.training.released.flow_loss import ReleasedFlowObjective
from sam3d_ros.training.released.parts import learn_only
from sam3d_ros.training.released.saving import write_finetuned
from sam3d_ros.training.trainer import Stage, Trainer

EXAMPLES, WEIGHTS = "examples", "weights"
# Small steps, as the model is finished: many on a few hundred captures make it forget the rest.
STAGE = StageConfig(
    steps=1000,
    batch_size=2,
    accumulation=4,
    optimiser=OptimiserConfig(learning_rate=1e-5, warmup_steps=50, average_decay=0.99),
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedTuning:
    """What to fine-tune on what, and where to."""

    init: Path  # folder of the weights to begin with
    data: Path  # captures
    folder: Path  # of examples, checkpoints and the new weights
    device: torch.device
    part: str = "all"  # one of ``parts.PARTS``
    examples: ExampleConfig = field(default_factory=ExampleConfig)


def is_released(folder: Path | None) -> bool:
    """Tell whether a folder holds a checkpoint of SAM 3D Objects."""
    return folder is not None and any(
        (each / GEOMETRY_FILE).is_file() for each in (folder, folder / SUBFOLDER)
    )


def tune(tuning: ReleasedTuning, config: TrainingConfig) -> Progress:
    """Fine-tune the geometry model and write a folder of weights; goes on where it was stopped.

    The embedder of conditions and the decoders stay as they are.

    Args:
        tuning: What and where.
        config: Its ``sft`` stage is the one that is run.

    Raises:
        Sam3dError: Weights or captures are not as they should be.
    """
    architecture = read_architecture(tuning.init)
    stage = load_geometry_stage(
        tuning.init, architecture, device=tuning.device, dtype=torch.float32
    )
    examples = prepare_examples(
        captures_in(tuning.data),
        stage,
        tuning.folder / EXAMPLES,
        replace(tuning.examples, image_size=architecture.image_size),
    )
    _own_memory(stage.geometry)
    num = learn_only(stage.geometry, tuning.part)
    logger.info("%d captures, %.1f M weights learn", len(examples), num / 1e6)
    trained: Stage[GeometryModel, Any] = Stage(
        name="sft",
        config=config.sft,
        source=ExampleSource(examples, tuning.device, config.seed),
        objective=ReleasedFlowObjective(),
    )
    trainer = Trainer(stage.geometry.train(), trained, config, tuning.folder / "sft")
    progress = trainer.run()
    write_finetuned(tuning.init, stage.geometry.state_dict(), tuning.folder / WEIGHTS)
    return progress


def _own_memory(model: GeometryModel) -> None:
    """Copy weights that are mapped from a file, which nothing may change."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
