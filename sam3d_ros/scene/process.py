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


"""The reconstructor in a process of its own.

Ray casting and decimation hold the interpreter lock for tens of milliseconds. In a process that
also receives images, every such call would hold up the callbacks; here it cannot.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.objects.files import NEEDED, check_present, nano_folder
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.scene.child import Answering, ChildProcess, Role
from sam3d_ros.scene.fetching import may_fetch, objects_source, with_objects
from sam3d_ros.scene.reconstructor import KnownObject, ReconstructedFrame
from sam3d_ros.structures import Frame

NICENESS = 10  # drivers, planners and the callbacks of our own node go first


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Question:
    frame: Frame
    known: tuple[KnownObject, ...]
    config: SceneConfig


class ReconstructorProcess:
    """A ``FrameReconstructor`` behind a pipe; ``start`` starts its process."""

    def __init__(self, config: SceneConfig) -> None:
        self._config = config
        role = Role(name="reconstruction", niceness=NICENESS, make=_made_ready)
        self._process = ChildProcess(role, config)

    @property
    def is_ready(self) -> bool:
        """Whether the process has what it needs."""
        return self._process.is_ready

    def retune(self, config: SceneConfig) -> None:
        """Take other settings from the next frame on; see ``FrameReconstructor``."""
        self._config = config

    def start(self) -> None:
        """Start the process unless it runs; returns before it is ready.

        Raises:
            WeightsError: The backend that is named needs weights that are not there.
        """
        if self._process.is_alive:
            return
        if self._config.objects.enabled:
            _check_weights(self._config)
        self._process.start()

    def reconstruct(
        self, frame: Frame, cancelled: Cancelled = never, known: Sequence[KnownObject] = ()
    ) -> ReconstructedFrame:
        """Reconstruct every mask of a frame in the process; see ``ChildProcess.ask``.

        Meshes and views of known objects are sent once.
        """
        if not cancelled():
            self.start()
        lasting = [part for one in known for part in one.lasting]
        question = _Question(frame=frame, known=tuple(known), config=self._config)
        answer = self._process.ask(question, lasting, cancelled)
        assert isinstance(answer, ReconstructedFrame)
        return answer

    def close(self) -> None:
        """End the process, by force if it does not end by itself."""
        self._process.close()


def _check_weights(config: SceneConfig) -> None:
    """Miss weights seconds sooner than the process would; what it may fetch, it finds out alone.

    Raises:
        WeightsError: The backend that is named needs weights that are not there.
    """
    if config.objects.backend == "nano":
        nano_folder(config.weights.nano)
    if config.objects.backend == "sam3d" and not may_fetch(objects_source(config.weights), config):
        folder = with_objects(config).weights.objects
        check_present(folder, NEEDED[config.objects.mesh_detail])


def _made_ready(config: SceneConfig) -> Answering:
    """Return what answers frames; where the backend cannot be had, each is answered with why."""
    # Imported here: it takes seconds and a hundred megabytes that only this process has to spend.
    from sam3d_ros.scene.local import local_reconstructor  # noqa: PLC0415

    try:
        reconstructor = local_reconstructor(config)
        if config.warmup:
            reconstructor.warm_up()
    except Sam3dError as error:
        logger.error("nothing can be reconstructed: %s", error)
        return _refuser(error)

    def answer(question: _Question, cancelled: Cancelled) -> ReconstructedFrame:
        reconstructor.retune(question.config)
        return reconstructor.reconstruct(question.frame, cancelled, question.known)

    return answer


def _refuser(error: Sam3dError) -> Answering:
    def refuse(question: _Question, cancelled: Cancelled) -> ReconstructedFrame:
        raise error

    return refuse
