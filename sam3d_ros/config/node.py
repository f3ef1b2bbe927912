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

"""Everything ``sam3d_node`` can be told."""

from dataclasses import dataclass, field

from sam3d_ros.config.inputs import CameraConfig, SyncConfig
from sam3d_ros.config.limits import Checked, frame_setting, setting
from sam3d_ros.config.planning import PlanningConfig
from sam3d_ros.config.scene import SceneConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TfConfig(Checked):
    """How object frames are published."""

    publish: bool = setting(True, "Publish one TF frame per object")
    prefix: str = setting("sam3d", "First part of every object frame's name")
    timeout: float = setting(0.2, "How long to wait for a transform, s", 0.0, 5.0, dynamic=True)
    rebroadcast_rate: float = setting(
        10.0,
        "Transforms per second at least of what stands still in output_frame, at the stamps of "
        "images; 0: only what images and masks show",
        0.0,
        100.0,
    )
    max_camera_speed: float = setting(
        0.5,
        "Objects seen by a camera that moves faster in output_frame have the flag MOTION, m/s; 0 "
        "flags none",
        0.0,
        10.0,
        dynamic=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerConfig(Checked):
    """When objects are reconstructed."""

    mode: str = setting(
        "on_new_object",
        "on_demand: only what ~/reconstruct asks for; on_new_object: what a mask shows that is not "
        "known, or not from that side; continuous: what every mask shows, anew",
        choices=("on_demand", "on_new_object", "continuous"),
        dynamic=True,
    )
    max_rate: float = setting(
        0.0,
        "Masks looked at per second of their stamps at most; 0 is no limit",
        0.0,
        60.0,
        dynamic=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig(Checked):
    """What happens when masks come faster than objects are reconstructed."""

    policy: str = setting(
        "latest",
        "latest drops the waiting frames, oldest drops the new one; none drops nothing and follows "
        "no image between masks, so that a recording gives the same again",
        choices=("latest", "oldest", "none"),
        dynamic=True,
    )
    depth: int = setting(
        1, "Frames that may wait; beside them as many calls of ~/reconstruct", 1, 100, dynamic=True
    )

    @property
    def follows_images(self) -> bool:
        """Whether images between masks count: how many are in time depends on the machine."""
        return self.policy != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsConfig(Checked):
    """When ``/diagnostics`` warns."""

    max_latency: float = setting(
        10.0,
        "A frame that takes longer, from its last message to its report, is a warning, s; 0 never",
        0.0,
        3600.0,
        dynamic=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugConfig(Checked):
    """Outputs for looking at what the node does."""

    overlay: bool = setting(
        False,
        "Draw meshes and masks into each image that has masks: ~/debug/overlay and "
        "~/debug/overlay/compressed, while somebody subscribes, in a process of its own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig(SceneConfig, Checked):
    """Everything ``sam3d_node`` can be told; each leaf is one ROS parameter."""

    autostart: bool = setting(True, "Configure and activate at start", read_only=True)
    image_transport: str = setting(
        "raw", "Which image topic is subscribed", choices=("raw", "compressed")
    )
    depth_transport: str = setting(
        "raw", "Which depth topic is subscribed", choices=("raw", "compressedDepth")
    )
    output_frame: str = frame_setting("Parent of the object frames; empty is the camera's frame")
    gravity_frame: str = frame_setting(
        "Frame whose z axis points up, to find the support plane; empty asks the image alone"
    )
    output_directory: str = setting(
        "",
        "Folder below which ~/export and ~/reconstruct write, and the node the files of each mesh; "
        "empty: a temporary one, which is removed at cleanup, and no files of meshes",
    )
    realtime_priority: int = setting(
        -1,
        "Real-time priority (SCHED_FIFO) of the thread that receives while it looks at a message; "
        "not while it waits for one, and not of what reconstructs and follows. 0: none, -1: the "
        "lowest where the system grants it. Where one above 0 is not granted a warning says how to",
        -1,
        99,
    )
    sync: SyncConfig = field(default_factory=SyncConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    tf: TfConfig = field(default_factory=TfConfig)
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    queue: QueueConfig = field(default_factory=QueueConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
    planning: PlanningConfig = field(default_factory=PlanningConfig)
