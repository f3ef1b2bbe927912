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

"""Publishers that can be taken from threads which do not know it yet."""

from threading import Lock
from typing import Any


class Tap:
    """A publisher until it is taken, nothing afterwards; for threads of all kinds.

    A thread that works for longer than anybody waits for it would publish by a handle that is
    gone, which rclpy takes for a bug. What it sends here is lost, as nobody wants it any more.

    Args:
        publisher: Of rclpy.
    """

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher
        self._lock = Lock()

    def publish(self, message: Any) -> None:
        """Send a message, or its bytes."""
        with self._lock:
            if self._publisher is not None:
                self._publisher.publish(message)

    def get_subscription_count(self) -> int:
        """Return how many would get a message; named as that of rclpy."""
        with self._lock:
            return 0 if self._publisher is None else int(self._publisher.get_subscription_count())

    def take(self) -> Any:
        """Return the publisher, once what is being sent is; None where somebody has it already."""
        with self._lock:
            publisher, self._publisher = self._publisher, None
        return publisher
