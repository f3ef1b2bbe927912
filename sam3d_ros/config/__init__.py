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

"""Every setting with its default, range and meaning.

These dataclasses are the documentation: ROS parameters (dotted names), ``config/sam3d.yaml`` and
the README table are derived from them. Values are checked when a config is made.
"""

from sam3d_ros.config.inputs import CameraConfig, DepthConfig, LidarConfig, MasksConfig, SyncConfig
from sam3d_ros.config.limits import (
    Checked,
    Limits,
    choice_list,
    leaves,
    limits_of,
    retuned,
    setting,
)
from sam3d_ros.config.models import (
    BodyConfig,
    GaussiansConfig,
    LiftConfig,
    ObjectsConfig,
    RefineConfig,
    SettleConfig,
    WeightsConfig,
)
from sam3d_ros.config.node import (
    DebugConfig,
    DiagnosticsConfig,
    NodeConfig,
    QueueConfig,
    TfConfig,
    TriggerConfig,
)
from sam3d_ros.config.planning import PlanningConfig
from sam3d_ros.config.scene import (
    MESH_FORMATS,
    MarkersConfig,
    MeshConfig,
    RegistryConfig,
    SceneConfig,
    TrackingConfig,
)

__all__ = [
    "MESH_FORMATS",
    "BodyConfig",
    "CameraConfig",
    "Checked",
    "DebugConfig",
    "DepthConfig",
    "DiagnosticsConfig",
    "GaussiansConfig",
    "LidarConfig",
    "LiftConfig",
    "Limits",
    "MarkersConfig",
    "MasksConfig",
    "MeshConfig",
    "NodeConfig",
    "ObjectsConfig",
    "PlanningConfig",
    "QueueConfig",
    "RefineConfig",
    "RegistryConfig",
    "SceneConfig",
    "SettleConfig",
    "SyncConfig",
    "TfConfig",
    "TrackingConfig",
    "TriggerConfig",
    "WeightsConfig",
    "choice_list",
    "leaves",
    "limits_of",
    "retuned",
    "setting",
]
