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

"""A launch file under test: started with arguments, or asked for those it has."""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_pytest.actions import ReadyToTest

FOLDER = Path(get_package_share_directory("sam3d_ros"), "launch")


class Started:
    """A launch file with arguments, and what its processes returned in the end."""

    def __init__(self, launch_file: str, **arguments: str) -> None:
        self.return_codes: list[int] = []
        self.description = LaunchDescription(
            [
                RegisterEventHandler(OnProcessExit(on_exit=self._remember)),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(FOLDER / launch_file)),
                    launch_arguments=arguments.items(),
                ),
                ReadyToTest(),
            ]
        )

    def _remember(self, event: Any, _context: LaunchContext) -> None:
        self.return_codes.append(event.returncode)


def declared(launch_file: str) -> list[Any]:
    """Return the arguments of a launch file, as ``--show-args`` does."""
    source = PythonLaunchDescriptionSource(str(FOLDER / launch_file))
    return source.get_launch_description(LaunchContext()).get_launch_arguments()
