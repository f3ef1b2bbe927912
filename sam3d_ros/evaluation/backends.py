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

"""Backends and baselines by the names under which they are compared."""

import re
from collections.abc import Sequence
from dataclasses import replace

from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.errors import ConfigError
from sam3d_ros.evaluation.baselines import SURFACES, OpenThreeDBaseline
from sam3d_ros.evaluation.carving import CarvedHullBaseline
from sam3d_ros.protocols import Cancelled, ObjectBackend, ObjectOutcome, OneByOne, never
from sam3d_ros.scene.around import Around
from sam3d_ros.scene.backends import WiredBackend, nano_beside_lift, wired_backend
from sam3d_ros.scene.choosing import agreeing
from sam3d_ros.structures import Observation

CARVED = "carved"
BASELINES = (CARVED, *SURFACES)
MODELS = ("auto", "lift", "nano", "sam3d")
ALL_NAMES = (*MODELS, "nano+lift", *BASELINES)
BOTH = "+lift"
HELP = f"{', '.join(ALL_NAMES)}; nano:4 keeps the best of four seeds, nano:4+lift of these and lift"
_PATTERN = re.compile(rf"({'|'.join(MODELS)})(?::([0-9]+))?({re.escape(BOTH)})?")


class Named(Around[ObjectBackend]):
    """A backend under the name by which it was asked for."""

    def __init__(self, backend: ObjectBackend, name: str, why: str = "") -> None:
        super().__init__(backend)
        self._name = name
        self.why = why  # no better one was taken

    @property
    def name(self) -> str:
        """The name by which it was asked for."""
        return self._name

    @property
    def is_really(self) -> str:
        """What it is: of auto, what that takes."""
        return self._backend.name

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Let the backend reconstruct; see ``ObjectBackend``."""
        return self._backend.reconstruct(observations, cancelled)


def make_backend(name: str, config: SceneConfig) -> Named:
    """Build a backend or baseline by its name; models are fitted and chosen as in the node.

    ``nano:4`` makes each object with four seeds and keeps the best, ``nano+lift`` keeps the better
    of both, which is what ``auto`` does where nano's weights are trusted.

    Raises:
        ConfigError: When there is none of that name.
        WeightsError: When it needs weights that cannot be used.
    """
    if name == CARVED:
        return Named(OneByOne(CarvedHullBaseline(config.lift)), name)
    if name in SURFACES:
        return Named(OneByOne(OpenThreeDBaseline(name)), name)
    found = _PATTERN.fullmatch(name)
    if found is None or (found[3] and found[1] != "nano"):
        raise ConfigError(f"backend must be one of {', '.join(ALL_NAMES)}, got {name!r}")
    model, seeds, both = found.groups()
    objects: ObjectsConfig = replace(config.objects, backend=model)
    if seeds:
        objects = replace(objects, candidates=int(seeds))
    asked = replace(config, objects=objects)
    wired = WiredBackend(nano_beside_lift(asked)) if both else wired_backend(asked)
    return Named(agreeing(wired.backend, config.refine), name, wired.why)
