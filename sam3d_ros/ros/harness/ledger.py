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


"""Which mask was sent, and which report came on it: one each."""

import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence

from sam3d_ros.msg import FrameReport
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.encode import LAST_NS
from sam3d_ros.ros.harness.peer import Peer
from sam3d_ros.structures import NS_PER_S

HEADER_BYTES = 12  # up to the end of the stamp
AHEAD_S = 0.02  # by which a mask comes after its image, as from any detector


class Ledger:
    """Sends exposures and keeps account of their reports.

    Args:
        peer: Talks to the node.
        is_alive: Whether the node's process runs; nobody waits for a report of one that ended.
    """

    def __init__(self, peer: Peer, is_alive: Callable[[], bool]) -> None:
        self._peer = peer
        self._is_alive = is_alive
        self._due: Counter[int] = Counter()  # reports that are still to come, by stamp
        self.image_stamps: set[int] = set()
        self.num_strays_allowed = 0
        self.num_strays = 0

    def expose(
        self, messages: Sequence[tuple[str, bytes]], patience_s: float
    ) -> FrameReport | None:
        """Send the messages of an exposure, the mask last; return the report on it, if it came."""
        *others, (topic, mask) = messages
        for other_topic, data in others:
            self.note_image(other_topic, data)
            self._peer.send(other_topic, data)
        self._peer.spin(AHEAD_S)
        key = stamp_of(mask)
        self._due[key] += 1
        self._peer.send(topic, mask)
        return self._wait(key, patience_s)

    def stray(self, messages: Sequence[tuple[str, bytes]], wait_s: float) -> None:
        """Send an exposure whose mask nobody may be able to read: no report, or one."""
        for topic, data in messages:
            self.note_image(topic, data)
            self._peer.send(topic, data)
        self.num_strays_allowed += 1
        self._peer.spin(wait_s)

    def note_image(self, topic: str, data: bytes) -> None:
        """Remember the stamp of an image, at which transforms may come."""
        if topic.endswith("/image") and len(data) >= HEADER_BYTES:
            self.image_stamps.add(stamp_of(data))

    def settle(self) -> list[int]:
        """Take in what came; return the stamps of masks that had no report."""
        self._take(None)
        return sorted(self._due.elements())

    def _wait(self, key: int, patience_s: float) -> FrameReport | None:
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s and self._is_alive():
            self._peer.until(lambda: self._peer.reports, 0.1)
            if (found := self._take(key)) is not None:
                return found
        return None

    def _take(self, key: int | None) -> FrameReport | None:
        """Tick off the reports that came; return the one on a mask."""
        wanted = None
        for report in self._peer.reports:
            stamp_ns = stamp_ns_from_msg(report.header.stamp)
            if self._due[stamp_ns] > 0:
                self._due[stamp_ns] -= 1
                wanted = report if stamp_ns == key else wanted
            else:
                self.num_strays += 1
        self._peer.reports.clear()
        return wanted


def stamp_of(data: bytes) -> int:
    """Return the stamp of a serialised message that begins with a header, in ns, as reported."""
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return min(int(seconds) * NS_PER_S + int(nanoseconds), LAST_NS)
