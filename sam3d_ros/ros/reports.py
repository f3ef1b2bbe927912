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


"""One FrameReport for every mask and goal, and the count of what became of them."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from sam3d_ros.errors import ReportCode
from sam3d_ros.msg import FrameReport
from sam3d_ros.ros.durations import Durations
from sam3d_ros.ros.encode import header_of, stage_msgs
from sam3d_ros.ros.framing import Bundle, Instant
from sam3d_ros.scene.verdict import Verdict
from sam3d_ros.structures import NS_PER_S

LOG_PERIOD_S = 5.0
NO_NEWS = (ReportCode.DROPPED, ReportCode.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a report says, before it is a message."""

    frame_id: str
    stamp_ns: int
    verdict: Verdict
    latency_s: float
    age_s: float
    num_dropped: int
    is_news: bool  # of whether masks can be handled

    def message(self) -> FrameReport:
        """Return the report."""
        return FrameReport(
            header=header_of(self.frame_id, self.stamp_ns),
            code=int(self.verdict.code),
            message=self.verdict.message,
            stages=stage_msgs(self.verdict.stage_s),
            latency=self.latency_s,
            age=self.age_s,
            gpu_peak_mb=self.verdict.gpu_peak_mb,
            dropped=self.num_dropped,
            object_ids=list(self.verdict.object_ids),
        )


class Reports:
    """Counts reports of any thread, sends them, and logs refusals now and then.

    Making, sending and logging them have a thread of their own: a single line of log may take tens
    of milliseconds, because rclpy looks up who asks for it, which no callback can afford.

    Args:
        publish: Sends one report, in that thread.
        now: The present moment.
        warn: Logs one line, in that thread.
        crashed: Called in that thread when one of these raised, which is a bug.
    """

    def __init__(
        self,
        publish: Callable[[FrameReport], None],
        now: Callable[[], Instant],
        warn: Callable[[str], None],
        crashed: Callable[[], None],
    ) -> None:
        self._publish = publish
        self._now = now
        self._warn = warn
        self._crashed = crashed
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self._logged_s: dict[ReportCode, float] = {}
        self.counts: Counter[ReportCode] = Counter()
        self.durations = Durations()  # of the stages of frames that were looked at
        self.last: FrameReport | None = None  # of those that are news
        self.failed: frozenset[ReportCode] = frozenset()  # of that report and its objects
        self._thread.start()

    def of_bundle(self, bundle: Bundle, verdict: Verdict) -> None:
        """Report on a mask whose messages were complete."""
        waited_s = (self._now().steady_ns - bundle.completed.steady_ns) / NS_PER_S
        self._note(bundle.frame_id, bundle.stamp_ns, verdict, waited_s)

    def of_mask(self, frame_id: str, stamp_ns: int, verdict: Verdict) -> None:
        """Report on a mask that became no bundle."""
        self._note(frame_id, stamp_ns, verdict, float("nan"))

    def of_call(self, frame_id: str, stamp_ns: int, verdict: Verdict) -> None:
        """Report on a call that was refused before its frame was looked at.

        Args:
            frame_id: Of the image that it is about; empty where there is none.
            stamp_ns: Of the same; 0 where there is none.
            verdict: Why; says nothing of whether masks can be handled.
        """
        self._note(frame_id, stamp_ns, verdict, float("nan"), is_call=True)

    def close(self) -> None:
        """Return once everything is sent; what comes later is not."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_clean = False
        try:
            while (entry := self._queue.get()) is not None:
                message = entry.message()
                if entry.is_news:
                    self.last = message
                    self.failed = frozenset({entry.verdict.code, *entry.verdict.failed})
                self._publish(message)
                self._log(entry.verdict)
            is_clean = True
        finally:
            if not is_clean:
                self._crashed()

    def _note(
        self,
        frame_id: str,
        stamp_ns: int,
        verdict: Verdict,
        latency_s: float,
        is_call: bool = False,
    ) -> None:
        age_s = (self._now().clock_ns - stamp_ns) / NS_PER_S
        if is_call and not stamp_ns:
            age_s = float("nan")
        if verdict.stage_s:
            self.durations.add({**verdict.stage_s, "latency": latency_s})
        with self._lock:
            self.counts[verdict.code] += 1
            entry = Entry(
                frame_id=frame_id,
                stamp_ns=stamp_ns,
                verdict=verdict,
                latency_s=latency_s,
                age_s=age_s,
                num_dropped=self.counts[ReportCode.DROPPED],
                is_news=not is_call and verdict.code not in NO_NEWS,
            )
            self._queue.put(entry)

    def _log(self, verdict: Verdict) -> None:
        code, now_s = verdict.code, time.monotonic()
        last_s = self._logged_s.get(code, float("-inf"))
        if code != ReportCode.OK and now_s - last_s >= LOG_PERIOD_S:
            self._logged_s[code] = now_s
            self._warn(f"{code.name}: {verdict.message}")
