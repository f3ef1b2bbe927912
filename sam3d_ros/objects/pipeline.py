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

"""SAM 3D Objects as a whole: observations in, posed metric meshes and splats out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.nn.devices import PeakMemory, device_named, dtype_named
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.architecture_file import read_architecture
from sam3d_ros.objects.assembly import assembled, coarse_surface
from sam3d_ros.objects.files import NEEDED, check_present
from sam3d_ros.objects.first_stage import FirstStage
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.splats import Splats
from sam3d_ros.objects.stages import StageRunner
from sam3d_ros.objects.weights import load_geometry_stage
from sam3d_ros.protocols import Cancelled, ObjectOutcome, never
from sam3d_ros.structures import ObjectReconstruction, Observation, Provenance

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelledObject:
    """Everything that the models say of an object; mesh and splats are in the object frame."""

    reconstruction: ObjectReconstruction
    splats: Splats | None = None  # where they were asked for


class Reconstructor:
    """SAM 3D Objects, loaded; an ``ObjectBackend``."""

    name = "sam3d"

    def __init__(
        self,
        first: FirstStage,
        architecture: ObjectsArchitecture,
        config: SceneConfig,
        device: torch.device,
    ) -> None:
        self._first = first
        self._architecture = architecture
        self._config = config
        self._device = device

    @classmethod
    def load(cls, config: SceneConfig) -> "Reconstructor":
        """Load what the settings ask for from the folder ``weights.objects``.

        Raises:
            WeightsError: A file is missing, cannot be read or does not fit.
            ConfigError: The machine has no such device.
        """
        device = device_named(config.device)
        dtype = dtype_named(config.precision, device)
        check_present(config.weights.objects, NEEDED[config.objects.mesh_detail])
        folder = Path(config.weights.objects)
        architecture = read_architecture(folder)
        if config.low_memory and device.type == "cpu":
            logger.info("low_memory changes nothing on a CPU: weights are where they are used")
        home = torch.device("cpu") if config.low_memory else device
        networks = load_geometry_stage(folder, architecture, device=home, dtype=dtype)
        first = FirstStage(networks, _first_flow(config), device)
        logger.info("sam3d: weights of %s on %s in %s", folder, device, str(dtype).split(".")[1])
        return cls(first, architecture, config, device)

    @property
    def wants_warmup(self) -> bool:
        """Whether a first reconstruction takes seconds: on a CPU it would take minutes."""
        return self._device.type == "cuda"

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Reconstruct the objects of one frame; see ``ObjectBackend``."""
        modelled = self.model(observations, (self._config.objects.seed,), cancelled)
        return [
            each.reconstruction if isinstance(each, ModelledObject) else each for each in modelled
        ]

    @torch.no_grad()
    def model(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        cancelled: Cancelled = never,
    ) -> list[ModelledObject | Sam3dError]:
        """Reconstruct objects, each once for every seed.

        Equal inputs and seeds give equal results on one device, whatever else is in the batch, but
        for the rounding of other batch sizes.

        Returns:
            All seeds' outcomes for the first observation, then those for the second, and so on.

        Raises:
            CancelledError: When ``cancelled`` answered true.
        """
        peak = PeakMemory(self._device)
        views = [View(observation=observation) for observation in observations]
        samples = [Sample(view=view, seed=seed) for view in views for seed in seeds]
        runner = StageRunner(self._device, cancelled)
        self._run_first(runner, views, samples, cancelled)
        runner.run("surface", samples, self._extract)
        runner.run("dress", samples, self._assemble)
        return [self._outcome(sample, len(seeds), peak.megabytes) for sample in samples]

    def _run_first(
        self,
        runner: StageRunner,
        views: Sequence[View],
        samples: Sequence[Sample],
        cancelled: Cancelled,
    ) -> None:
        first, networks = self._first, self._first.networks
        size, side = self._config.objects.batch_size, self._architecture.image_size
        runner.run("prepare", views, lambda batch: first.prepare(batch, side))
        runner.run("condition", views, first.embed, size, [networks.condition])
        for sample in samples:
            sample.error = sample.view.error
        sampling = lambda batch: first.sample(batch, cancelled)  # noqa: E731
        runner.run("geometry", samples, sampling, size, [networks.geometry])
        runner.run("occupancy", samples, first.decode, size, [networks.occupancy])
        runner.run("pose", samples, first.place)

    def _extract(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            voxels_from_object = sample.voxels.object_from_voxels.inverse()
            sample.surface = coarse_surface(sample.logits.cpu().numpy()).transformed(
                voxels_from_object
            )

    def _assemble(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            observation = sample.view.observation
            provenance = Provenance(
                backend=self.name, seed=sample.seed, scale_source=observation.scale_source
            )
            sample.result = assembled(
                sample.surface, sample.camera_from_object, observation, provenance
            )

    def _outcome(
        self, sample: Sample, num_seeds: int, peak_mb: float
    ) -> ModelledObject | Sam3dError:
        if sample.error is not None:
            return sample.error
        shared_s = {name: seconds / num_seeds for name, seconds in sample.view.stage_s.items()}
        stage_s = {**shared_s, **sample.stage_s}
        return ModelledObject(
            reconstruction=replace(sample.result, stage_s=stage_s, gpu_peak_mb=peak_mb)
        )


def _first_flow(config: SceneConfig) -> FlowConfig:
    num_steps = config.objects.stage1_steps
    if config.objects.shortcut:
        return FlowConfig.with_shortcut(num_steps)
    return FlowConfig(num_steps=num_steps)
