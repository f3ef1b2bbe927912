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
from dataclasses import dataclass

IS_SUPPORTED = hasattr(os, "SCHED_RESET_ON_FORK")  # on Linux
HOW_TO = (
    "grant it with '@GROUP - rtprio {level}' in /etc/security/limits.conf, with LimitRTPRIO= of "
    "a systemd service or with the capability SYS_NICE of a container"
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the system shares out the processors to one thread."""

    policy: int
    level: int

    @classmethod
    def real_time(cls, level: int) -> "Schedule":
        """Return the one that goes before all others of a lower level, 1 to 99."""
        return cls(os.SCHED_FIFO, level)

    @classmethod
    def of(cls, number: int) -> "Schedule":
        """Return that of a thread, by the system's number.

        Raises:
            OSError: The thread has ended, or the system does not say.
        """
        policy = os.sched_getscheduler(number) & ~os.SCHED_RESET_ON_FORK
        return cls(policy, os.sched_getparam(number).sched_priority)

    def apply(self, number: int) -> None:
        """Schedule a thread so; what it starts does not inherit that.

        Raises:
            OSError: The thread has ended, or the system does not grant it.
        """
        # The flag stays when the priority goes: only who is privileged may take it off again.
        policy = self.policy | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(number, policy, os.sched_param(self.level))


class Precedence:
    """Lets the Python threads of this process go before all others that have no such priority.

    The one that receives, and the rest: whoever holds the interpreter's lock while it waits for a
    processor keeps the one that receives waiting as well. Threads and processes that they start do
    not inherit that: what reconstructs must not keep the system from its work.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: Schedule | None = None
        self._before: dict[threading.Thread, Schedule] = {}

    def take(self, level: int) -> str:
        """Take a priority for all threads there are.

        Args:
            level: 1 to 99.

        Returns:
            Why the system does not grant it; empty where it does.
        """
        if not IS_SUPPORTED:
            return "this system has no such scheduling"
        with self._lock:
            wanted = Schedule.real_time(level)
            try:
                self._raise(threading.current_thread(), wanted)
            except OSError as error:
                return f"{error.strerror}; {HOW_TO.format(level=level)}"
            self._wanted = wanted
            self._raise_all(wanted)
        return ""

    def extend(self) -> None:
        """Let threads that were started since have it, too."""
        with self._lock:
            if self._wanted is not None:
                self._raise_all(self._wanted)

    def give_back(self) -> None:
        """Schedule all of them as they were."""
        with self._lock:
            for thread, before in self._before.items():
                if thread.native_id is not None and thread.is_alive():
                    # It has just ended; or what an administrator gave it is more than we may.
                    with suppress(ProcessLookupError, PermissionError):
                        before.apply(thread.native_id)
            self._wanted = None
            self._before.clear()

    def _raise_all(self, wanted: Schedule) -> None:
        threads = threading.enumerate()
        for ended in self._before.keys() - set(threads):
            del self._before[ended]
        for thread in threads:
            with suppress(ProcessLookupError):
                self._raise(thread, wanted)

    def _raise(self, thread: threading.Thread, wanted: Schedule) -> None:
        number = thread.native_id
        if thread in self._before or number is None:  # it does not run yet
            return
        before = Schedule.of(number)
        wanted.apply(number)
        self._before[thread] = before


def priority_here() -> int:
    """Return the real-time priority of the calling thread, 0 where it has none."""
    if not IS_SUPPORTED:
        return 0
    try:
        return Schedule.of(threading.get_native_id()).level
    except OSError:  # a system that does not say gives none either
        return 0


def level_to_take(wanted: int) -> int:
    """Return what the calling thread is to ask the system for; 0 is nothing.

    Args:
        wanted: As ``NodeConfig.realtime_priority``: -1 is the lowest, unless there is one already.
    """
    return 0 if wanted < 0 and priority_here() else abs(wanted)


def is_granted(level: int) -> bool:
    """Tell whether the system would grant this process a priority."""
    found: list[bool] = []

    def attempt() -> None:
        with suppress(OSError):
            Schedule.real_time(level).apply(threading.get_native_id())
            found.append(True)

    # In a thread of its own: that of the caller stays as it is.
    thread = threading.Thread(target=attempt)
    if IS_SUPPORTED:
        thread.start()
        thread.join()
    return bool(found)
