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


"""Real-time scheduling of the node's threads, where users want it and the system grants it.

Without it Linux lets others interrupt a callback for whole ticks of its clock, often 4 ms each, as
soon as all cores are busy. The lowest such priority is below those of control loops and drivers.
"""

import os
import threading
from contextlib import suppress

HOW_TO = (
    "grant it with '@GROUP - rtprio {level}' in /etc/security/limits.conf, with LimitRTPRIO= of "
    "a systemd service or with the capability SYS_NICE of a container"
)
CALLER = 0  # the thread that asks, for the system


class Precedence:
    """Lets this process's own threads go before all others that have no real-time priority.

    The one that receives, and the others of Python: whoever holds the interpreter's lock while it
    waits for a processor keeps the one that receives waiting as well. Threads and processes that
    they start do not inherit that: what reconstructs must not keep the system from its work.
    """

    def __init__(self) -> None:
        self._level = 0
        self._given: set[threading.Thread] = set()

    def take(self, level: int) -> str:
        """Take a priority for all threads there are.

        Args:
            level: Of SCHED_FIFO, 1 to 99.

        Returns:
            Why the system does not grant it; empty where it does.
        """
        reason = scheduled(level)
        if not reason:
            self._level = level
            self.extend()
        return reason

    def extend(self) -> None:
        """Let threads that were started since have it, too."""
        if not self._level:
            return
        threads = set(threading.enumerate())
        for thread in threads - self._given:
            scheduled(self._level, thread)
        self._given = threads

    def give_back(self) -> None:
        """Schedule all of them as others are."""
        if not self._level:
            return
        for thread in self._given & set(threading.enumerate()):
            scheduled(0, thread)
        self._level, self._given = 0, set()


def scheduled(level: int, thread: threading.Thread | None = None) -> str:
    """Give one thread a priority, the calling one unless another is named; 0 is none.

    Returns:
        Why the system does not do so; empty where it does.
    """
    if not hasattr(os, "sched_setscheduler"):
        return "this system has no such scheduling"
    number = CALLER if thread is None else thread.native_id
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK if level else os.SCHED_OTHER
    if number is None:  # it does not run yet
        return ""
    try:
        with suppress(ProcessLookupError):  # it has just ended
            os.sched_setscheduler(number, policy, os.sched_param(level))
    except PermissionError as error:
        return f"{error.strerror}; {HOW_TO.format(level=level)}"
    return ""


def priority_here() -> int:
    """Return the real-time priority of the calling thread, 0 where it has none."""
    if not hasattr(os, "sched_getparam"):
        return 0
    return os.sched_getparam(CALLER).sched_priority
