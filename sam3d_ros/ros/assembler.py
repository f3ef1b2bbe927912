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


"""Messages in, bundles or refusals out: each mask exactly once.

Knows neither rclpy nor a clock, so a bag gives what the node gives. Feed every message in the
order in which it came, with the time at which it came; each call returns what it decided::

    assembler = Assembler(config)
    assembler.announce(inputs_that_have_a_publisher)
    for topic, message, at in bag:
        outcomes = assembler.add(topic, message, at)      # or add_transforms
    outcomes = assembler.flush(at)                        # the end: nothing more will come

``frame_from_bundle`` turns a ``Bundle`` into a ``Frame``. A live node also calls ``expire`` now and
then, so that a mask whose image never comes is refused in time. Who follows objects from image to
image asks ``to_follow`` after each call.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ReportCode, Sam3dError
from sam3d_ros.ros.candidates import Candidates
from sam3d_ros.ros.compat.tf_buffer import CACHE_S, TransformBuffer, TransformStampedMsg, seconds
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.framing import (
    OWN_TOPICS,
    Bundle,
    DepthBundle,
    Input,
    Instant,
    Matched,
    Topics,
)
from sam3d_ros.ros.matching import Matcher, messages_of, ns
from sam3d_ros.ros.placing import poses_of
from sam3d_ros.ros.sync import StampCache
from sam3d_ros.structures import NS_PER_S

JUMP_NS = NS_PER_S // 2  # no camera reorders its images by as much
SAME_CLOCK_NS = 10 * NS_PER_S  # farther apart, stamps and clock do not tell the same time
IMAGE_GONE = "copy the image's header into the mask, send it sooner, or raise sync.cache_seconds"
IMAGE_LOST = (
    "images before and after came; copy the image's header into the mask, and if that is done, "
    "its image was lost on the way: let the camera load config/fastdds_shm.xml"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why one mask becomes no frame."""

    stamp_ns: int  # of the mask
    frame_id: str
    code: ReportCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeJump:
    """Time went back: what follows has nothing to do with what was before."""

    stamp_ns: int
    back_s: float


Outcome: TypeAlias = Bundle | Refusal | TimeJump


@dataclass(slots=True, kw_only=True, eq=False)
class Pending:
    """A mask whose frame is not complete."""

    masks: Any
    stamp_ns: int
    since: Instant
    is_placed: bool = True  # its stamp is that of its image
    messages: Matched | None = None  # once all of them are there; then only TF is missing


