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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from std_msgs.msg import Header

from sam3d_ros.errors import ReportCode
from sam3d_ros.msg import FrameReport
from sam3d_ros.ros.encode import header_of, stage_msgs
from sam3d_ros.ros.framing import Bundle, Instant
from sam3d_ros.structures import SceneSnapshot

LOG_PERIOD_S = 5.0
NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one mask."""

    code: ReportCode
    message: str
    object_ids: tuple[str, ...] = ()
    stage_s: Mapping[str, float] = field(default_factory=dict)


def verdict_of(snapshot: SceneSnapshot, names: Mapping[int, str]) -> Verdict:
    """Summarise a processed frame: it is fine when it shows at least one object.

    Args:
        snapshot: What the pipeline returned.
        names: Name of each object by track id.
    """
    seen = tuple(names[track_id] for track_id in snapshot.updated)
    failures = "; ".join(
        f"mask {failure.instance_id}: {failure.code.name}, {failure.message}"
        for failure in snapshot.failures
    )
    code = ReportCode.OK
    if not seen:
        code = snapshot.failures[0].code if snapshot.failures else ReportCode.MASK_EMPTY
    found = f"{len(seen)} objects: {', '.join(seen)}" if seen else "no object"
    if not seen and not failures:
        failures = "the mask image has no pixel above 0"
    return Verdict(
        code=code,
        message=f"{found}; {failures}" if failures else found,
        object_ids=seen,
        stage_s=snapshot.stage_s,
    )


class Reports:
    """Sends reports from any thread, counts them, and logs refusals now and then."""

    def __init__(
        self,
        publish: Callable[[FrameReport], None],
        now: Callable[[], Instant],
        warn: Callable[[str], None],
    ) -> None:
        self._publish = publish
        self._now = now
        self._warn = warn
        self._lock = threading.Lock()
        self._logged_s: dict[ReportCode, float] = {}
        self.counts: Counter[ReportCode] = Counter()
        self.last: FrameReport | None = None

    def of_bundle(self, bundle: Bundle, verdict: Verdict) -> None:
        """Report on a mask whose messages were complete."""
        waited_s = (self._now().steady_ns - bundle.completed.steady_ns) / NS_PER_S
        self._send(header_of(bundle.frame_id, bundle.stamp_ns), verdict, waited_s, bundle.stamp_ns)

    def of_mask(self, frame_id: str, stamp_ns: int, verdict: Verdict) -> None:
        """Report on a mask that became no bundle."""
        self._send(header_of(frame_id, stamp_ns), verdict, float("nan"), stamp_ns)

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
                gpu_peak_mb=float("nan"),
                dropped=self.counts[ReportCode.DROPPED],
                object_ids=list(verdict.object_ids),
            )
            self._publish(self.last)
            self._log(verdict)

    def _log(self, verdict: Verdict) -> None:
        now_s = time.monotonic()
        last_s = self._logged_s.get(verdict.code, float("-inf"))
        if verdict.code != ReportCode.OK and now_s - last_s >= LOG_PERIOD_S:
            self._logged_s[verdict.code] = now_s
            self._warn(f"{verdict.code.name}: {verdict.message}")
