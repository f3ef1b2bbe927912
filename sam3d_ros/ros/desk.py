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


"""Calls whose answer takes longer than a callback may: worked on in a thread of their own.

A coroutine waits for the answer. The executor asks it again at every event, so that nothing turns
in circles meanwhile, and goes on with everything else.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from rclpy.node import Node
from rclpy.task import Future

from sam3d_ros.config import QueueConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.ros.jobs import BusyError
from sam3d_ros.ros.worker import Worker

# Calls; fewer than the ten answers that DDS keeps for a client that does not take them at once.
MAX_WAITING = 8
JOIN_S = 1.0
T = TypeVar("T")


class Waiting:
    """Something that another thread will find out."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._future: Any = Future()

    def finish(self, value: object) -> None:
        """Say what it is; the first time counts. May be called from any thread."""
        if not self._future.done():
            self._future.set_result(value)
        if (executor := self._node.executor) is not None:
            executor.wake()

    async def value(self) -> Any:
        """Wait for it."""
        return await self._future


class Desk:
    """Does one thing after the other for calls that wait."""

    def __init__(self, node: Node, crashed: Callable[[], None]) -> None:
        self._node = node
        self._num_waiting = 0  # of the executor's thread
        self._worker = Worker[None]("calls", lambda *_: None, QueueConfig(), crashed)

    async def run(self, work: Callable[[], T]) -> T:
        """Let work be done, and wait for what it returns.

        Raises:
            BusyError: Too many calls wait.
            Sam3dError: As the work raised.
        """
        if self._num_waiting >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} calls wait for their answers; wait for one of them")
        waiting = Waiting(self._node)
        self._num_waiting += 1
        self._worker.run(lambda: waiting.finish(_outcome(work)))
        try:
            outcome = await waiting.value()
        finally:
            self._num_waiting -= 1
        if isinstance(outcome, Sam3dError):
            raise outcome
        result: T = outcome
        return result

    def close(self) -> None:
        """End the thread after what it is doing."""
        self._worker.stop()
        self._worker.join(JOIN_S)


def _outcome(work: Callable[[], T]) -> T | Sam3dError:
    try:
        return work()
    except Sam3dError as error:
        return error
