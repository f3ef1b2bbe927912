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


"""Which image is followed next: the newest that has its depth, its intrinsics and its transforms.

Masks wait until they are complete or too old, and each is answered. Images need no answer: as soon
as one is complete, those before it are of no more use.
"""

from dataclasses import dataclass, replace

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.ros.compat.tf_buffer import TransformBuffer
from sam3d_ros.ros.framing import DepthBundle, Input, Instant, Matched
from sam3d_ros.ros.matching import Matcher, messages_of, ns
from sam3d_ros.ros.placing import poses_of
from sam3d_ros.structures import NS_PER_S

MAX_WAITING = 8  # images; at 30 Hz these are a quarter of a second


@dataclass(slots=True, kw_only=True, eq=False)
class Candidate:
    """An image of which something may still be missing."""

    stamp_ns: int
    received: Instant
    messages: Matched | None = None  # once all of them are there; then only TF is missing


class Candidates:
    """The images since the one that was followed last."""

    def __init__(self, config: NodeConfig, matcher: Matcher, transforms: TransformBuffer) -> None:
        self._matcher = matcher
        self._transforms = transforms
        self.retune(config)
        self._waiting: list[Candidate] = []
        self._taken_ns = 0  # stamp of the last one that was complete
        self.reason = ""  # why the last one that was tried is not complete
        self.begin_counting()

    def retune(self, config: NodeConfig) -> None:
        """Choose by other settings from now on."""
        self._config = replace(config, gravity_frame="")  # only who reconstructs needs that one
        self._pace = Pace(config.tracking.max_rate)

    def begin_counting(self) -> None:
        """Count from zero what is left out."""
        self.num_too_fast = 0  # beyond tracking.max_rate
        self.num_incomplete = 0  # something of theirs came too late, or never

    def add(self, stamp_ns: int, received: Instant) -> None:
        """Take in an image, unless they come faster than they are to be followed."""
        if stamp_ns <= self._taken_ns or not self._matcher.is_in_use(Input.DEPTH):
            return
        if not self._pace.admits(stamp_ns):
            self.num_too_fast += 1
            return
        self._waiting.append(Candidate(stamp_ns=stamp_ns, received=received))
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[0]
            self.num_incomplete += 1

    def take(self, at: Instant) -> DepthBundle | None:
        """Return the newest image that is complete, and forget those before it."""
        if not self._waiting:
            return None
        self._expire(at)
        for place in reversed(range(len(self._waiting))):
            if (bundle := self._completed(self._waiting[place])) is not None:
                del self._waiting[: place + 1]
                self.num_incomplete += place
                self._taken_ns, self.reason = bundle.stamp_ns, ""
                return bundle
        return None

    def start_over(self) -> None:
        """Forget what waits: time went back."""
        self._waiting.clear()
        self._taken_ns = 0
        self._pace.start_over()

    def _completed(self, candidate: Candidate) -> DepthBundle | None:
        """Return the bundle of an image, None while something is missing."""
        if candidate.messages is None:
            candidate.messages = self._matched(candidate)
        if candidate.messages is None:
            return None
        try:
            poses = poses_of(candidate.messages, self._transforms, self._config)
        except Sam3dError as error:
            self.reason = str(error)
            return None
        return DepthBundle(messages=candidate.messages, poses=poses, received=candidate.received)

    def _matched(self, candidate: Candidate) -> Matched | None:
        found = self._matcher.search(candidate.stamp_ns, final=False)
        missing = [each for each, search in found.items() if not search.decided]
        missing += self._matcher.missing(found)
        # The image itself may be gone again: sync.cache_mb was not enough for all that came.
        missing += [each for each in (Input.IMAGE, Input.DEPTH) if found[each].entry is None]
        if not missing:
            return Matched(**messages_of(found))
        self.reason = self._matcher.lag(missing[0], candidate.stamp_ns)
        return None

    def _expire(self, at: Instant) -> None:
        """Drop what has waited for as long as masks wait."""
        patience_ns = ns(max(self._config.sync.timeout, self._config.tf.timeout))
        oldest_ns = at.steady_ns - patience_ns
        fresh = [each for each in self._waiting if each.received.steady_ns >= oldest_ns]
        self.num_incomplete += len(self._waiting) - len(fresh)
        self._waiting = fresh


class Pace:
    """Thins out a stream of stamps to a rate, on average and whatever they jitter by."""

    def __init__(self, max_rate: float) -> None:
        self._period_ns = int(NS_PER_S / max_rate) if max_rate else 0
        self._due_ns = 0

    def admits(self, stamp_ns: int) -> bool:
        """Tell whether the turn of a stamp has come; stamps must rise."""
        if stamp_ns < self._due_ns - self._period_ns // 2:
            return False
        self._due_ns = max(self._due_ns, stamp_ns) + self._period_ns
        return True

    def start_over(self) -> None:
        """Admit whatever comes next."""
        self._due_ns = 0
