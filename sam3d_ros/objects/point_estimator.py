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

"""The depth model at work: loaded from the settings, in memory that may not suffice."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sam3d_ros.config import SceneConfig
from sam3d_ros.nn.devices import (
    device_named,
    dtype_named,
    limit_memory,
    release_unused,
    within_memory,
)
from sam3d_ros.objects.architecture_file import read_architecture
from sam3d_ros.objects.depth_model import DepthModel, estimate_points
from sam3d_ros.objects.loading import home_of
from sam3d_ros.objects.stages import StageRunner, Work
from sam3d_ros.objects.weights import load_depth_model
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.structures import Camera, EstimatedPoints, Floats

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True, eq=False)
class _Look(Work):
    """One image, and what is seen in it."""

    rgb: Floats
    camera: Camera | None
    seen: EstimatedPoints = field(init=False)


class DepthModelEstimator:
    """The depth model as a ``PointEstimator``."""

    def __init__(self, model: DepthModel, device: torch.device) -> None:
        self._model = model
        self._device = device

    @classmethod
    def load(cls, config: SceneConfig) -> "DepthModelEstimator":
        """Load the depth model from the folder ``weights.objects``.

        Raises:
            WeightsMissingError: It is not there.
            WeightsError: It cannot be read, or is another model.
            ConfigError: The machine has no such device.
            OutOfMemoryError: The device has too little memory for it.
        """
        folder, device = Path(config.weights.objects), device_named(config.device)
        limit_memory(device, config.gpu_memory_limit_gb)
        home, dtype = home_of(config, device), dtype_named(config.precision, device)
        architecture = read_architecture(folder)
        model = within_memory(
            lambda: load_depth_model(folder, architecture, device=home, dtype=dtype),
            device,
            "the depth model",
        )
        logger.info("depth that is missing is estimated, by the depth model of %s", folder)
        return cls(model, device)

    @torch.no_grad()
    def estimate(
        self, rgb: Floats, camera: Camera | None = None, cancelled: Cancelled = never
    ) -> EstimatedPoints:
        """Return what the model sees in an image; see ``PointEstimator``."""
        look = _Look(rgb=rgb, camera=camera)
        runner = StageRunner(self._device, cancelled, self._park)
        runner.run("depth model", [look], self._see, modules=[self._model])
        if look.error is not None:
            raise look.error
        return look.seen

    def _see(self, looks: Sequence[_Look]) -> None:
        for look in looks:
            look.seen = estimate_points(self._model, look.rgb, camera=look.camera)

    def _park(self) -> bool:
        """Let the weights wait on the CPU from now on; return whether that makes room."""
        if all(each.device.type == "cpu" for each in self._model.parameters()):
            return False
        self._model.cpu()
        release_unused(self._device)
        return True
