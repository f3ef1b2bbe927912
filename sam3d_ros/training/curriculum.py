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

"""Runs stages one after the other in a folder, each from where the one before it ended."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sam3d_ros.errors import TrainingError
from sam3d_ros.objects.files import PROVENANCE_FILE
from sam3d_ros.objects.volume.architecture import RefinerConfig
from sam3d_ros.objects.volume.codec import fit_codec, fit_trust
from sam3d_ros.objects.volume.features import volume_features
from sam3d_ros.objects.volume.loading import (
    DISTILLATION,
    is_distilled,
    knows_step_sizes,
    load_nano,
)
from sam3d_ros.objects.volume.model import REFINER, NanoModel, carved, untrained
from sam3d_ros.training.checkpoints import (
    Progress,
    checkpoint_folders,
    newest_checkpoint,
    newest_progress,
)
from sam3d_ros.training.curves import read_curves
from sam3d_ros.training.orders import StageOrder, begins_elsewhere, check_order, keep_order, told_in
from sam3d_ros.training.provenance import (
    Origin,
    StageRecord,
    TrainingRecord,
    commit,
    hardware,
    note_origin,
    read_origins,
    read_stages,
    training_record,
)
from sam3d_ros.training.ranks import Ranks
from sam3d_ros.training.recipe import SECOND_STAGE, STAGES, TrainingConfig
from sam3d_ros.training.release import CURVES_FILE, export_weights
from sam3d_ros.training.scenes.recipes import PASTED
from sam3d_ros.training.stages import built, one_step, validation_sets
from sam3d_ros.training.starts import StageStart, source_of
from sam3d_ros.training.trainer import AVERAGE, Trainer, Watching, load_weights
from sam3d_ros.training.validation import validated

EXPORT_FOLDER = "latest_export"  # weights while training, and when it is done
STAGES_FOLDER = "stages"  # weights at the end of each stage
CODEC_BATCH = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """A run in a folder: settings, place, and the processes that share it."""

    config: TrainingConfig
    folder: Path
    device: torch.device
    ranks: Ranks
    init: Path | None = None  # folder of weights to begin with, in place of the stage before
    data: Path | None = None  # a user's captures to learn from, in place of procedural scenes

    def train(self, name: str) -> Progress:
        """Train one stage to its end, from its newest checkpoint if it has one.

        Raises:
            TrainingError: The stage has nothing to begin with, was begun with other settings, or
                cannot go on.
        """
        check_order(self._order(name), self.folder / name)
        model = self._beginning_of(name).to(self.device)
        stage = built(
            StageStart(
                name=name,
                config=self.config,
                model=model,
                device=self.device,
                distilled=self._distilled(name),
                data=self.data,
            )
        )
        trainer = Trainer(model, stage, self.config, self.folder / name, self.ranks)
        if not self.ranks.leads:
            return trainer.run()
        self._note_start(name, trainer.progress.step)
        progress = trainer.run(self._watching(name))
        self._export(model, name, self.folder / STAGES_FOLDER / name)
        return progress

    def record(self, name: str) -> TrainingRecord:
        """Describe a stage and all that led to it."""
        stages: list[StageRecord] = []
        for each in self._lineage(name):
            stages += [*read_stages(self.folder / each), self._stage_record(each)]
        return training_record(self.config, tuple(stages))

    def export(self, name: str, folder: Path) -> None:
        """Write the average weights of a stage so far as a folder that nano loads.

        Raises:
            TrainingError: The stage was not trained yet.
        """
        self._export(self._averaged(name), name, folder)

    def _export(self, model: NanoModel, name: str, folder: Path) -> None:
        folders = [self.folder / each for each in self._lineage(name)]
        export_weights(model, self.record(name), folders, folder)

    def _lineage(self, name: str) -> list[str]:
        """Return the stages of this folder that led to one, itself the last."""
        stages = [name]
        for before in reversed(self._before(name)):
            if begins_elsewhere(self.folder / stages[0]):
                break
            stages.insert(0, before)
        return stages

    def _order(self, name: str) -> StageOrder:
        return StageOrder(
            seed=self.config.seed,
            precision=self.config.precision,
            init=str(self.init.resolve()) if self.init else "",
            data=str(self.data.resolve()) if self.data else "",
            settings=self.config.stage(name),
            sampling=self.config.data,
            architecture=self.config.architecture,
        )

    def _note_start(self, name: str, step: int) -> None:
        keep_order(self._order(name), self.folder / name)
        if step < self.config.stage(name).steps:
            where = hardware(self.device, self.ranks.world)
            note_origin(self.folder / name, Origin(step=step, commit=commit(), hardware=where))
        for file in (PROVENANCE_FILE, CURVES_FILE):
            if self.init is not None and (self.init / file).exists():
                shutil.copyfile(self.init / file, self.folder / name / file)

    def _beginning_of(self, name: str) -> NanoModel:
        """Return the model with the weights that a stage begins with."""
        model = self._trained_so_far(name)
        if name == SECOND_STAGE and model.refiner is None:
            model.add_refiner(self._refiner_sizes, self.config.seed)
        return model

    @property
    def _refiner_sizes(self) -> RefinerConfig:
        return self.config.architecture.refiner or RefinerConfig()

    def _trained_so_far(self, name: str) -> NanoModel:
        if self.init is not None:
            return self._initial(self.init)
        if before := self._before(name):
            return self._averaged(before[-1])
        if name != STAGES[0]:
            raise TrainingError(
                f"stage {name} begins with the weights of a stage before it, {self.folder} has "
                f"none; train {STAGES[0]} first, or name weights with --init"
            )
        model = untrained(self.config.seed, replace(self.config.architecture, refiner=None))
        if self.ranks.leads and not checkpoint_folders(self.folder / name):
            logger.info("fitting the latent code to %d samples", self.config.data.codec_samples)
            self._fit(model)
        return model

    def _initial(self, folder: Path) -> NanoModel:
        model = load_nano(folder, device=self.device, dtype=torch.float32)
        return model.train().requires_grad_(True)

    def _averaged(self, name: str) -> NanoModel:
        """Return the model with the average weights of a stage's newest checkpoint."""
        checkpoint = newest_checkpoint(self.folder / name)
        if checkpoint is None:
            raise TrainingError(f"{self.folder / name} has no checkpoints; train the stage first")
        planned = self.config.stage(name).steps
        if checkpoint.progress.step < planned:
            text = "stage %s has come to step %d of %d only"
            logger.warning(text, name, checkpoint.progress.step, planned)
        model = NanoModel(replace(self.config.architecture, refiner=None))
        if any(each.startswith(AVERAGE + REFINER) for each in checkpoint.tensors):
            model.add_refiner(self._refiner_sizes, self.config.seed)
        load_weights(model, checkpoint, AVERAGE)
        return model

    def _fit(self, model: NanoModel) -> None:
        """Fit what is linear in the model: the latent code, and how far guesses are right."""
        source = source_of(self.config, PASTED, "codec", self.device)
        num = -(-self.config.data.codec_samples // CODEC_BATCH)
        batches = [source.batch(index, CODEC_BATCH) for index in range(num)]
        resolution = self.config.architecture.resolution
        guesses = [carved(volume_features(b.view, b.box, resolution)) for b in batches]
        truths = torch.cat([batch.distance for batch in batches])
        model.to(self.device)
        fit_codec(model.codec, truths)
        fit_trust(model.codec, torch.cat(guesses), truths)

    def _trained(self) -> list[str]:
        """Return the stages that have checkpoints, in their order."""
        return [name for name in STAGES if checkpoint_folders(self.folder / name)]

    def _before(self, name: str) -> list[str]:
        """Return the trained stages before one."""
        return [each for each in self._trained() if STAGES.index(each) < STAGES.index(name)]

    def _distilled(self, name: str) -> bool:
        """Tell whether a stage's model is to be told the size of its steps."""
        if name != SECOND_STAGE:
            return name == DISTILLATION
        if self.init is not None:
            return is_distilled(self.init)
        before = self._before(name)
        if not before:
            return False
        names = [stage.name for stage in self.record(before[-1]).stages]
        return knows_step_sizes(names)

    def _stage_record(self, name: str) -> StageRecord:
        progress = newest_progress(self.folder / name)
        told = told_in(self.folder / name) or self._order(name).told
        lines = [line for line in read_curves(self.folder / name) if line["kind"] == "validation"]
        figures = {k: v for k, v in (lines or [{}])[-1].items() if isinstance(v, float)}
        return StageRecord(
            name=name,
            steps=progress.step,
            planned_steps=told["settings"]["steps"],
            samples=progress.samples,
            hours=progress.seconds / 3600.0,
            recipe=told["subject"],
            origins=read_origins(self.folder / name),
            validation=figures,
            told=told,
        )

    def _watching(self, name: str) -> Watching[NanoModel]:
        """Return what the leading process does beside training."""
        sets = validation_sets(self.config, self.device) if self.config.validation.every else ()
        one = one_step(distilled=self._distilled(name))

        def validate(model: NanoModel) -> Mapping[str, float]:
            return validated(model, sets, one)

        def export(model: NanoModel) -> None:
            self._export(model, name, self.folder / EXPORT_FOLDER)

        return Watching(validate=validate if sets else None, export=export)
