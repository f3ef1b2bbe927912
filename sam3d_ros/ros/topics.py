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

"""The topics of the node and their QoS, without a node: asked of the code that makes them."""

from dataclasses import dataclass, replace
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from sam3d_ros.config import BodyConfig, DebugConfig, GaussiansConfig, NodeConfig
from sam3d_ros.ros.input_topics import topic_names
from sam3d_ros.ros.planning.planner import OBJECTS_TOPIC, PLANNER_DEPTH, SCENE_TOPIC
from sam3d_ros.ros.publishers import Outputs
from sam3d_ros.ros.qos import of_input, of_transforms, reliable


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic before remapping."""

    name: str
    qos: QoSProfile

    @property
    def how(self) -> str:
        """Say what is offered or asked for, as the README does."""
        is_reliable = self.qos.reliability == ReliabilityPolicy.RELIABLE
        is_latched = self.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        kind = "reliable" if is_reliable else "best effort"
        return f"{kind}, {'transient local, ' if is_latched else ''}{self.qos.depth}"


def inputs() -> list[Topic]:
    """Return what the node listens to with default settings, and planners' scenes."""
    own = [Topic(name=name, qos=of_input(each)) for each, name in topic_names(NodeConfig()).items()]
    transforms = [
        Topic(name="/tf", qos=of_transforms(is_static=False)),
        Topic(name="/tf_static", qos=of_transforms(is_static=True)),
    ]
    return [*own, *transforms, Topic(name=SCENE_TOPIC, qos=reliable(PLANNER_DEPTH))]


def outputs() -> list[Topic]:
    """Return what the node publishes where all is switched on; by name, each once."""
    config = replace(
        NodeConfig(),
        body=BodyConfig(enabled=True, mesh=True),
        debug=DebugConfig(overlay=True),
        gaussians=GaussiansConfig(publish=True),
    )
    recorder: Any = _Recorder()
    Outputs(recorder, config)
    named = {OBJECTS_TOPIC: reliable(PLANNER_DEPTH), **recorder.qos}
    return [Topic(name=name, qos=named[name]) for name in sorted(named)]


class _Recorder:
    """Stands in for the node, and notes which publishers it is to make."""

    def __init__(self) -> None:
        self.qos: dict[str, QoSProfile] = {}

    def create_lifecycle_publisher(
        self, message_type: Any, topic: str, qos: QoSProfile, event_callbacks: Any = None
    ) -> None:
        self.qos[topic] = qos

    create_publisher = create_lifecycle_publisher

    def destroy_publisher(self, publisher: None) -> None:
        pass
