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

"""Which outputs are off, and why: a package that is missing, or a parameter."""

from sam3d_ros.config import NodeConfig
from sam3d_ros.ros.compat import packages
from sam3d_ros.ros.planning.planner import OBJECTS_TOPIC
from sam3d_ros.ros.planning.start import why_no_planner
from sam3d_ros.scene.verdict import OBJECTS_OFF

OF_OBJECTS = (
    "~/objects",
    "~/detections",
    "~/meshes",
    "~/markers",
    "~/labels",
    "~/object_points",
    "~/gaussians",
)


def outputs_off(config: NodeConfig) -> dict[str, str]:
    """Return why, by output."""
    off = packages.outputs_off()
    if not config.tf.publish:
        off["/tf"] = "tf.publish is false"
    if config.markers.style == "none":
        off["~/markers"] = "markers.style is none"
    if not config.gaussians.publish:
        off["~/gaussians"] = "gaussians.publish is false"
    if not config.debug.overlay:
        off["~/debug/overlay"] = "debug.overlay is false"
    if not config.body.enabled:
        off["~/bodies"] = "body.enabled is false"
    elif packages.hri_messages() is None:
        off["/humans/bodies"] = "hri_msgs is not installed (ros-$ROS_DISTRO-hri-msgs)"
    if not config.objects.enabled:
        off |= dict.fromkeys(OF_OBJECTS, OBJECTS_OFF)
    if why := why_no_planner(config):
        off[OBJECTS_TOPIC] = why
    return off
