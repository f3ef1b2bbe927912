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

"""A node that runs for many tests: each asks it for what becomes of one frame."""

from collections.abc import Iterator
from typing import Any

from rig import Rig, frame, stamp_ns
from sam3d_ros.msg import FrameReport

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.encode import time_from_ns

SETTINGS = {
    "trigger.mode": "continuous",  # each frame asks the backend
    "refine.enabled": False,
    "tracking.enabled": False,
    "sync.timeout": 0.3,
    "masks.max_age": 20.0,
}
STEP = 10  # exposures from one frame to the next: none is near another


class Running:
    """A rig whose node was started, and the number of its last frame."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.number = 0

    def ask(self, *, shown_as: int | None = None, **changed: Any) -> FrameReport:
        """Send the next frame with some messages changed, and return the report on it.

        Messages get its stamp; ``shown_as`` is another number for the mask's.
        """
        self.number += STEP
        messages = {**frame(self.number), **changed}
        for name, message in messages.items():
            if message is not None:
                number = shown_as if name == "masks" and shown_as is not None else self.number
                message.header.stamp = time_from_ns(stamp_ns(number))
        heard = self.rig.heard["/report"]
        num_before = len(heard)
        self.rig.send_frame(self.number, **messages)
        self.rig.until(lambda: len(heard) > num_before, f"the report on frame {self.number}")
        return heard[num_before]

    def refusal(self, **changed: Any) -> FrameReport:
        """Return the one report on a frame that is refused; the next good one is processed."""
        heard = self.rig.heard["/report"]
        num_before = len(heard)
        report = self.ask(**changed)
        good = self.ask()
        assert good.code == ReportCode.OK, good.message
        assert stamp_ns_from_msg(good.header.stamp) == stamp_ns(self.number)
        assert len(heard) == num_before + 2
        return report

    def objects(self) -> list[Any]:
        """Return the objects as the last frame left them."""
        heard = self.rig.heard["/objects"]
        wanted_ns = stamp_ns(self.number)

        def is_there() -> bool:
            return bool(heard) and stamp_ns_from_msg(heard[-1].header.stamp) == wanted_ns

        self.rig.until(is_there, f"the objects of frame {self.number}")
        return list(heard[-1].objects)


def started(rig: Rig) -> Iterator[Running]:
    """Start a rig, lend it, and take it down."""
    try:
        rig.start()
        yield Running(rig)
    finally:
        rig.close()


def seen(running: Running) -> list[Any]:
    """Return the objects that the last frame showed."""
    wanted_ns = stamp_ns(running.number)
    return [
        known for known in running.objects() if stamp_ns_from_msg(known.header.stamp) == wanted_ns
    ]
