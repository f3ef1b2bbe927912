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

"""Show sam3d_node without a robot; ``ros2 launch sam3d_ros demo.launch.py rviz:=true``.

A table top is rendered from several sides and replayed again and again; the terminal says
what the node finds, RViz shows it. Arguments are those of ``sam3d.launch.py``, too,
but for its inputs.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit, OnShutdown
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource

PACKAGE = "sam3d_ros"
NODE = Path(get_package_share_directory(PACKAGE), "launch", "sam3d.launch.py")
SAM3D = str(Path(get_package_prefix(PACKAGE), "lib", PACKAGE, "sam3d"))
PATIENCE_S = "60"  # for the node to listen before the replay starts
WORLD = "world"  # the frame in which the table top stands still

# What of sam3d.launch.py is the demo's own: its inputs are those in the namespace of the node.
INPUTS = ("camera", "image_topic", "depth_topic", "points_topic", "masks_topic", "bag")
INFOS = ("camera_info_topic", "depth_info_topic", "detections_topic", "label_info_topic")
OWN = dict.fromkeys((*INPUTS, *INFOS), "") | {"output_frame": WORLD, "masks_mode": "label_image"}

ARGUMENTS = (
    DeclareLaunchArgument(
        "seed", default_value="4", description="Of the arrangement of the objects on the table"
    ),
    DeclareLaunchArgument(
        "views", default_value="3", description="Positions of the camera around the table"
    ),
    DeclareLaunchArgument("hz", default_value="0.5", description="Views per second"),
)


def shown(*command: str) -> ExecuteProcess:
    """Run a command whose output is seen in the terminal."""
    return ExecuteProcess(cmd=list(command), output="screen")


def node_name(namespace: str) -> str:
    """Return the full name of the node in a namespace, which may be empty or begin with a slash."""
    return f"/{namespace.strip('/')}/sam3d_node".replace("//", "/")


def replay(given: dict[str, str], folder: str) -> list[LaunchDescriptionEntity]:
    """Publish the views, and say what the node makes of them."""
    namespace, hz = given["namespace"], given["hz"]
    node, views = node_name(namespace), str(Path(folder, "input"))
    options = ("--loop", "--hz", hz, "--namespace", namespace, "--wait", PATIENCE_S)
    return [
        shown(SAM3D, "replay", views, *options),
        shown(sys.executable, "-m", "sam3d_ros.ros.watch", node),
    ]


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Render the table top, and replay it once it is there."""
    given = context.launch_configurations
    folder = TemporaryDirectory(prefix="sam3d_demo_", ignore_cleanup_errors=True)
    options = ("--output", folder.name, "--seed", given["seed"], "--views", given["views"])
    render = shown(SAM3D, "demo", "--render-only", *options)

    def after_rendering(event: ProcessExited, context: LaunchContext) -> list[Any]:
        if context.is_shutdown:
            return []
        if event.returncode != 0:
            return [EmitEvent(event=Shutdown(reason="the table top could not be rendered"))]
        return replay(given, folder.name)

    return [
        RegisterEventHandler(OnProcessExit(target_action=render, on_exit=after_rendering)),
        RegisterEventHandler(OnShutdown(on_shutdown=lambda *_: folder.cleanup())),
        render,
    ]


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments; the node starts while the table top is rendered."""
    return LaunchDescription(
        [
            *ARGUMENTS,
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(NODE)),
                launch_arguments=OWN.items(),
            ),
            OpaqueFunction(function=start),
        ]
    )
