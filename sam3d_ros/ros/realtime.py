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


"""Real-time scheduling of the thread that receives, where users want it and the system grants it.

Without it Linux lets others interrupt a callback for whole ticks of its clock, often 4 ms each, as
soon as all cores are busy. The lowest such priority is below those of control loops and drivers.
"""

import os
import threading
from dataclasses import dataclass

IS_SUPPORTED = hasattr(os, "SCHED_RESET_ON_FORK")  # on Linux
HOW_TO = (
    "grant it with '@GROUP - rtprio {level}' in /etc/security/limits.conf, with LimitRTPRIO= of "
    "a systemd service or with the capability SYS_NICE of a container"
)
CALLER = 0  # the system's number of the calling thread


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the system shares out the processors to the calling thread."""

    policy: int
    level: int

    @classmethod
    def real_time(cls, level: int) -> "Schedule":
        """Return the one that goes before all others of a lower level, 1 to 99."""
        return cls(os.SCHED_FIFO, level)

    @classmethod
    def here(cls) -> "Schedule":
        """Return that of the calling thread.

        Raises:
            OSError: The system does not say.
        """
        policy = os.sched_getscheduler(CALLER) & ~os.SCHED_RESET_ON_FORK
        return cls(policy, os.sched_getparam(CALLER).sched_priority)

    def apply(self) -> None:
        """Schedule the calling thread so; what it starts does not inherit that.

        Raises:
            OSError: The system does not grant it.
        """
        # The flag stays when the priority goes: only who is privileged may take it off again.
        policy = self.policy | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(CALLER, policy, os.sched_param(self.level))


class Urgency:
    """Lets the thread that receives go before others while it looks at a message.

    Not while it waits for one: woken at such a priority it would interrupt who sends. So ``begin``
    raises it as soon as there is a message, and only a thread that has called ``end`` before: who
    spins the node without that would keep the priority for good.
    """

    def __init__(self) -> None:
        self._ending: int | None = None  # the thread that calls ``end``
        self._before: Schedule | None = None  # its own, while it has ours
        self.level = 0  # that is in force; 0 is none

    def ask(self, level: int) -> str:
        """Take a priority, 1 to 99, from the next message on; 0 is none.

        Returns:
            Why the system does not grant it; empty where it does.
        """
        reason = refusal(level) if level else ""
        self.level = 0 if reason else level
        return reason

    def begin(self) -> None:
        """Go before others until ``end``."""
        if not self.level or self._before is not None or self._ending != threading.get_ident():
            return
        try:
            before = Schedule.here()
            Schedule.real_time(self.level).apply()
        except OSError:  # no longer granted; diagnostics say that there is none
            self.level = 0
        else:
            self._before = before

    def end(self) -> None:
        """Go before nobody; to be called by the thread that receives before each time it waits."""
        self._ending = threading.get_ident()
        if self._before is not None:
            self._before.apply()
            self._before = None


def priority_here() -> int:
    """Return the real-time priority of the calling thread, 0 where it has none."""
    if not IS_SUPPORTED:
        return 0
    try:
        return Schedule.here().level
    except OSError:  # a system that does not say gives none either
        return 0


def level_to_take(wanted: int) -> int:
    """Return what the calling thread is to ask the system for; 0 where what it has is enough.

    Args:
        wanted: As ``NodeConfig.realtime_priority``: -1 is the lowest.
    """
    level = abs(wanted)
    return 0 if priority_here() >= level else level


def refusal(level: int) -> str:
    """Say why the system would not grant this process a priority, 1 to 99; empty where it would."""
    if not IS_SUPPORTED:
        return "this system has no such scheduling"
    reasons: list[str] = []

    def attempt() -> None:
        try:
            Schedule.real_time(level).apply()
        except OSError as error:
            reasons.append(f"{error.strerror}; {HOW_TO.format(level=level)}")

    # In a thread of its own: that of the caller stays as it is.
    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return "".join(reasons)
