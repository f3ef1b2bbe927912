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

"""Caches by stamp of every topic, and which of their messages belong together."""

from collections.abc import Collection, Mapping
from typing import Any

from sam3d_ros.config import NodeConfig
from sam3d_ros.ros.compat.tf_buffer import frame_name, seconds
from sam3d_ros.ros.framing import Input, Topics
from sam3d_ros.ros.sync import NOTHING, Entry, Search, StampCache
from sam3d_ros.structures import NS_PER_S

CACHED = (
    Input.IMAGE,
    Input.CAMERA_INFO,
    Input.DEPTH,
    Input.DEPTH_INFO,
    Input.POINTS,
    Input.DETECTIONS,
    Input.LABEL_INFO,
)
NAMES = {  # in ``Matched``
    Input.IMAGE: "image",
    Input.CAMERA_INFO: "info",
    Input.DEPTH: "depth",
    Input.DEPTH_INFO: "depth_info",
    Input.POINTS: "points",
    Input.DETECTIONS: "detections",
    Input.LABEL_INFO: "label_info",
}
Found = Mapping[Input, Search]
# Older than that before an image, or alone before so many of them though that was waited for,
# camera_info is not sent with every image. Nearer, it lags and may still come.
RARE_NS, ONCE_IMAGES = NS_PER_S, 3


