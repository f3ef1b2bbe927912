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


"""A long run: frames at a steady pace, objects coming and going, and what it does to the node."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sam3d_ros.apps.bags import RawMessage
from sam3d_ros.apps.usage import Usage
from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.harness.peer import Peer, transform_stamp_ns, values_of
from sam3d_ros.structures import NS_PER_S

SAMPLE_PERIOD_S = 1.0
PATIENCE_S = 180.0  # for the node to be at work
FOLLOWED = 5  # images, when it is
FIRST_S = 1.0  # that a topic is known here does not mean that it is known there
LAST_S = 3.0  # for what is still on its way at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The node's processes at one moment."""

    frame: int  # that was sent last
    usages: tuple[Usage, ...]  # the node, then what it has started
    shared_files: int
    waiting: int  # frames with masks in the node's queue; -1 while unknown


@dataclass(slots=True, kw_only=True)
class SoakLog:
    """What was seen."""

    sent_ns: list[int] = field(default_factory=list)  # stamp of each frame
    num_before: int = 0  # frames until the node was at work, which count for nothing else
    latency_s: dict[int, float] = field(default_factory=dict)  # image to TF, by number of frame
    samples: list[Sample] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)  # of reports that were heard
    num_reported: int = 0  # by what the node says in diagnostics
    names: set[str] = field(default_factory=set)  # of objects
    num_wrong: int = 0  # transforms at stamps of no frame


class Soak:
    """Sends frames and listens.

    Args:
        peer: Talks to the node.
        views: The messages of each view; each is shown for ``frames_per_view`` frames.
        measure: Returns what the node's processes take, and the number of shared files.
        frames_per_view: See ``views``.
        num_objects: In the first view, which is shown until all of them are known and followed:
            what comes later is compared with a node that has had all of its work.
    """

    def __init__(
        self,
        peer: Peer,
        views: Sequence[Sequence[RawMessage]],
        measure: Callable[[], tuple[tuple[Usage, ...], int]],
        frames_per_view: int,
        num_objects: int,
    ) -> None:
        self.log = SoakLog()
        self._peer = peer
        self._views = views
        self._measure = measure
        self._frames_per_view = frames_per_view
        self._num_objects = num_objects
        self._sent: dict[int, tuple[int, int]] = {}  # number and steady time by stamp
        self._before: set[int] = set()  # stamps of the frames that do not count
        self._sampled_s = float("-inf")

    def run(self, num_frames: int, rate_hz: float, is_alive: Callable[[], bool]) -> None:
        """Send frames until there were so many, or the node has ended."""
        self._warm_up(rate_hz, is_alive)
        began_s = time.monotonic()
        for number in range(num_frames):
            wait_s = began_s + number / rate_hz - time.monotonic()
            self._peer.spin(max(wait_s, 0.0))
            if not is_alive():
                break
            self._send(number)
            self._take_in()
            if time.monotonic() - self._sampled_s >= SAMPLE_PERIOD_S:
                self._sample(number)
        self._peer.spin(LAST_S)
        self._take_in()
        if (status := self._peer.diagnostics.get("processing")) is not None:
            values = values_of(status)
            self.log.num_reported = sum(int(values.get(code.name, "0")) for code in ReportCode)

    def _warm_up(self, rate_hz: float, is_alive: Callable[[], bool]) -> None:
        """Send the first view until the node and its processes are at work on all of it."""
        self._peer.spin(FIRST_S)
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._is_warm and time.monotonic() < deadline_s and is_alive():
            self._peer.spin(1.0 / rate_hz)
            self._send(len(self.log.sent_ns) % self._frames_per_view)
            self._take_in()
        self.log.num_before = len(self.log.sent_ns)
        self._before = set(self.log.sent_ns)
        self.log.sent_ns.clear()
        self.log.latency_s.clear()
        self._sent.clear()

    @property
    def _is_warm(self) -> bool:
        return len(self.log.names) >= self._num_objects and len(self.log.latency_s) >= FOLLOWED

    def _send(self, number: int) -> None:
        view = self._views[number // self._frames_per_view % len(self._views)]
        stamp_ns = time.time_ns()
        self.log.sent_ns.append(stamp_ns)
        self._sent[stamp_ns] = number, time.monotonic_ns()
        self._peer.send_all(view, stamp_ns)

    def _take_in(self) -> None:
        """Note what came since the last frame."""
        for transform, came_ns in self._peer.transforms:
            self.log.names.add(transform.child_frame_id)
            sent = self._sent.get(transform_stamp_ns(transform))
            if sent is None:
                self.log.num_wrong += transform_stamp_ns(transform) not in self._before
            else:
                number, sent_ns = sent
                self.log.latency_s.setdefault(number, (came_ns - sent_ns) / NS_PER_S)
        self._peer.transforms.clear()
        for report in self._peer.reports:
            name = ReportCode(report.code).name
            self.log.codes[name] = self.log.codes.get(name, 0) + 1
        self._peer.reports.clear()

    def _sample(self, number: int) -> None:
        self._sampled_s = time.monotonic()
        usages, shared_files = self._measure()
        status = self._peer.diagnostics.get("processing")
        waiting = values_of(status).get("waiting", "-1") if status is not None else "-1"
        self.log.samples.append(
            Sample(
                frame=number,
                usages=usages,
                shared_files=shared_files,
                waiting=int(waiting.partition(",")[0]),
            )
        )
