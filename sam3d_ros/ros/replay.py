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

"""Publishing what was recorded.

Everything is sent serialised: rclpy publishes CDR bytes without looking inside, so a 640x480
RGB-D stream at 30 Hz costs next to nothing. Only header stamps are rewritten where asked for.
"""

import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from sam3d_ros.apps.bags import RawMessage
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.encode import time_from_ns
from sam3d_ros.ros.recording import TF_TYPE, Recording, message_type, type_name
from sam3d_ros.structures import NS_PER_S

CLOCK_PERIOD_S = 0.02
LINGER_S = 0.5
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How messages are published."""

    rate: float = 1.0  # times as fast as recorded
    loop: bool = False
    clock: bool = False  # publish /clock
    stamps_now: bool = False  # header stamps tell when messages are replayed
    best_effort: bool = False
    wait_s: float = 5.0  # for a first subscriber
    log: Path | None = None  # where to note when each message was published


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How recorded time becomes time of the present, once through a recording."""

    begin_ns: int  # recorded time of the first message
    steady_ns: int  # monotonic clock at its replay
    rate: float = 1.0  # times as fast as recorded
    clock_ns: int | None = None  # what its stamp becomes; None: stamps stay as recorded

    def due_ns(self, recorded_ns: int) -> int:
        """Return when something is replayed, by the monotonic clock."""
        return self.steady_ns + self._since_begin_ns(recorded_ns)

    def stamp_ns(self, recorded_ns: int) -> int:
        """Return what a recorded stamp becomes; 0, which is no stamp, stays."""
        if self.clock_ns is None or recorded_ns == 0:
            return recorded_ns
        return max(0, self.clock_ns + self._since_begin_ns(recorded_ns))

    def told_ns(self, steady_ns: int) -> int:
        """Return what /clock says at a moment of the monotonic clock."""
        passed_ns = steady_ns - self.steady_ns
        if self.clock_ns is not None:
            return self.clock_ns + passed_ns
        return self.begin_ns + round(passed_ns * self.rate)

    def _since_begin_ns(self, recorded_ns: int) -> int:
        return round((recorded_ns - self.begin_ns) / self.rate)