class Matcher:
    """Remembers the messages of the last seconds; finds those of one exposure."""

    def __init__(self, config: NodeConfig, topics: Topics) -> None:
        self._config = config
        self._topics = topics
        self.caches = {each: StampCache(config.sync.cache_seconds) for each in CACHED}
        self._announced: frozenset[Input] = frozenset()

    @property
    def slop_ns(self) -> int:
        """How far from an image's stamp what belongs to it may be."""
        sync = self._config.sync
        return ns(sync.slop) if sync.mode != "exact" else 0

    def retune(self, config: NodeConfig) -> None:
        """Match by other settings from now on; what is remembered stays."""
        self._config = config

    def announce(self, inputs: Collection[Input]) -> None:
        """Say which topics have a publisher: they are waited for though nothing came yet."""
        self._announced = frozenset(inputs)

    def add(self, topic: Input, stamp_ns: int, message: Any) -> None:
        """Remember a message; the oldest go where ``sync.cache_mb`` is not enough for all."""
        self.caches[topic].add(stamp_ns, message)
        limit = self._config.sync.cache_mb * 1e6
        while sum(cache.num_bytes for cache in self.caches.values()) > limit:
            max(self.caches.values(), key=lambda cache: cache.num_bytes).drop_oldest()

    def forget_after(self, stamp_ns: int) -> None:
        """Drop what is younger than a time."""
        for cache in self.caches.values():
            cache.forget_after(stamp_ns + self.slop_ns)

    def search(self, stamp_ns: int, *, final: bool) -> Found:
        """Search every topic in use: camera_info by the image's stamp, depth's by depth's.

        Of camera_info that is sent seldom, or once, the last holds, as a camera's does not change.
        Points only stand in for depth: beside it they are neither used nor waited for.
        """
        points_ns = ns(self._config.lidar.max_time_offset)
        image = self.caches[Input.IMAGE].search(stamp_ns, self.slop_ns, final=final)
        image_ns = image.entry.stamp_ns if image.entry else stamp_ns
        depth = self._search(Input.DEPTH, image_ns, self.slop_ns, final=final)
        depth_ns = depth.entry.stamp_ns if depth.entry else image_ns
        points = NOTHING
        if depth.decided and depth.entry is None:
            points = self._search(Input.POINTS, image_ns, points_ns, final=final)
        info = self._search(Input.CAMERA_INFO, image_ns, self.slop_ns, final=final)
        depth_info = self._search(Input.DEPTH_INFO, depth_ns, self.slop_ns, final=final)
        return {
            Input.IMAGE: image,
            Input.CAMERA_INFO: self._or_last(Input.CAMERA_INFO, info, image.entry),
            Input.DEPTH: depth,
            Input.DEPTH_INFO: self._or_last(Input.DEPTH_INFO, depth_info, depth.entry),
            Input.POINTS: points,
        }

    def search_names(self, image: Search, *, final: bool) -> Found:
        """Search what says what the masks of an image show; of names, the last ones hold."""
        stamp_ns = image.entry.stamp_ns if image.entry else 0
        detections = self._search(Input.DETECTIONS, stamp_ns, self.slop_ns, final=final)
        names = self.caches[Input.LABEL_INFO].latest
        return {Input.DETECTIONS: detections, Input.LABEL_INFO: Search(names, decided=True)}

    def missing(self, found: Found) -> list[Input]:
        """Return the topics without which there is no frame, though they are in use or needed."""
        missing = [
            topic
            for topic in (Input.CAMERA_INFO, Input.DETECTIONS, Input.LABEL_INFO)
            if topic in found and self.is_in_use(topic) and found[topic].entry is None
        ]
        depth, points = found[Input.DEPTH].entry, found[Input.POINTS].entry
        if depth is None and points is None:
            used = [each for each in (Input.DEPTH, Input.POINTS) if self.is_in_use(each)]
            missing += used or [Input.DEPTH, Input.POINTS]
        if depth is not None and self.is_in_use(Input.DEPTH_INFO):
            missing += [Input.DEPTH_INFO] if found[Input.DEPTH_INFO].entry is None else []
        return missing

    def is_in_use(self, topic: Input) -> bool:
        """Tell whether a frame needs a message of this topic, or may need one."""
        if topic is Input.CAMERA_INFO and not self._config.camera.fov_fallback_deg:
            return True
        return topic in self._announced or self.caches[topic].num_received > 0

    def image_span(self) -> str:
        """Say which time the images span that are there."""
        name, span = self._topics[Input.IMAGE], self.caches[Input.IMAGE].span_ns
        if span is None:
            return f"there are no images of {name}"
        return f"the images of {name} span {seconds(span[0])} to {seconds(span[1])}"

    def lag(self, topic: Input, stamp_ns: int) -> str:
        """Say how far a topic is from a stamp."""
        name, last_ns = self._topics[topic], self.caches[topic].last_ns
        if last_ns is None:
            return f"nothing came on {name}"
        offset_s = (last_ns - stamp_ns) / NS_PER_S
        if offset_s < 0:
            return f"{name} lags, its newest message is {-offset_s:.3f} s older"
        return f"{name} has no message near, its newest is {offset_s:.3f} s younger"

    def _or_last(self, topic: Input, found: Search, image: Entry | None) -> Search:
        """Return the last camera_info of an image's camera where none came with the image."""
        last = self.caches[topic].latest
        if found.entry or image is None or last is None or self._config.sync.mode == "exact":
            return found
        frames = {frame_name(each.message.header.frame_id) for each in (image, last)}
        is_same_camera = len(frames - {""}) <= 1
        is_rare = image.stamp_ns - last.stamp_ns > RARE_NS
        if self.caches[topic].num_received == 1:
            # Its time may be one to which no image has come: time went back, or it has its own.
            newest_ns = self.caches[Input.IMAGE].last_ns or image.stamp_ns
            is_rare |= last.stamp_ns - newest_ns > RARE_NS
            num_since = self.caches[Input.IMAGE].num_after(last.stamp_ns)
            is_rare |= found.decided and num_since >= ONCE_IMAGES
        return Search(last, decided=True) if is_same_camera and is_rare else found

    def _search(self, topic: Input, stamp_ns: int, slop_ns: int, *, final: bool) -> Search:
        if not self.is_in_use(topic):
            return NOTHING
        return self.caches[topic].search(stamp_ns, slop_ns, final=final)


def messages_of(found: Found) -> dict[str, Any]:
    """Return the messages by their name in ``Matched``."""
    return {NAMES[key]: each.entry.message for key, each in found.items() if each.entry}


def ns(duration_s: float) -> int:
    """Return seconds as whole nanoseconds."""
    return int(duration_s * NS_PER_S)
