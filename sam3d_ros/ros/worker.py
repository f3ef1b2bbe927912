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


"""Threads that do the work, so that the one that receives never waits."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from sam3d_ros.config import QueueConfig
from sam3d_ros.errors import ReportCode

ItemT = TypeVar("ItemT")
Task = Callable[[], None]


class Cancellation:
    """Whether the work on one item is called off, and why; answers ``cancelled()``."""

    def __init__(self) -> None:
        self.code = ReportCode.DROPPED
        self.reason = ""

    def __call__(self) -> bool:
        """Answer whether to stop."""
        return bool(self.reason)

    def cancel(self, code: ReportCode, reason: str) -> None:
        """Call the work off."""
        self.code, self.reason = code, reason


class Worker(Generic[ItemT]):
    """Handles one item after the other; tasks go before items, items asked for before others.

    Args:
        name: Of the thread.
        handle: What is done with an item, in the worker's thread.
        queue: How many items may wait, and which of them goes when there are more.
        crashed: Called in the worker's thread when ``handle`` raised, which is a bug. The error
            itself goes to ``threading.excepthook``.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[ItemT, Cancellation], None],
        queue: QueueConfig,
        crashed: Callable[[], None],
    ) -> None:
        self._handle = handle
        self._queue = queue
        self._crashed = crashed
        self._changed = threading.Condition()
        self._items: deque[ItemT] = deque()
        self._asked: deque[ItemT] = deque()
        self._tasks: deque[Task] = deque()
        self._current: Cancellation | None = None
        self._item: ItemT | None = None  # that is being handled
        self._is_stopping = False
        self._rests_until_s = 0.0
        # A daemon, so that a backend which does not come back cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def retune(self, queue: QueueConfig) -> None:
        """Let more or fewer items wait, from the next one on."""
        with self._changed:
            self._queue = queue

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is being done."""
        with self._changed:
            return not (self._items or self._asked or self._tasks or self._current)

    @property
    def num_waiting(self) -> int:
        """How many items wait."""
        with self._changed:
            return len(self._items) + len(self._asked)

    def submit(self, item: ItemT) -> list[ItemT]:
        """Let an item wait for its turn; return those that had to make room."""
        with self._changed:
            self._items.append(item)
            dropped = []
            while self._queue.policy != "none" and len(self._items) > self._queue.depth:
                is_latest = self._queue.policy == "latest"
                dropped.append(self._items.popleft() if is_latest else self._items.pop())
            self._changed.notify()
        return dropped

    def ask(self, item: ItemT) -> bool:
        """Let an item that somebody waits for go next; return False where too many such wait."""
        with self._changed:
            is_busy = self._current is not None
            if len(self._asked) >= self._queue.depth + (not is_busy):
                return False
            self._asked.append(item)
            self._changed.notify()
        return True

    def call_off(self, item: ItemT, code: ReportCode, reason: str) -> bool:
        """Call off an item that was asked for; return whether it waited, and never begins."""
        with self._changed:
            if item in self._asked:
                self._asked.remove(item)
                return True
            if self._item is item and self._current is not None:
                self._current.cancel(code, reason)
        return False

    def run(self, task: Task) -> None:
        """Let a task run before any item that waits."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()

    def rest(self, seconds: float) -> None:
        """Begin no item for so long; tasks go on."""
        with self._changed:
            self._rests_until_s = time.monotonic() + seconds

    def interrupt(self, code: ReportCode, reason: str) -> list[ItemT]:
        """Call off the item in work; return those that waited."""
        with self._changed:
            if self._current is not None:
                self._current.cancel(code, reason)
            waiting = [*self._asked, *self._items]
            self._asked.clear()
            self._items.clear()
        return waiting

    def stop(self) -> None:
        """End the thread after what it is doing; whoever wants less calls ``interrupt`` first."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; return whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        is_clean = False
        try:
            while (task := self._next()) is not None:
                task()
                with self._changed:
                    self._current = self._item = None
            is_clean = True
        finally:
            if not is_clean:
                self._crashed()

    def _next(self) -> Task | None:
        """Wait for what is to be done; None is the end."""
        with self._changed:
            while not (self._tasks or self._is_stopping or self._asked or self._is_due()):
                self._changed.wait(self._rest_s() if self._items else None)
            if self._tasks:
                return self._tasks.popleft()
            if self._is_stopping:
                return None
            queue = self._asked or self._items
            item, cancellation = queue.popleft(), Cancellation()
            self._item, self._current = item, cancellation
        return lambda: self._handle(item, cancellation)

    def _is_due(self) -> bool:
        return bool(self._items) and self._rest_s() <= 0.0

    def _rest_s(self) -> float:
        return self._rests_until_s - time.monotonic()
