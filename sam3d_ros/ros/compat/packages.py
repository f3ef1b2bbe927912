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


"""ROS packages that may be missing; what stands in for them, or is off, is beside this file."""

import importlib
from types import ModuleType

from sam3d_ros.errors import Sam3dError


class MissingPackageError(Sam3dError, ImportError):
    """A ROS package is needed and not installed."""


def optional_module(name: str) -> ModuleType | None:
    """Import a module, None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def tf_message_type() -> type:
    """Return ``tf2_msgs/msg/TFMessage``.

    Raises:
        MissingPackageError: Without it, the node could neither hear nor send transforms.
    """
    module = optional_module("tf2_msgs.msg")
    if module is None:
        raise MissingPackageError(
            "tf2_msgs is not installed, so there is no TF; install ros-$ROS_DISTRO-tf2-msgs, or "
            "pip install this package, which then brings the message"
        )
    message_type: type = module.TFMessage
    return message_type


def vision_messages() -> ModuleType | None:
    """Return ``vision_msgs.msg``, None where it is not installed."""
    return optional_module("vision_msgs.msg")


def hri_messages() -> ModuleType | None:
    """Return ``hri_msgs.msg``, None where it is not installed."""
    return optional_module("hri_msgs.msg")


def yolo_messages() -> ModuleType | None:
    """Return ``yolo_msgs.msg``, None where it is not installed."""
    return optional_module("yolo_msgs.msg")


def outputs_off() -> dict[str, str]:
    """Return the outputs that are off, and why."""
    if vision_messages() is not None:
        return {}
    return {"~/detections": "vision_msgs is not installed (ros-$ROS_DISTRO-vision-msgs)"}
