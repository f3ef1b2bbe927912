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

"""Whether planners are told anything, and why not."""

from collections.abc import Callable

from rclpy.node import Node

from sam3d_ros.config import NodeConfig
from sam3d_ros.ros.planning.messages import WHAT_IS_MISSING, planning_messages
from sam3d_ros.ros.planning.planner import Planner
from sam3d_ros.scene.collision_process import CollisionProcess


def why_no_planner(config: NodeConfig) -> str:
    """Say why planners are told nothing; empty where they are."""
    if not config.planning.enabled:
        return "planning.enabled is false"
    return "" if planning_messages() is not None else WHAT_IS_MISSING


def make_planner(node: Node, config: NodeConfig, crashed: Callable[[], None]) -> Planner | None:
    """Return what tells planners of the scene, None where that is off.

    Raises:
        ConfigError: The settings contradict each other.
    """
    messages = planning_messages() if config.planning.enabled else None
    if messages is None:
        return None
    return Planner(node, config, messages, CollisionProcess(config), crashed)
