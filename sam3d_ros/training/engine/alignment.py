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

"""The stages that learn from a model's own judged answers: preferences, and the best of them."""

import copy
import logging
from pathlib import Path
from typing import Any

from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.captures.source import capture_source
from sam3d_ros.training.engine.pairs import (
    MIN_MARGIN,
    AskedPairs,
    BestAnswers,
    JudgedPairs,
    StoredPairs,
    read_pairs,
)
from sam3d_ros.training.engine.preferences import PreferenceObjective, PreferencePairs
from sam3d_ros.training.engine.store import INDEX_FILE
from sam3d_ros.training.scenes.recipes import FULL_SENSOR
from sam3d_ros.training.sources import SampleSource
from sam3d_ros.training.starts import StageStart, source_of
from sam3d_ros.training.trainer import Stage

FEW_PAIRS = 32

logger = logging.getLogger(__name__)


def dpo_stage(start: StageStart) -> Stage[NanoModel, Any]:
    """Return the stage of preference alignment.

    Its pairs are those of a folder that the data engine made, or the model's own answers to
    procedural scenes, judged by the truth. The weights it begins with are its reference.
    """
    config = start.config.stage(start.name)
    reference = frozen_copy(start.model)
    source: SampleSource[PreferencePairs]
    if start.data is not None:
        judged = _pairs(start, start.data, MIN_MARGIN)
        _warn_of_few(len(judged.names), start.data)
        source = StoredPairs(judged.pairs, start.config.seed)
    else:
        scenes = source_of(start.config, FULL_SENSOR, start.name, start.device)
        source = AskedPairs(reference, scenes, start.config.seed)
    return Stage(
        name=start.name,
        config=config,
        source=source,
        objective=PreferenceObjective(reference, config),
    )


def own_data(start: StageStart, folder: Path) -> SampleSource[TrainingBatch]:
    """Return a user's data: captures with truth, or a folder of judged answers.

    Raises:
        DatasetError: A capture is not as it should be.
        TrainingError: The judged answers cannot be used.
    """
    if (folder / INDEX_FILE).exists():
        judged = _pairs(start, folder, 0.0)
        return BestAnswers(judged, frozen_copy(start.model), start.config.seed)
    return capture_source(folder, start.config, start.device)


def frozen_copy(model: NanoModel) -> NanoModel:
    """Return a copy that stays as the model is now."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def _pairs(start: StageStart, folder: Path, min_margin: float) -> JudgedPairs:
    """Read judged pairs to the device of a stage."""
    codec = start.model.codec.state_dict()
    return read_pairs(folder, codec, min_margin).to(start.device)


def _warn_of_few(num_pairs: int, folder: Path) -> None:
    if num_pairs < FEW_PAIRS:
        logger.warning(
            "%s has %d pairs of preferences: so few are learned by heart. Make more cases, or "
            "begin with weights whose answers differ more",
            folder,
            num_pairs,
        )
