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

"""From settings to loaded networks: what is needed, where it runs, and in which precision."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.nn.devices import (
    device_named,
    dtype_named,
    limit_memory,
    release_unused,
    within_memory,
)
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.architecture_file import read_architecture
from sam3d_ros.objects.coarse_stage import CoarseStage
from sam3d_ros.objects.condition import ConditionEmbedder
from sam3d_ros.objects.files import (
    FEW_SPLATS_FILE,
    MESH_FILE,
    NEEDED,
    REFINEMENT_FILE,
    SPLATS_FILE,
    check_present,
    nano_folder,
)
from sam3d_ros.objects.first_stage import FirstStage
from sam3d_ros.objects.refinement_sampling import refinement_flow
from sam3d_ros.objects.second_stage import SecondStage
from sam3d_ros.objects.volume.loading import load_nano, nano_flow
from sam3d_ros.objects.volume.stage import VolumeStage
from sam3d_ros.objects.weights import (
    load_few_splats_decoder,
    load_geometry_stage,
    load_mesh_decoder,
    load_refinement_stage,
    load_splat_decoder,
)

FEW_SPLATS = 4  # of each voxel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where weights come from and go to."""

    folder: Path
    architecture: ObjectsArchitecture
    home: torch.device
    dtype: torch.dtype


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedStages:
    """Everything that reconstructs, ready."""

    first: CoarseStage
    second: SecondStage | None  # where fine meshes or splats are wanted
    device: torch.device  # where it runs; weights may wait elsewhere

    @property
    def modules(self) -> list[nn.Module]:
        """All networks."""
        modules: list[nn.Module] = [*self.first.embedders, self.first.geometry]
        modules += self.first.decoders
        if self.second is not None:
            modules += [self.second.networks.condition, self.second.networks.refinement]
            modules += filter(None, (self.second.mesh, self.second.splats))
        return modules

    def park(self) -> bool:
        """Let weights wait on the CPU from now on; return whether that makes room elsewhere."""
        resident = [
            module
            for module in self.modules
            if any(each.device.type != "cpu" for each in module.parameters())
        ]
        for module in resident:
            module.cpu()
        if resident:
            release_unused(self.device)
            logger.warning(
                "%s ran out of memory: from now on weights are there only while they are used, as "
                "with low_memory",
                self.device,
            )
        return bool(resident)


def load_stages(config: SceneConfig, *, splats: bool) -> LoadedStages:
    """Load what the settings ask for.

    Raises:
        WeightsError: A file is missing, cannot be read or does not fit.
        ConfigError: The machine has no such device.
    """
    device = device_named(config.device)
    files = (*NEEDED[config.objects.mesh_detail], *(splat_files(config.objects) * splats))
    check_present(config.weights.objects, files)
    limit_memory(device, config.gpu_memory_limit_gb)
    if config.low_memory and device.type == "cpu":
        logger.info("low_memory changes nothing on a CPU, where weights always wait")
    return within_memory(lambda: _loaded(config, device, files), device, "the weights")


def load_nano_stages(config: SceneConfig) -> LoadedStages:
    """Load nano from ``weights.nano``, or from the package.

    Raises:
        WeightsError: A file is missing, cannot be read or does not fit.
        ConfigError: The machine has no such device.
    """
    device, folder = device_named(config.device), nano_folder(config.weights.nano)
    limit_memory(device, config.gpu_memory_limit_gb)
    dtype, home = dtype_named(config.precision, device), home_of(config, device)

    def load() -> LoadedStages:
        model = load_nano(folder, device=home, dtype=dtype)
        flow = nano_flow(folder, config.objects.nano_steps)
        return LoadedStages(first=VolumeStage(model, flow, device), second=None, device=device)

    stages = within_memory(load, device, "the weights")
    logger.info("nano: weights of %s, on %s in %s", folder, device, str(dtype).split(".")[1])
    return stages


def splat_files(objects: ObjectsConfig) -> tuple[str, ...]:
    """Return the files that splats take beside those of the first stage."""
    decoder = FEW_SPLATS_FILE if objects.splats_per_voxel == FEW_SPLATS else SPLATS_FILE
    return (REFINEMENT_FILE, decoder)


def _loaded(config: SceneConfig, device: torch.device, files: Collection[str]) -> LoadedStages:
    folder, dtype = Path(config.weights.objects), dtype_named(config.precision, device)
    source = _Source(folder, read_architecture(folder), home_of(config, device), dtype)
    networks = load_geometry_stage(
        folder, source.architecture, device=source.home, dtype=source.dtype
    )
    second = None
    if REFINEMENT_FILE in files:
        second = _second_stage(config, files, source, networks.condition)
    logger.info("sam3d: weights of %s, on %s in %s", folder, device, str(dtype).split(".")[1])
    return LoadedStages(
        first=FirstStage(
            networks, _first_flow(config.objects), device, source.architecture.image_size
        ),
        second=second,
        device=device,
    )


def home_of(config: SceneConfig, device: torch.device) -> torch.device:
    """Return where weights wait for their use."""
    return torch.device("cpu") if config.low_memory else device


def _second_stage(
    config: SceneConfig, files: Collection[str], source: "_Source", loaded: ConditionEmbedder
) -> SecondStage:
    folder, architecture = source.folder, source.architecture
    home, dtype = source.home, source.dtype
    networks = load_refinement_stage(
        folder, architecture, device=home, dtype=dtype, loaded=[loaded]
    )
    mesh = splats = None
    if MESH_FILE in files:
        mesh = load_mesh_decoder(folder, architecture, device=home, dtype=dtype)
    if SPLATS_FILE in files:
        splats = load_splat_decoder(folder, architecture, device=home, dtype=dtype)
    if FEW_SPLATS_FILE in files:
        splats = load_few_splats_decoder(folder, architecture, device=home, dtype=dtype)
    return SecondStage(networks, mesh, splats, refinement_flow(config.objects.stage2_steps))


def _first_flow(config: ObjectsConfig) -> FlowConfig:
    if config.shortcut:
        return FlowConfig.with_shortcut(config.stage1_steps)
    return FlowConfig(num_steps=config.stage1_steps)
