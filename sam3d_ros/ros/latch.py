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


"""Latched topics on which each object has a message of its own."""

from collections.abc import Callable
from typing import Generic, TypeVar

MessageT = TypeVar("MessageT")


class Latch(Generic[MessageT]):
    """Sends so that the last ``depth`` messages always hold the newest one of every object.

    A late subscriber gets the last ``depth`` messages of a transient-local publisher. Without
    this, an object that changes often would push those that do not out of them.
    """

    def __init__(self, send: Callable[[MessageT], None], depth: int) -> None:
        self._send = send
        self._depth = depth
        self._num_sent = 0
        self._newest: dict[int, tuple[int, MessageT]] = {}  # when it was sent, in that order

    def send(self, key: int, message: MessageT) -> None:
        """Send the newest message of an object."""
        self._newest.pop(key, None)
        self._keep_others()
        self._put(key, message)

    def retire(self, key: int, message: MessageT) -> None:
        """Send the last message of an object, which nobody needs who does not know it."""
        self._newest.pop(key, None)
        self._keep_others()
        self._num_sent += 1
        self._send(message)

    def exchange(self, key: int, removal: MessageT, message: MessageT) -> None:
        """Send the newest message of an object, and before it what takes back the last one."""
        if key in self._newest:
            self.retire(key, removal)
        self.send(key, message)

    def forget(self, key: int) -> None:
        """Send nothing more of an object."""
        self._newest.pop(key, None)

    def _keep_others(self) -> None:
        """Send again what the next message would push out."""
        for key, (sent, message) in list(self._newest.items()):
            if sent > self._num_sent + 1 - self._depth:
                return
            del self._newest[key]
            self._put(key, message)

    def _put(self, key: int, message: MessageT) -> None:
        self._num_sent += 1
        self._newest[key] = (self._num_sent, message)
        self._send(message)
