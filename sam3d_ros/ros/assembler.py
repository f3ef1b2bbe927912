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
then, so that a mask whose image never comes is refused in time.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ReportCode, Sam3dError
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.framing import OWN_TOPICS, Bundle, Input, Instant, Matched, Topics, poses_of
from sam3d_ros.ros.sync import NOTHING, Search, StampCache
from sam3d_ros.ros.tf_buffer import CACHE_S, TransformBuffer, TransformStampedMsg, seconds
from sam3d_ros.structures import NS_PER_S

JUMP_NS = NS_PER_S // 2  # no camera reorders its images by as much
SAME_CLOCK_NS = 10 * NS_PER_S  # farther apart, stamps and clock do not tell the same time
CACHED = (Input.IMAGE, Input.CAMERA_INFO, Input.DEPTH, Input.DEPTH_INFO, Input.POINTS)


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
    messages: Matched | None = None  # once all of them are there; then only TF is missing


class Assembler:
    """Bounded caches by stamp, and the masks that wait for what belongs to them."""

    def __init__(self, config: NodeConfig, topics: Topics = OWN_TOPICS) -> None:
        self._config = config
        self._topics = topics
        self._slop_ns = _ns(config.sync.slop) if config.sync.mode != "exact" else 0
        self._caches = {each: StampCache(config.sync.cache_seconds) for each in CACHED}
        self._pending: list[Pending] = []
        self._announced: frozenset[Input] = frozenset()
        self.transforms = TransformBuffer(CACHE_S + config.masks.max_age)

    @property
    def caches(self) -> Mapping[Input, StampCache]:
        """What came on each topic but the masks, for diagnostics."""
        return self._caches

    def announce(self, inputs: Collection[Input]) -> None:
        """Say which topics have a publisher: a mask waits for these though nothing came yet."""
        self._announced = frozenset(inputs)

    def add(self, topic: Input, message: Any, at: Instant) -> list[Outcome]:
        """Take in one message and return what it decided."""
        stamp_ns = stamp_ns_from_msg(message.header.stamp)
        outcomes: list[Outcome] = []
        if topic is Input.MASKS:
            self._pending.append(Pending(masks=message, stamp_ns=stamp_ns, since=at))
        else:
            if topic is Input.IMAGE:
                outcomes += self.rewind(stamp_ns)
                self.transforms.forget_vanished(stamp_ns)
            self._caches[topic].add(stamp_ns, message)
            self._bound_memory()
        return outcomes + self.expire(at)

    def add_transforms(
        self, stamped: Iterable[TransformStampedMsg], at: Instant, *, static: bool
    ) -> list[Outcome]:
        """Take in the transforms of one TFMessage and return what they decided."""
        for each in stamped:
            self.transforms.add(each, static=static)
        return self.expire(at) if any(each.messages for each in self._pending) else []

    def expire(self, at: Instant) -> list[Outcome]:
        """Return what is decided by now: complete, or waited for too long."""
        return self._decide_all(at, final=False)

    def flush(self, at: Instant) -> list[Outcome]:
        """Decide every mask with what is there."""
        return self._decide_all(at, final=True)

    def rewind(self, stamp_ns: int) -> list[Outcome]:
        """Forget what is later than ``stamp_ns``, if that means that time went back."""
        last_ns = self._caches[Input.IMAGE].last_ns
        if last_ns is None or stamp_ns >= last_ns - JUMP_NS:
            return []
        for cache in self._caches.values():
            cache.forget_after(stamp_ns + self._slop_ns)
        self.transforms.forget_after(stamp_ns + self._slop_ns)
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
            if not final and waited_ns < _ns(self._config.tf.timeout):
                return None
            return _refusal(pending, error.code, str(error))
        return Bundle(messages=pending.messages, poses=poses, completed=at)

    def _match(self, pending: Pending, at: Instant, *, final: bool) -> Matched | Refusal | None:
        """Find the messages of a mask, None while some may still come."""
        if (refusal := self._refuse_old(pending, at)) is not None:
            return refusal
        waited_ns = at.steady_ns - pending.since.steady_ns
        is_last_call = final or waited_ns >= _ns(self._config.sync.timeout)
        found = self._search_all(pending.stamp_ns, final=is_last_call)
        image = found[Input.IMAGE]
        if image.decided and image.entry is None:
            return self._refuse_without_image(pending, waited_ns)
        if not all(search.decided for search in found.values()):
            return None
        if missing := self._missing(found):
            # It may still come: as the first of its topic, or out of order.
            return self._refuse_unsynced(pending, missing, waited_ns) if is_last_call else None
        return Matched(masks=pending.masks, **_messages(found))

    def _search_all(self, stamp_ns: int, *, final: bool) -> dict[Input, Search]:
        """Search every topic in use: camera_info by the image's stamp, depth's by depth's.

        Points only stand in for depth: beside it they are neither used nor waited for.
        """
        points_ns = _ns(self._config.lidar.max_time_offset)
        image = self._caches[Input.IMAGE].search(stamp_ns, self._slop_ns, final=final)
        image_ns = image.entry.stamp_ns if image.entry else stamp_ns
        depth = self._search(Input.DEPTH, image_ns, self._slop_ns, final=final)
        depth_ns = depth.entry.stamp_ns if depth.entry else image_ns
        points = NOTHING
        if depth.decided and depth.entry is None:
            points = self._search(Input.POINTS, image_ns, points_ns, final=final)
        return {
            Input.IMAGE: image,
            Input.CAMERA_INFO: self._search(
                Input.CAMERA_INFO, image_ns, self._slop_ns, final=final
            ),
            Input.DEPTH: depth,
            Input.DEPTH_INFO: self._search(Input.DEPTH_INFO, depth_ns, self._slop_ns, final=final),
            Input.POINTS: points,
        }

    def _search(self, topic: Input, stamp_ns: int, slop_ns: int, *, final: bool) -> Search:
        if not self._is_in_use(topic):
            return NOTHING
        return self._caches[topic].search(stamp_ns, slop_ns, final=final)

    def _is_in_use(self, topic: Input) -> bool:
        """Tell whether a mask needs a message of this topic, or may need one."""
        if topic is Input.CAMERA_INFO and not self._config.camera.fov_fallback_deg:
            return True
        return topic in self._announced or self._caches[topic].num_received > 0

    def _missing(self, found: Mapping[Input, Search]) -> list[Input]:
        """Return the topics without which there is no frame, though they are in use or needed."""
        missing = [
            topic
            for topic in (Input.CAMERA_INFO,)
            if self._is_in_use(topic) and found[topic].entry is None
        ]
        depth, points = found[Input.DEPTH].entry, found[Input.POINTS].entry
        if depth is None and points is None:
            used = [each for each in (Input.DEPTH, Input.POINTS) if self._is_in_use(each)]
            missing += used or [Input.DEPTH, Input.POINTS]
        if depth is not None and self._is_in_use(Input.DEPTH_INFO):
            missing += [Input.DEPTH_INFO] if found[Input.DEPTH_INFO].entry is None else []
        return missing

    def _refuse_old(self, pending: Pending, at: Instant) -> Refusal | None:
        """Refuse a mask that is older than what it is compared with by ``masks.max_age``.

        That is the clock where it agrees with the stamps; in a replay without its clock it is the
        newest message.
        """
        newest = [cache.last_ns for cache in self._caches.values() if cache.last_ns is not None]
        present_ns = max(newest, default=pending.stamp_ns)
        if abs(at.clock_ns - present_ns) < SAME_CLOCK_NS:
            present_ns = max(present_ns, at.clock_ns)
        age_s = (present_ns - pending.stamp_ns) / NS_PER_S
        if age_s <= self._config.masks.max_age:
            return None
        return _refusal(
            pending,
            ReportCode.MASK_STALE,
            f"the mask on {self._topics[Input.MASKS]} is {age_s:.3f} s old, masks.max_age is "
            f"{self._config.masks.max_age:g} s; {self._image_span()}; send masks sooner, with the "
            "stamp of their image, or raise masks.max_age and sync.cache_seconds",
        )

    def _refuse_without_image(self, pending: Pending, waited_ns: int) -> Refusal:
        """Say why a mask's image is not there: not any more, or not yet."""
        span = self._caches[Input.IMAGE].span_ns
        if span is None or span[1] < pending.stamp_ns:
            return self._refuse_unsynced(pending, [Input.IMAGE], waited_ns)
        age_s = (span[1] - pending.stamp_ns) / NS_PER_S
        return _refusal(
            pending,
            ReportCode.MASK_STALE,
            f"no image within {self._slop_ns / NS_PER_S:.3f} s of the mask at "
            f"{seconds(pending.stamp_ns)}, {age_s:.3f} s before the newest image; "
            f"{self._image_span()}; copy the image's header into the mask, send it sooner, or "
            "raise sync.cache_seconds",
        )

    def _image_span(self) -> str:
        name, span = self._topics[Input.IMAGE], self._caches[Input.IMAGE].span_ns
        if span is None:
            return f"there are no images of {name}"
        return f"the images of {name} span {seconds(span[0])} to {seconds(span[1])}"

    def _refuse_unsynced(self, pending: Pending, missing: list[Input], waited_ns: int) -> Refusal:
        reasons = "; ".join(self._lag(topic, pending.stamp_ns) for topic in missing)
        return _refusal(
            pending,
            ReportCode.NOT_SYNCED,
            f"the mask at {seconds(pending.stamp_ns)} waited {waited_ns / NS_PER_S:.3f} s: "
            f"{reasons}; check that each is published with the stamp of the image and that its "
            "publisher loads config/fastdds_shm.xml, without which large images are lost, or raise "
            f"sync.slop ({self._config.sync.slop:g} s) or sync.timeout",
        )

    def _lag(self, topic: Input, stamp_ns: int) -> str:
        """Say how far a topic is from a stamp."""
        name, last_ns = self._topics[topic], self._caches[topic].last_ns
        if last_ns is None:
            return f"nothing came on {name}"
        offset_s = (last_ns - stamp_ns) / NS_PER_S
        if offset_s < 0:
            return f"{name} lags, its newest message is {-offset_s:.3f} s older"
        return f"{name} has no message near, its newest is {offset_s:.3f} s younger"

    def _bound_memory(self) -> None:
        """Drop the oldest message of the largest topics until ``sync.cache_mb`` holds all."""
        limit = self._config.sync.cache_mb * 1e6
        while sum(cache.num_bytes for cache in self._caches.values()) > limit:
            max(self._caches.values(), key=lambda cache: cache.num_bytes).drop_oldest()


def _messages(found: Mapping[Input, Search]) -> dict[str, Any]:
    """Return the messages by their name in ``Matched``."""
    names = {
        Input.IMAGE: "image",
        Input.CAMERA_INFO: "info",
        Input.DEPTH: "depth",
        Input.DEPTH_INFO: "depth_info",
        Input.POINTS: "points",
    }
    return {names[key]: each.entry.message for key, each in found.items() if each.entry}


def _refusal(pending: Pending, code: ReportCode, message: str) -> Refusal:
    header = pending.masks.header
    return Refusal(
        stamp_ns=pending.stamp_ns, frame_id=str(header.frame_id), code=code, message=message
    )


def _ns(duration_s: float) -> int:
    return int(duration_s * NS_PER_S)