def play(recording: Recording, options: ReplayOptions, stopped: Event) -> int:
    """Publish a recording until its end, or until ``stopped``; return how many messages."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("sam3d_replay", enable_rosout=False, start_parameter_services=False)
    player = Player(node, recording, options, stopped)
    try:
        player.play()
    finally:
        player.write_log()
        node.destroy_node()
        rclpy.shutdown()
    return player.num_published


class Player:
    """Publishes recorded messages at the pace of their recording."""

    def __init__(
        self, node: Node, recording: Recording, options: ReplayOptions, stopped: Event
    ) -> None:
        self.num_published = 0
        self._node = node
        self._stopped = stopped
        self._recording = recording
        self._options = options
        self._types = _known_types(recording.types)
        tf_type = self._types.get("/tf")
        self._publishers: dict[str, Publisher[Any]] = {
            topic: node.create_publisher(
                kind,
                topic,
                _qos(topic in recording.latched, options.best_effort and kind is not tf_type),
            )
            for topic, kind in self._types.items()
        }
        self._clock = node.create_publisher(Clock, "/clock", 10) if options.clock else None
        self._log: list[tuple[str, int, int]] = []
        # Taken once, so that stamps never go back when the system's clock is set.
        self._epoch_ns = time.time_ns() - time.monotonic_ns()

    def play(self) -> None:
        """Publish once, or for ever; end when all subscribers have everything."""
        self._wait_for_subscriber()
        self._play_once()
        while self._options.loop and not self._stopped.is_set():
            self._play_once()
        if not self._stopped.is_set():
            for publisher in self._publishers.values():
                publisher.wait_for_all_acked(Duration(seconds=1.0))
        time.sleep(LINGER_S)  # nobody acknowledges best effort; its end would take the last along

    def write_log(self) -> None:
        """Write one line per message: topic, replayed time in ns, monotonic clock in ns."""
        if self._options.log is not None:
            lines = [f"{topic},{stamp_ns},{sent_ns}\n" for topic, stamp_ns, sent_ns in self._log]
            self._options.log.write_text("".join(lines), encoding="utf-8")

    def _play_once(self) -> None:
        played: Round | None = None
        for message in self._recording.messages():
            if played is None:
                played = self._begin(message.stamp_ns)
            self._sleep_until(played.due_ns(message.stamp_ns), played)
            if self._stopped.is_set():
                return
            self._publish(message, played)
        if played is not None:
            end_ns = played.begin_ns + self._recording.duration_ns
            self._sleep_until(played.due_ns(end_ns), played)

    def _begin(self, recorded_ns: int) -> Round:
        """Begin a round with its first message, now."""
        steady_ns = time.monotonic_ns()
        return Round(
            begin_ns=recorded_ns,
            steady_ns=steady_ns,
            rate=self._options.rate,
            clock_ns=self._epoch_ns + steady_ns if self._options.stamps_now else None,
        )

    def _publish(self, message: RawMessage, played: Round) -> None:
        if message.topic not in self._publishers:
            return
        data = message.data
        if self._options.stamps_now:
            data = restamped(data, self._types[message.topic], played.stamp_ns)
        if self._options.log is not None:
            stamp_ns = played.stamp_ns(message.stamp_ns)
            self._log.append((message.topic, stamp_ns, time.monotonic_ns()))
        self._publishers[message.topic].publish(bytes(data))
        self.num_published += 1

    def _sleep_until(self, due_ns: int, played: Round) -> None:
        """Sleep until a moment of the monotonic clock, telling the time."""
        while True:
            now_ns = time.monotonic_ns()
            if self._clock is not None:
                told_ns = played.told_ns(min(now_ns, due_ns))
                self._clock.publish(Clock(clock=time_from_ns(told_ns)))
            left_s = (due_ns - now_ns) / NS_PER_S
            if left_s <= 0 or self._stopped.wait(min(left_s, CLOCK_PERIOD_S)):
                return

    def _wait_for_subscriber(self) -> None:
        """Give nodes that start at the same time a chance to hear the beginning, on all topics."""
        images = [p for p in self._publishers.values() if p.msg_type is Image]
        deadline_s = time.monotonic() + self._options.wait_s
        heard_since_s = float("inf")
        while (now_s := time.monotonic()) < deadline_s:
            if not any(map(_is_heard, images)) or any(map(self._is_awaited, self._publishers)):
                heard_since_s = float("inf")
            else:
                heard_since_s = min(heard_since_s, now_s)
            # The subscribers' side of a match comes a little later.
            if now_s - heard_since_s > SETTLE_S or self._stopped.wait(CLOCK_PERIOD_S):
                return

    def _is_awaited(self, topic: str) -> bool:
        """Tell whether somebody waits for a topic who does not hear its publisher yet."""
        return self._node.count_subscribers(topic) > 0 and not _is_heard(self._publishers[topic])


def restamped(data: bytes, kind: type, restamp: Callable[[int], int]) -> bytes:
    """Replace the header stamps of a serialised message by ``restamp`` of them, in ns.

    A leading ``std_msgs/Header`` puts the stamp (int32 s, uint32 ns) right behind the four bytes
    of the CDR encapsulation, whose second byte tells the byte order. Other messages than TF and
    those with a header have no stamp and stay as they are.
    """
    if type_name(kind) == TF_TYPE:
        message: Any = deserialize_message(data, kind)
        for transform in message.transforms:
            stamp_ns = stamp_ns_from_msg(transform.header.stamp)
            transform.header.stamp = time_from_ns(restamp(stamp_ns))
        return bytes(serialize_message(message))
    first_type = next(iter(kind.get_fields_and_field_types().values()), "")  # type: ignore[attr-defined]  # rosidl
    if first_type != "std_msgs/Header":
        return data
    layout = "<iI" if data[1] & 1 else ">iI"
    seconds, nanoseconds = struct.unpack_from(layout, data, 4)
    stamp = divmod(restamp(seconds * NS_PER_S + nanoseconds), NS_PER_S)
    return data[:4] + struct.pack(layout, *stamp) + data[12:]


def _known_types(types: Mapping[str, str]) -> dict[str, type]:
    """Load the message types that are installed; say which topics have others."""
    known: dict[str, type] = {}
    for topic, name in types.items():
        try:
            known[topic] = message_type(name)
        except (ModuleNotFoundError, AttributeError):
            print(f"not published: {topic}, because {name} is not installed", file=sys.stderr)
    return known


def _qos(latched: bool, best_effort: bool) -> QoSProfile:
    """Offer reliable, which every subscriber accepts, unless asked for a sensor's best effort.

    TF stays reliable: its subscribers ask for that.
    """
    profile = QoSProfile(depth=10)
    if latched:
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    elif best_effort:
        profile.reliability = ReliabilityPolicy.BEST_EFFORT
    return profile


def _is_heard(publisher: "Publisher[Any]") -> bool:
    return bool(publisher.get_subscription_count())
