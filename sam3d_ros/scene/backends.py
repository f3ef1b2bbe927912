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

"""The one place that wires a backend from its configuration."""

import logging

from sam3d_ros.completion.lift import LiftBackend
from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import WeightsError
from sam3d_ros.protocols import ObjectBackend, OneByOne
from sam3d_ros.scene.choosing import SeedCandidates

logger = logging.getLogger(__name__)


def make_object_backend(config: SceneConfig) -> ObjectBackend:
    """Build the backend that ``objects.backend`` names; ``auto`` logs which it took and why.

    Raises:
        WeightsError: ``sam3d`` is named and has no weights that can be used.
        ConfigError: The machine has no such device.
    """
    if config.objects.backend == "lift":
        return _lift(config)
    if config.objects.backend == "sam3d":
        return _sam3d(config)
    if not config.weights.objects:
        logger.info("auto takes backend lift: weights.objects names no folder for sam3d")
        return _lift(config)
    try:
        backend = _sam3d(config)
    except WeightsError as error:
        logger.warning("auto takes backend lift, as sam3d is not ready: %s", error)
        return _lift(config)
    logger.info("auto takes backend sam3d: its weights are in %s", config.weights.objects)
    return backend


def _lift(config: SceneConfig) -> ObjectBackend:
    if config.gaussians.publish:
        logger.warning("gaussians.publish has no effect: backend lift makes no splats")
    return OneByOne(LiftBackend(config.lift, config.objects.seed))


def _sam3d(config: SceneConfig) -> ObjectBackend:
    try:
        from sam3d_ros.objects.pipeline import Reconstructor  # noqa: PLC0415  # imports torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise WeightsError(
            "backend sam3d needs torch, which is not installed; sam3d check says what is"
        ) from error
    backend, objects = Reconstructor.load(config), config.objects
    if objects.candidates == 1:
        return backend
    return SeedCandidates(backend, range(objects.seed, objects.seed + objects.candidates))
