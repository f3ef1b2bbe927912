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


"""The subscriptions and what they hear; stores references and decides, never decodes."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, JumpThreshold
from rclpy.clock import TimeJump as ClockJump
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from sam3d_ros.config import NodeConfig
from sam3d_ros.ros.assembler import JUMP_NS, Assembler, Outcome
from sam3d_ros.ros.compat import tf_message_type
from sam3d_ros.ros.compat.inputs import Hearing, hear
from sam3d_ros.ros.compat.tf_buffer import CACHE_S
from sam3d_ros.ros.compat.transforms import make_transforms
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.framing import Bundle, DepthBundle, Input, Instant
from sam3d_ros.ros.input_topics import message_types, names_to_hear
from sam3d_ros.ros.qos import (
    conflicts,
    of_another_type,
    of_input,
    of_transforms,
    overridable,
)
from sam3d_ros.ros.realtime import Urgency

EXPIRE_PERIOD_S = 0.05  # so much longer than its limit may a mask wait
ANNOUNCE_PERIOD_S = 0.5


class Receiver:
    """Everything that exists while the node listens; ``destroy`` ends it.

    Args:
        node: Makes the subscriptions.
        config: The settings in force.
        handle: Gets every outcome, in the executor's thread.
        follow: Gets the newest image that objects can be followed into, in the same thread.
        urgency: Of that thread.
    """

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        handle: Callable[[Outcome], None],
        follow: Callable[[DepthBundle], None],
        urgency: Urgency,
    ) -> None:
        self._node = node
        self._handle = handle
        self._follow = follow
        self.urgency = urgency
        self._group = MutuallyExclusiveCallbackGroup()
        self._subscriptions: dict[str, Any] = {}
        self._types: dict[str, str] = {}  # of the messages, by topic
        self._suspects: set[str] = set()  # topics of which an incompatible publisher was seen
        self._matched_s = time.monotonic()
        self.longest_callback_s = 0.0
        self.num_masks = 0
        self.masks_ns: int | None = None  # stamp of the mask that came last
        names = names_to_hear(node, config)
        self.topics = {each: node.resolve_topic_name(name) for each, name in names.items()}
        transforms = make_transforms(CACHE_S + config.masks.max_age)
        self.assembler = Assembler(config, self.topics, transforms)
        self._subscribe_all(names, message_types(config))
        # Timers of the node's clock would stand still with a paused simulation.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [
            node.create_timer(EXPIRE_PERIOD_S, self._on_expire, self._group, clock=steady),
            node.create_timer(ANNOUNCE_PERIOD_S, self._on_announce, self._group, clock=steady),
        ]
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-JUMP_NS), on_clock_change=False
        )
        self._jumps = node.get_clock().create_jump_callback(threshold, post_callback=self._on_jump)
        self._on_announce()

    @property
    def has_images(self) -> bool:
        """Whether any came."""
        return self.assembler.caches[Input.IMAGE].num_received > 0

    @property
    def unmatched_s(self) -> float:
        """For how long no mask has found its messages."""
        return time.monotonic() - self._matched_s

    def now(self) -> Instant:
        """Return the present moment."""
        return Instant(
            clock_ns=self._node.get_clock().now().nanoseconds, steady_ns=time.monotonic_ns()
        )

    def conflicts(self) -> list[str]:
        """Say which publishers are not heard because of their QoS or their type."""
        caches = self.assembler.caches
        heard = {each for each, cache in caches.items() if cache.num_received}
        heard |= {Input.MASKS} if self.num_masks else set()
        silent = {topic for each, topic in self.topics.items() if each not in heard}
        sentences = self._qos_conflicts()
        for topic in sorted(silent):  # of the others, the type is right
            message_type = self._types[topic]
            for publisher in self._node.get_publishers_info_by_topic(topic):
                sentences += of_another_type(topic, publisher, message_type)
        return sentences

    def _qos_conflicts(self) -> list[str]:
        sentences = []
        for topic in sorted(self._suspects):
            asked = self._subscriptions[topic].qos_profile
            for publisher in self._node.get_publishers_info_by_topic(topic):
                sentences += conflicts(topic, publisher, asked)
        return sentences

    def destroy(self) -> None:
        """Stop listening."""
        self._jumps.unregister()
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)

    def _subscribe_all(self, names: dict[Input, str], types: dict[Input, Any]) -> None:
        # The executor calls in this order what came at the same time: transforms first, so that
        # they are there when the mask comes.
        for name, is_static in (("/tf_static", True), ("/tf", False)):
            qos = of_transforms(is_static=is_static)
            look = partial(self._on_transforms, is_static)
            self._subscribe(tf_message_type(), name, look, qos, None)
        for each, name in names.items():
            look = partial(self._on_message, each)
            self._subscribe(types[each], name, look, of_input(each), overridable())

    def _subscribe(
        self,
        message_type: Any,
        name: str,
        look: Callable[[Any, Instant], None],
        qos: QoSProfile,
        overrides: QoSOverridingOptions | None,
    ) -> None:
        topic = self._node.resolve_topic_name(name)
        package, folder = message_type.__module__.split(".")[:2]
        self._types[topic] = f"{package}/{folder}/{message_type.__name__}"
        events = SubscriptionEventCallbacks(
            incompatible_qos=partial(self._on_incompatible, topic),
            use_default_callbacks=False,  # the executor looks at each before every message
        )
        how = Hearing(qos=qos, group=self._group, events=events, overrides=overrides)
        callback = partial(self._on_any, look)
        self._subscriptions[topic] = hear(self._node, message_type, name, callback, how)

    def _on_any(self, look: Callable[[Any, Instant], None], message: Any) -> None:
        """Look at a message before others have the processor again, and note how long it took."""
        self.urgency.begin()
        started_s = time.perf_counter()
        look(message, self.now())
        self.longest_callback_s = max(self.longest_callback_s, time.perf_counter() - started_s)

    def _on_message(self, topic: Input, message: Any, at: Instant) -> None:
        if topic is Input.MASKS:
            self.num_masks += 1
            self.masks_ns = stamp_ns_from_msg(message.header.stamp)
        self._pass_on(self.assembler.add(topic, message, at), at)

    def _on_transforms(self, is_static: bool, message: Any, at: Instant) -> None:
        transforms = message.transforms
        self._pass_on(self.assembler.add_transforms(transforms, at, static=is_static), at)

    def _on_expire(self) -> None:
        at = self.now()
        self._pass_on(self.assembler.expire(at), at)

    def _on_announce(self) -> None:
        self.assembler.announce(
            {each for each, topic in self.topics.items() if self._node.count_publishers(topic)}
        )

    def _on_jump(self, _: ClockJump) -> None:
        at = self.now()
        self._pass_on(self.assembler.rewind(at.clock_ns), at)

    def _on_incompatible(self, topic: str, _: Any) -> None:
        self._suspects.add(topic)
        for sentence in self._qos_conflicts():
            self._node.get_logger().error(f"QOS: {sentence}", throttle_duration_sec=5.0)

    def _pass_on(self, outcomes: list[Outcome], at: Instant) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Bundle):
                self._matched_s = time.monotonic()
            self._handle(outcome)
        if (bundle := self.assembler.to_follow(at)) is not None:
            self._follow(bundle)
