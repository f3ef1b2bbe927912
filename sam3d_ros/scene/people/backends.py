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

"""The one place that wires a body model from its configuration."""

import logging

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import OutOfMemoryError, WeightsError
from sam3d_ros.protocols import BodyBackend
from sam3d_ros.scene.fetching import body_source, with_body
from sam3d_ros.scene.people.reconstruct import PeopleReconstructor
from sam3d_ros.scene.people.who import NO_FOLDER

logger = logging.getLogger(__name__)


def wired_people(config: SceneConfig, backend: BodyBackend | None = None) -> PeopleReconstructor:
    """Build what reconstructs people; without weights that can be used it says why it does not.

    Objects go on without it, so that is logged, and no error.
    """
    if backend is not None:
        return PeopleReconstructor(config, backend)
    if not config.body.enabled:
        return PeopleReconstructor(config, None, "body.enabled is false")
    try:
        return PeopleReconstructor(config, _loaded(config))
    except (WeightsError, OutOfMemoryError) as error:
        logger.warning("%s", error)
        return PeopleReconstructor(config, None, str(error))


def _loaded(config: SceneConfig) -> BodyBackend:
    """Load the body model.

    Raises:
        WeightsError: There are no weights that can be used, or nothing that runs them.
        OutOfMemoryError: The device has no room for them.
    """
    if not body_source(config.weights):
        raise WeightsError(NO_FOLDER)
    try:
        # Imported here: it imports torch, which need not be installed.
        from sam3d_ros.body.pipeline import BodyReconstructor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise WeightsError(
            "people are not reconstructed: that needs torch, which is not installed; sam3d check "
            "says what is"
        ) from error
    return BodyReconstructor.load(with_body(config))
