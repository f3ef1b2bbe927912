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
soon as all cores are busy.
"""

import os

HOW_TO = (
    "grant it with '@GROUP - rtprio {priority}' in /etc/security/limits.conf, with LimitRTPRIO= of "
    "a systemd service or with the capability SYS_NICE of a container"
)


def receive_at(priority: int) -> str:
    """Let the calling thread go before all others that have no real-time priority.

    Threads and processes that it starts do not inherit that: what reconstructs must not keep the
    system from its work.

    Args:
        priority: Of SCHED_FIFO, 1 to 99; 0 gives the priority back.

    Returns:
        Why the system does not do so; empty where it does.
    """
    if not hasattr(os, "sched_setscheduler"):
        return "this system has no such scheduling"
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK if priority else os.SCHED_OTHER
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except PermissionError as error:
        return f"{error.strerror}; {HOW_TO.format(priority=priority)}"
    return ""
