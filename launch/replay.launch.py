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

"""Play a recording to sam3d_node; ``ros2 launch sam3d_ros replay.launch.py --show-args``.

The recording publishes ``/clock``, and the node takes its time from there. Arguments are those of
``sam3d.launch.py``; topics of the recording that are not among them are found by type and name.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

NODE = Path(get_package_share_directory("sam3d_ros"), "launch", "sam3d.launch.py")


def generate_launch_description() -> LaunchDescription:
    """Describe what is played, and start the node with it."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "input", description="Bag (folder, .mcap, .db3) or scene folder to play"
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(NODE)),
                launch_arguments={
                    "bag": LaunchConfiguration("input"),
                    "use_sim_time": "true",
                }.items(),
            ),
        ]
    )
