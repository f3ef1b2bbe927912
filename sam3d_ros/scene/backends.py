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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam3d_ros.completion.lift import LiftBackend
from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ReconstructionError, WeightsError, WeightsMissingError
from sam3d_ros.objects.files import nano_folder
from sam3d_ros.objects.provenance import why_not_trusted
from sam3d_ros.protocols import (
    Cancelled,
    ObjectBackend,
    ObjectOutcome,
    OneByOne,
    SeededBackend,
    never,
)
from sam3d_ros.scene.choosing import BackendCandidates, SeedCandidates
from sam3d_ros.scene.fetching import objects_source, with_objects
from sam3d_ros.scene.verdict import OBJECTS_OFF
from sam3d_ros.structures import Observation

if TYPE_CHECKING:
    from sam3d_ros.objects.pipeline import Reconstructor

logger = logging.getLogger(__name__)


class _NotAskedForError(WeightsError):
    """Nobody asked for a backend that is not there, or no good: nothing to be warned of."""


@dataclass(frozen=True, slots=True)
class WiredBackend:
    """A backend, and why it is no better one: empty where it was named, or is the best."""

    backend: ObjectBackend
    why: str = ""


class NoObjects:
    """Stands where a backend would, while no objects are looked at."""

    name = "none"
    wants_warmup = False

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Make nothing of anything."""
        return [ReconstructionError(OBJECTS_OFF) for _ in observations]


def make_object_backend(config: SceneConfig) -> ObjectBackend:
    """Build the backend that ``objects.backend`` names; see ``wired_backend``."""
    return wired_backend(config).backend


def wired_backend(config: SceneConfig) -> WiredBackend:
    """Build the backend that ``objects.backend`` names; ``auto`` logs which it took and why.

    ``auto`` goes down a ladder: sam3d where there are weights of it; else nano and lift, of which
    each object keeps the one that agrees best with its view, where nano's weights were measured to
    be better than lift (``objects.provenance``); else lift.

    Raises:
        WeightsError: ``sam3d`` or ``nano`` is named and has no weights that can be used.
        ConfigError: The machine has no such device.
    """
    if not config.objects.enabled:
        return WiredBackend(NoObjects(), OBJECTS_OFF)
    named = config.objects.backend
    wired = _best_there_is(config) if named == "auto" else WiredBackend(_MAKERS[named](config))
    if config.gaussians.publish and wired.backend.name != "sam3d":
        logger.warning(
            "gaussians.publish has no effect: backend %s makes no splats", wired.backend.name
        )
    return wired


def nano_beside_lift(config: SceneConfig) -> ObjectBackend:
    """Build what makes each object with nano and with lift, and has both to choose from.

    Nano is preferred where the view does not tell them apart, and may have several seeds.

    Raises:
        WeightsError: Nano has no weights that can be used.
        ConfigError: The machine has no such device.
    """
    return BackendCandidates((_nano(config), _lift(config)))


def _best_there_is(config: SceneConfig) -> WiredBackend:
    """Go down the ladder; each step says why it was not the one before."""
    steps = (("sam3d", _trusted_sam3d), ("nano", _trusted_nano))
    reasons: list[str] = []
    for name, make in steps:
        try:
            return _taken(WiredBackend(make(config), "; ".join(reasons)))
        except _NotAskedForError as error:
            reasons.append(f"no {name}, as {error}")
        except WeightsError as error:
            logger.warning("auto does not take backend %s: %s", name, error)
            reasons.append(f"no {name}, as {error}")
    return _taken(WiredBackend(_lift(config), "; ".join(reasons)))


def _taken(wired: WiredBackend) -> WiredBackend:
    why = wired.why or "there is none better"
    logger.info("auto takes backend %s: %s", wired.backend.name, why)
    return wired


def _trusted_sam3d(config: SceneConfig) -> ObjectBackend:
    if not objects_source(config.weights):
        raise _NotAskedForError("weights.objects names no folder")
    return _sam3d(config)


def _trusted_nano(config: SceneConfig) -> ObjectBackend:
    try:
        folder = nano_folder(config.weights.nano)
    except WeightsMissingError as error:
        if config.weights.nano:
            raise
        raise _NotAskedForError("no weights come with this installation") from error
    if reason := why_not_trusted(folder):
        raise _NotAskedForError(reason)
    return nano_beside_lift(config)


def _lift(config: SceneConfig) -> ObjectBackend:
    return OneByOne(LiftBackend(config.lift, config.objects.seed))


def _sam3d(config: SceneConfig) -> ObjectBackend:
    return _seeded(_models("sam3d").load(with_objects(config)), config)


def _nano(config: SceneConfig) -> ObjectBackend:
    nano_folder(config.weights.nano)  # says more than torch's not being there
    return _seeded(_models("nano").load_nano(config), config)


def _models(name: str) -> "type[Reconstructor]":
    """Import what runs models: that imports torch, which need not be installed."""
    try:
        from sam3d_ros.objects.pipeline import Reconstructor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise WeightsError(
            f"backend {name} needs torch, which is not installed; sam3d check says what is"
        ) from error
    return Reconstructor


def _seeded(backend: SeededBackend, config: SceneConfig) -> ObjectBackend:
    objects = config.objects
    if objects.candidates == 1:
        return backend
    return SeedCandidates(backend, range(objects.seed, objects.seed + objects.candidates))


_MAKERS: dict[str, Callable[[SceneConfig], ObjectBackend]] = {
    "lift": _lift,
    "nano": _nano,
    "sam3d": _sam3d,
}
