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


"""What waits for its turn in the worker: a mask that came, or what a call asks for."""

from dataclasses import dataclass
from typing import Protocol

from sam3d_ros.errors import ReportCode, Sam3dError
from sam3d_ros.protocols import Step
from sam3d_ros.ros.framing import Bundle
from sam3d_ros.ros.worker import Cancellation
from sam3d_ros.scene.selecting import EVERYTHING, Selection
from sam3d_ros.scene.verdict import Verdict
from sam3d_ros.structures import SceneSnapshot


class NotActiveError(Sam3dError, RuntimeError):
    """The node cannot do that in its state."""

    code = ReportCode.NOT_ACTIVE


class BusyError(Sam3dError, RuntimeError):
    """As many calls wait as may."""

    code = ReportCode.BUSY


class OffError(Sam3dError, RuntimeError):
    """What is asked for is switched off."""

    code = ReportCode.OFF


class Caller(Protocol):
    """Who asked for a frame and waits for what becomes of it; called in any thread."""

    def hear(self, step: Step) -> None:
        """Take in how far the work is."""
        ...

    def finish(self, verdict: Verdict, snapshot: SceneSnapshot | None) -> None:
        """Take in what became of the frame; None where it became no snapshot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """One frame to be looked at; ``caller`` is who asked for it, None if its mask did."""

    bundle: Bundle
    selection: Selection = EVERYTHING
    anew: bool = False
    fit: bool | None = None  # as ``Frame.fit``
    caller: Caller | None = None


class Progress:
    """A ``Cancelled`` that also passes on how far the work is; see ``protocols.Watcher``."""

    def __init__(self, cancellation: Cancellation, caller: Caller) -> None:
        self._cancellation = cancellation
        self._caller = caller

    def __call__(self) -> bool:
        """Answer whether to stop."""
        return self._cancellation()

    def hear(self, step: Step) -> None:
        """Pass it on while that is of use; who has called the work off may be gone."""
        if not self._cancellation():
            self._caller.hear(step)
