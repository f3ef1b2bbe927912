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

"""What planners are told."""

from dataclasses import dataclass

from sam3d_ros.config.limits import Checked, frame_setting, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningConfig(Checked):
    """Collision objects for MoveIt, cuMotion and others that know moveit_msgs/CollisionObject."""

    enabled: bool = setting(False, "Publish collision objects; wants moveit_msgs installed")
    frame: str = frame_setting(
        "Frame of the collision objects, one that the planner knows; empty: output_frame"
    )
    geometry: str = setting(
        "convex_decomposition",
        "What stands for an object: convex_decomposition leaves hollows open (extra: planning); "
        "decimated is one mesh, into which small robot parts fit unnoticed",
        choices=("convex_decomposition", "convex_hull", "decimated", "box"),
    )
    max_hulls: int = setting(16, "Convex parts of one object at most", 1, 64)
    padding: float = setting(0.003, "Distance from the mesh to what stands for it, m", 0.0, 0.1)
    remove_when_lost: bool = setting(
        False, "Remove objects when they are LOST; an unseen object is still an obstacle"
    )
    max_rate: float = setting(10.0, "Times per second that poses are sent at most", 0.1, 100.0)
    min_move: float = setting(
        0.002, "Objects that moved by less are not sent again, m at their farthest point", 0.0, 1.0
    )
