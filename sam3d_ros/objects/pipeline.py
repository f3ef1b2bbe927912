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

"""SAM 3D Objects as a whole, or nano: observations in, posed metric meshes and splats out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from sam3d_ros.config import SceneConfig
from sam3d_ros.nn.devices import PeakMemory
from sam3d_ros.objects.assembly import assembled
from sam3d_ros.objects.finishing import FinishingConfig, finished
from sam3d_ros.objects.loading import LoadedStages, load_nano_stages, load_stages
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.second_stage import SecondStage
from sam3d_ros.objects.stages import StageRunner
from sam3d_ros.protocols import Cancelled, ObjectOutcome, never
from sam3d_ros.structures import Observation, Provenance


class Reconstructor:
    """SAM 3D Objects or nano, loaded; a ``SeededBackend``."""

    def __init__(self, stages: LoadedStages, config: SceneConfig) -> None:
        self._stages = stages
        self._config = config

    @classmethod
    def load(cls, config: SceneConfig, *, splats: bool = False) -> "Reconstructor":
        """Load what the settings ask for from the folder ``weights.objects``.

        Args:
            config: With ``mesh_detail`` fast nothing of the second stage is loaded for meshes.
            splats: Whether to decode splats even if ``gaussians.publish`` does not ask for them.

        Raises:
            WeightsError: A file is missing, cannot be read or does not fit.
            ConfigError: The machine has no such device.
        """
        return cls(load_stages(config, splats=splats or config.gaussians.publish), config)

    @classmethod
    def load_nano(cls, config: SceneConfig) -> "Reconstructor":
        """Load the small model from ``weights.nano``, or from the package.

        Raises:
            WeightsError: A file is missing, cannot be read or does not fit.
            ConfigError: The machine has no such device.
        """
        return cls(load_nano_stages(config), config)

    @property
    def name(self) -> str:
        """Name under which results report this backend."""
        return self._stages.first.name

    @property
    def wants_warmup(self) -> bool:
        """Whether a first reconstruction takes seconds: of SAM 3D on a CPU it takes minutes."""
        return self._stages.device.type == "cuda" or self.name == "nano"

    @property
    def portion(self) -> int:
        """How many objects are best made at once: of nano on a CPU each is ready soon."""
        return 1 if self.name == "nano" and self._stages.device.type == "cpu" else 0

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Reconstruct the objects of one frame; see ``ObjectBackend``."""
        seeds = (self._config.objects.seed,)
        return [outcome for (outcome,) in self.reconstruct_seeds(observations, seeds, cancelled)]

    def reconstruct_seeds(
        self, observations: Sequence[Observation], seeds: Sequence[int], cancelled: Cancelled
    ) -> list[list[ObjectOutcome]]:
        """Reconstruct the objects of one frame for each seed; see ``SeededBackend``."""
        outcomes, num = self.model(observations, seeds, cancelled), len(seeds)
        return [outcomes[start : start + num] for start in range(0, len(outcomes), num)]

    @torch.no_grad()
    def model(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        cancelled: Cancelled = never,
    ) -> list[ObjectOutcome]:
        """Reconstruct objects, each once for every seed.

        Equal inputs and seeds give equal results on one device, whatever else is in the batch, but
        for the rounding of other batch sizes.

        Returns:
            All seeds' outcomes for the first observation, then those for the second, and so on.

        Raises:
            CancelledError: When ``cancelled`` answered true, asked before every batch of a stage
                and every step of sampling. The call ends as a whole then, for all observations: as
                each stage is done for all before the next begins, few would be finished, and those
                that are not are no failed objects. Nothing of what was done is returned.
        """
        peak = PeakMemory(self._stages.device)
        views = [View(observation=observation) for observation in observations]
        samples = [Sample(view=view, seed=seed) for view in views for seed in seeds]
        runner = StageRunner(self._stages.device, cancelled, self._stages.park)
        self._run_first(runner, views, samples, cancelled)
        if self._stages.second is not None:
            self._run_second(runner, self._stages.second, views, samples, cancelled)
        if self._stages.second is None or self._stages.second.mesh is None:
            runner.run("mesh", samples, self._stages.first.mesh)
        runner.run("finish", samples, self._finish)
        runner.run("dress", samples, self._assemble)
        return [self._outcome(sample, len(seeds), peak.megabytes) for sample in samples]

    def _run_first(
        self,
        runner: StageRunner,
        views: Sequence[View],
        samples: Sequence[Sample],
        cancelled: Cancelled,
    ) -> None:
        first, size = self._stages.first, self._config.objects.batch_size
        runner.run("prepare", views, first.prepare)
        runner.run("condition", views, first.embed, size, first.embedders)
        for sample in samples:
            sample.error = sample.view.error
        sampling = partial(first.sample, cancelled=cancelled)
        runner.run("geometry", samples, sampling, size, [first.geometry])
        runner.run("occupancy", samples, first.decode, size, first.decoders)
        runner.run("pose", samples, first.place)

    def _run_second(
        self,
        runner: StageRunner,
        second: SecondStage,
        views: Sequence[View],
        samples: Sequence[Sample],
        cancelled: Cancelled,
    ) -> None:
        size, networks = self._config.objects.batch_size, second.networks
        wanted = {id(sample.view) for sample in samples if sample.error is None}
        views = [view for view in views if id(view) in wanted]
        runner.run("fine condition", views, second.embed, size, [networks.condition])
        for sample in samples:
            sample.error = sample.error or sample.view.error
        runner.run("noise", samples, second.draw)
        sampling = partial(second.sample, cancelled=cancelled)
        runner.run("refinement", samples, sampling, size, [networks.refinement])
        if second.splats is not None:
            runner.run("splats", samples, second.decode_splats, 1, [second.splats])
        if second.mesh is not None:
            runner.run("mesh", samples, second.decode_mesh, 1, [second.mesh])

    def _finish(self, samples: Sequence[Sample]) -> None:
        mesh = self._config.mesh
        config = FinishingConfig(
            min_part_share=mesh.min_part_share,
            close_holes=mesh.watertight,
            smoothing_rounds=mesh.smoothing_rounds,
            max_triangles=mesh.max_triangles,
        )
        for sample in samples:
            result = finished(sample.mesh, config)
            sample.mesh, sample.notes = result.mesh, sample.notes + result.notes

    def _assemble(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            observation = sample.view.observation
            provenance = Provenance(
                backend=self.name,
                seed=sample.seed,
                scale_source=observation.scale_source,
                notes=observation.notes + sample.notes,
            )
            sample.result = assembled(
                sample.mesh,
                sample.camera_from_object,
                observation,
                provenance,
                has_colors=sample.has_colors,
            )

    def _outcome(self, sample: Sample, num_seeds: int, peak_mb: float) -> ObjectOutcome:
        if sample.error is not None:
            return sample.error
        shared_s = {name: seconds / num_seeds for name, seconds in sample.view.stage_s.items()}
        stage_s = {**shared_s, **sample.stage_s}
        return replace(sample.result, splats=sample.splats, stage_s=stage_s, gpu_peak_mb=peak_mb)
