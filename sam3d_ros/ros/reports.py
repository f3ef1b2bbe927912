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


"""One FrameReport for every mask, and the count of what became of them."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue

from std_msgs.msg import Header

from sam3d_ros.errors import ReportCode
from sam3d_ros.msg import FrameReport
from sam3d_ros.ros.encode import header_of, stage_msgs
from sam3d_ros.ros.framing import Bundle, Instant
from sam3d_ros.scene.verdict import Verdict
from sam3d_ros.structures import NS_PER_S

LOG_PERIOD_S = 5.0


class Reports:
    """Counts reports of any thread, sends them, and logs refusals now and then.

    Sending and logging have a thread of their own: a single line of log may take tens of
    milliseconds, because rclpy looks up who asks for it, which no callback can afford.

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
        self._queue: SimpleQueue[FrameReport | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self._logged_s: dict[ReportCode, float] = {}
        self.counts: Counter[ReportCode] = Counter()
        self.last: FrameReport | None = None
        self._thread.start()

    def of_bundle(self, bundle: Bundle, verdict: Verdict) -> None:
        """Report on a mask whose messages were complete."""
        waited_s = (self._now().steady_ns - bundle.completed.steady_ns) / NS_PER_S
        self._send(header_of(bundle.frame_id, bundle.stamp_ns), verdict, waited_s, bundle.stamp_ns)

    def of_mask(self, frame_id: str, stamp_ns: int, verdict: Verdict) -> None:
        """Report on a mask that became no bundle."""
        self._send(header_of(frame_id, stamp_ns), verdict, float("nan"), stamp_ns)

    def close(self) -> None:
        """Return once everything is sent; what comes later is not."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_clean = False
        try:
            while (report := self._queue.get()) is not None:
                self._publish(report)
                self._log(ReportCode(report.code), report.message)
            is_clean = True
        finally:
            if not is_clean:
                self._crashed()

    def _send(self, header: Header, verdict: Verdict, latency_s: float, stamp_ns: int) -> None:
        with self._lock:
            self.counts[verdict.code] += 1
            self.last = FrameReport(
                header=header,
                code=int(verdict.code),
                message=verdict.message,
                stages=stage_msgs(verdict.stage_s),
                latency=latency_s,
                age=(self._now().clock_ns - stamp_ns) / NS_PER_S,
                gpu_peak_mb=verdict.gpu_peak_mb,
                dropped=self.counts[ReportCode.DROPPED],
                object_ids=list(verdict.object_ids),
            )
            self._queue.put(self.last)

    def _log(self, code: ReportCode, message: str) -> None:
        now_s = time.monotonic()
        last_s = self._logged_s.get(code, float("-inf"))
        if code != ReportCode.OK and now_s - last_s >= LOG_PERIOD_S:
            self._logged_s[code] = now_s
            self._warn(f"{code.name}: {message}")
