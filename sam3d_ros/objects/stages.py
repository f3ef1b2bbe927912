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

"""Runs the stages of a pipeline over many objects: in batches, and without one failing for all."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import nn

from sam3d_ros.errors import CancelledError, OutOfMemoryError, Sam3dError
from sam3d_ros.nn.devices import finish, lent_to, within_memory
from sam3d_ros.protocols import Cancelled, Step, tell


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """One thing on its way through the stages; an error ends its way."""

    error: Sam3dError | None = None
    stage_s: dict[str, float] = field(default_factory=dict)  # its share of each stage's seconds


WorkT = TypeVar("WorkT", bound=Work)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stage(Generic[WorkT]):
    """What is done to each batch, and with which networks."""

    name: str
    function: Callable[[list[WorkT]], None]
    modules: Sequence[nn.Module]


class StageRunner:
    """Runs one stage after the other on one device.

    Args:
        device: Where everything runs.
        cancelled: Asked before every batch.
        make_room: Frees memory of the device where it can, and says whether it could.
    """

    def __init__(
        self, device: torch.device, cancelled: Cancelled, make_room: Callable[[], bool]
    ) -> None:
        self._device = device
        self._cancelled = cancelled
        self._make_room = make_room

    def run(
        self,
        name: str,
        works: Iterable[WorkT],
        function: Callable[[list[WorkT]], None],
        batch_size: int = 1,
        modules: Sequence[nn.Module] = (),
    ) -> None:
        """Let a function work on all that have no error yet, in batches.

        A batch that fails is tried again one by one, and what memory does not suffice for again
        once ``make_room`` has made some; so the function may be called several times for the same
        work. What fails alone keeps its error.

        Args:
            name: Of the stage.
            works: What to work on.
            function: Takes a batch and notes on each work what came out.
            batch_size: Largest batch.
            modules: What the function uses; their weights are on the device meanwhile.

        Raises:
            CancelledError: When it was called off.
        """
        waiting = [work for work in works if work.error is None]
        if not waiting:
            return
        stage = _Stage(name=name, function=function, modules=modules)
        started = time.perf_counter()
        self._run(stage, waiting, batch_size)
        starved = [work for work in waiting if isinstance(work.error, OutOfMemoryError)]
        if starved and self._make_room():
            for work in starved:
                work.error = None
            self._run(stage, starved, 1)
        share_s = (time.perf_counter() - started) / len(waiting)
        for work in waiting:
            work.stage_s[name] = share_s

    def _run(self, stage: "_Stage[WorkT]", works: list[WorkT], batch_size: int) -> None:
        error = self._failure(lambda: self._run_batches(stage, works, batch_size))
        for work in works:
            work.error = work.error or error

    def _run_batches(self, stage: "_Stage[WorkT]", works: list[WorkT], batch_size: int) -> None:
        with ExitStack() as loans:
            for module in stage.modules:
                loans.enter_context(lent_to(module, self._device))
            for start in range(0, len(works), batch_size):
                tell(self._cancelled, Step(stage=stage.name, done=start, total=len(works)))
                self._attempt(stage, works[start : start + batch_size])
            finish(self._device)

    def _attempt(self, stage: "_Stage[WorkT]", batch: list[WorkT]) -> None:
        if self._cancelled():
            raise CancelledError(f"stopped before stage {stage.name} of {len(batch)} objects")
        error = self._failure(lambda: stage.function(batch))
        if error is None:
            return
        if len(batch) == 1:
            batch[0].error = error
            return
        for work in batch:
            self._attempt(stage, [work])

    def _failure(self, action: Callable[[], None]) -> Sam3dError | None:
        """Return what is wrong with an action's input, or that there is too little memory."""
        try:
            within_memory(action, self._device, "one object")
        except CancelledError:
            raise
        except Sam3dError as error:
            return error.with_traceback(None)  # whose frames would hold tensors
        return None
