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


"""Quality of service of every topic, and what to say where two sides do not fit.

Inputs ask for best effort, which fits every publisher; the parameters
``qos_overrides.TOPIC.subscription.{reliability,durability,history,depth}`` ask for something else.
"""

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo

from sam3d_ros.ros.framing import Input

TF_DEPTH = 100


def best_effort(depth: int) -> QoSProfile:
    """Return what cameras offer: the newest messages, as far as they arrive."""
    return _newest(depth, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)


def reliable(depth: int) -> QoSProfile:
    """Return what is sent once and must arrive."""
    return _newest(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)


def latched(depth: int) -> QoSProfile:
    """Return what also those get who come later."""
    return _newest(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def of_input(topic: Input) -> QoSProfile:
    """Return what the node asks for on an input."""
    if topic is Input.LABEL_INFO:  # names are told once
        return latched(1)
    return best_effort(10 if topic in (Input.MASKS, Input.DETECTIONS) else 5)


def of_transforms(*, is_static: bool) -> QoSProfile:
    """Return what everybody asks for on ``/tf_static`` or ``/tf``."""
    return latched(TF_DEPTH) if is_static else reliable(TF_DEPTH)


def overridable() -> QoSOverridingOptions:
    """Return the policies that parameters can change."""
    kinds = QoSPolicyKind
    return QoSOverridingOptions(
        policy_kinds=(kinds.HISTORY, kinds.DEPTH, kinds.RELIABILITY, kinds.DURABILITY)
    )


def conflicts(topic: str, publisher: TopicEndpointInfo, asked: QoSProfile) -> list[str]:
    """Say which policies keep a publisher and our subscriber apart; empty where none does."""
    offered, sentences = publisher.qos_profile, []
    if (
        offered.reliability == ReliabilityPolicy.BEST_EFFORT
        and asked.reliability == ReliabilityPolicy.RELIABLE
    ):
        sentences.append(_conflict(topic, publisher, "reliability BEST_EFFORT", "RELIABLE"))
    if (
        offered.durability == DurabilityPolicy.VOLATILE
        and asked.durability == DurabilityPolicy.TRANSIENT_LOCAL
    ):
        sentences.append(_conflict(topic, publisher, "durability VOLATILE", "TRANSIENT_LOCAL"))
    return sentences


def of_another_type(topic: str, publisher: TopicEndpointInfo, asked_type: str) -> list[str]:
    """Say that a publisher sends other messages than our subscriber takes; empty if it does not."""
    if publisher.topic_type == asked_type:
        return []
    return [
        f"{topic}: {_name(publisher)} publishes {publisher.topic_type}, this node takes "
        f"{asked_type}, so nothing arrives; see the remappings and image_transport, depth_transport"
    ]


def _newest(depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(
        depth=depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=reliability,
        durability=durability,
    )


def _conflict(topic: str, publisher: TopicEndpointInfo, offered: str, asked: str) -> str:
    return (
        f"{topic}: the publisher {_name(publisher)} offers {offered}, this node asks for {asked}, "
        "so nothing arrives; change one of them"
    )


def _name(publisher: TopicEndpointInfo) -> str:
    return f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