class Assembler:
    """Bounded caches by stamp, and the masks that wait for what belongs to them."""

    def __init__(
        self,
        config: NodeConfig,
        topics: Topics = OWN_TOPICS,
        transforms: TransformBuffer | None = None,
    ) -> None:
        self._config = config
        self._topics = topics
        self._matcher = Matcher(config, topics)
        self._pending: list[Pending] = []
        self.behind_ns = 0  # the clock, when the last image came, less the stamp of that
        # Not tf2's unless asked for: bags are read where there is no ROS.
        self.transforms = transforms or TransformBuffer(CACHE_S + config.masks.max_age)
        self.candidates = Candidates(config, self._matcher, self.transforms)

    @property
    def caches(self) -> Mapping[Input, StampCache]:
        """What came on each topic but the masks, for diagnostics."""
        return self._matcher.caches

    def retune(self, config: NodeConfig) -> None:
        """Take other settings from now on, also for what waits."""
        self._config = config
        self._matcher.retune(config)
        self.candidates.retune(config)

    def announce(self, inputs: Collection[Input]) -> None:
        """Say which topics have a publisher: a mask waits for these though nothing came yet."""
        self._matcher.announce(inputs)

    def add(self, topic: Input, message: Any, at: Instant) -> list[Outcome]:
        """Take in one message and return what it decided."""
        stamp_ns = stamp_ns_from_msg(message.header.stamp)
        outcomes: list[Outcome] = []
        if topic is Input.MASKS:
            is_placed = self._config.sync.mode != "latest"
            pending = Pending(masks=message, stamp_ns=stamp_ns, since=at, is_placed=is_placed)
            self._pending.append(pending)
        else:
            if topic is Input.IMAGE:
                self.behind_ns = at.clock_ns - stamp_ns
                outcomes += self.rewind(stamp_ns)
                self.transforms.forget_vanished(stamp_ns)
            self._matcher.add(topic, stamp_ns, message)
            if topic is Input.IMAGE and self._config.tracking.enabled:
                self.candidates.add(stamp_ns, at)
        return outcomes + self.expire(at)

    def add_transforms(
        self, stamped: Iterable[TransformStampedMsg], at: Instant, *, static: bool
    ) -> list[Outcome]:
        """Take in the transforms of one TFMessage and return what they decided."""
        for each in stamped:
            self.transforms.add(each, static=static)
        return self.expire(at) if any(each.messages for each in self._pending) else []

    def to_follow(self, at: Instant) -> DepthBundle | None:
        """Return the image that known objects can be followed into, if there is a new one."""
        return self.candidates.take(at)

    def expire(self, at: Instant) -> list[Outcome]:
        """Return what is decided by now: complete, or waited for too long."""
        return self._decide_all(at, final=False)

    def flush(self, at: Instant) -> list[Outcome]:
        """Decide every mask with what is there."""
        return self._decide_all(at, final=True)

    def rewind(self, stamp_ns: int) -> list[Outcome]:
        """Forget what is later than ``stamp_ns``, if that means that time went back."""
        last_ns = self.caches[Input.IMAGE].last_ns
        if last_ns is None or stamp_ns >= last_ns - JUMP_NS:
            return []
        self._matcher.forget_after(stamp_ns)
        self.candidates.start_over()
        self.transforms.forget_after(stamp_ns + self._matcher.slop_ns)
        back_s = (last_ns - stamp_ns) / NS_PER_S
        reason = f"time went back by {back_s:.3f} s to {seconds(stamp_ns)} while the mask waited"
        late = [each for each in self._pending if each.stamp_ns > stamp_ns + JUMP_NS]
        self._pending = [each for each in self._pending if each not in late]
        refusals = [_refusal(each, ReportCode.TIME_JUMP, reason) for each in late]
        return [*refusals, TimeJump(stamp_ns=stamp_ns, back_s=back_s)]

    def _decide_all(self, at: Instant, *, final: bool) -> list[Outcome]:
        outcomes: list[Outcome] = []
        waiting = []
        for pending in self._pending:
            outcome = self._decide(pending, at, final=final)
            if outcome is None:
                waiting.append(pending)
            else:
                outcomes.append(outcome)
        self._pending = waiting
        return outcomes

    def _decide(self, pending: Pending, at: Instant, *, final: bool) -> Bundle | Refusal | None:
        """Return what becomes of a mask, None while that is open."""
        if pending.messages is None:
            found = self._match(pending, at, final=final)
            if found is None or isinstance(found, Refusal):
                return found
            pending.messages, pending.since = found, at
        try:
            poses = poses_of(pending.messages, self.transforms, self._config)
        except Sam3dError as error:
            waited_ns = at.steady_ns - pending.since.steady_ns
            if not final and waited_ns < ns(self._config.tf.timeout):
                return None
            return _refusal(pending, error.code, str(error))
        return Bundle(messages=pending.messages, poses=poses, completed=at)

    def _match(self, pending: Pending, at: Instant, *, final: bool) -> Matched | Refusal | None:
        """Find the messages of a mask, None while some may still come."""
        if not pending.is_placed and (span := self.caches[Input.IMAGE].span_ns) is not None:
            pending.stamp_ns, pending.is_placed = span[1], True
        if pending.is_placed and (refusal := self._refuse_old(pending, at)) is not None:
            return refusal
        waited_ns = at.steady_ns - pending.since.steady_ns
        is_last_call = final or waited_ns >= ns(self._config.sync.timeout)
        found = self._matcher.search(pending.stamp_ns, final=is_last_call)
        image = found[Input.IMAGE]
        if image.decided and image.entry is None:
            return self._refuse_without_image(pending, waited_ns)
        found = {**found, **self._matcher.search_names(image, final=is_last_call)}
        if not all(search.decided for search in found.values()):
            return None
        if missing := self._matcher.missing(found):
            # It may still come: as the first of its topic, or out of order.
            return self._refuse_unsynced(pending, missing, waited_ns) if is_last_call else None
        return Matched(masks=pending.masks, **messages_of(found))

    def _refuse_old(self, pending: Pending, at: Instant) -> Refusal | None:
        """Refuse a mask that is older than what it is compared with by ``masks.max_age``.

        That is the clock where it agrees with the stamps; in a replay without its clock it is the
        newest image. Other topics do not tell the time: one wrong stamp on any of them would make
        masks stale, and only images that jump are found out; see ``rewind``.
        """
        newest_ns = self.caches[Input.IMAGE].last_ns
        present_ns = pending.stamp_ns if newest_ns is None else newest_ns
        if abs(at.clock_ns - present_ns) < SAME_CLOCK_NS:
            present_ns = max(present_ns, at.clock_ns)
        age_s = (present_ns - pending.stamp_ns) / NS_PER_S
        if age_s <= self._config.masks.max_age:
            return None
        return _refusal(
            pending,
            ReportCode.MASK_STALE,
            f"the mask on {self._topics[Input.MASKS]} is {age_s:.3f} s old, masks.max_age is "
            f"{self._config.masks.max_age:g} s; {self._matcher.image_span()}; send masks sooner, "
            "with the stamp of their image, or raise masks.max_age and sync.cache_seconds",
        )

    def _refuse_without_image(self, pending: Pending, waited_ns: int) -> Refusal:
        """Say why a mask's image is not there: not any more, not yet, or lost between others."""
        span = self.caches[Input.IMAGE].span_ns
        if span is None or span[1] < pending.stamp_ns:
            return self._refuse_unsynced(pending, [Input.IMAGE], waited_ns)
        age_s = (span[1] - pending.stamp_ns) / NS_PER_S
        hint = IMAGE_GONE if pending.stamp_ns < span[0] else IMAGE_LOST
        return _refusal(
            pending,
            ReportCode.MASK_STALE,
            f"no image within {self._matcher.slop_ns / NS_PER_S:.3f} s of the mask at "
            f"{seconds(pending.stamp_ns)}, {age_s:.3f} s before the newest image; "
            f"{self._matcher.image_span()}; {hint}",
        )

    def _refuse_unsynced(self, pending: Pending, missing: list[Input], waited_ns: int) -> Refusal:
        reasons = "; ".join(self._matcher.lag(topic, pending.stamp_ns) for topic in missing)
        return _refusal(
            pending,
            ReportCode.NOT_SYNCED,
            f"the mask at {seconds(pending.stamp_ns)} waited {waited_ns / NS_PER_S:.3f} s: "
            f"{reasons}; check that each is published with the stamp of the image, raise sync.slop "
            f"({self._config.sync.slop:g} s) or sync.timeout, or let publishers of images load "
            "config/fastdds_shm.xml, without which DDS loses large ones",
        )


def _refusal(pending: Pending, code: ReportCode, message: str) -> Refusal:
    header = pending.masks.header
    return Refusal(
        stamp_ns=pending.stamp_ns, frame_id=str(header.frame_id), code=code, message=message
    )
