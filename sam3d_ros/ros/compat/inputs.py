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

"""How the node hears an input: through ``message_filters`` where that is installed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from sam3d_ros.ros.compat.packages import optional_module


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """How a topic is subscribed."""

    qos: QoSProfile
    group: CallbackGroup
    events: SubscriptionEventCallbacks
    overrides: QoSOverridingOptions | None = None


def hear(
    node: Node, message_type: Any, name: str, callback: Callable[[Any], None], how: Hearing
) -> Any:
    """Subscribe, and return the subscription; ``callback`` gets every message.

    A ``message_filters.Subscriber`` hands on what its subscription hears, so that other filters of
    the same process can be connected to it.
    """
    options: dict[str, Any] = {
        "callback_group": how.group,
        "event_callbacks": how.events,
        "qos_overriding_options": how.overrides,
    }
    package = optional_module("message_filters")
    if package is None:
        return node.create_subscription(message_type, name, callback, how.qos, **options)
    subscriber = package.Subscriber(node, message_type, name, qos_profile=how.qos, **options)
    subscriber.registerCallback(callback)
    return subscriber.sub
