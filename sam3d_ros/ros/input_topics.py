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

"""Which topics the node listens to and of which type, by the settings and what is installed."""

from typing import Any, Protocol

from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from sam3d_ros.config import NodeConfig
from sam3d_ros.ros.compat import MissingPackageError, vision_messages, yolo_messages
from sam3d_ros.ros.framing import Input

INFO_OF = {Input.CAMERA_INFO: Input.IMAGE, Input.DEPTH_INFO: Input.DEPTH}
NAMING = (Input.DETECTIONS, Input.LABEL_INFO)  # what says what masks show
NO_VISION = "vision_msgs is not installed (ros-$ROS_DISTRO-vision-msgs)"
NO_YOLO = "yolo_msgs is not installed; build it from github.com/mgonzs13/yolo_ros"


class ResolvesTopics(Protocol):
    """What a node says of its remappings."""

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Return the full name of a topic, remapped unless it is to be expanded only."""
        ...


def names_to_hear(node: ResolvesTopics, config: NodeConfig) -> dict[Input, str]:
    """Return the topic of each input as a node is to subscribe it; remappings are applied then.

    Intrinsics are beside an image that is remapped, as ``getCameraInfoTopic`` of image_common has
    it, unless they are remapped themselves.
    """
    names = topic_names(config)
    for info, image in INFO_OF.items():
        if _is_remapped(node, names[image]) and not _is_remapped(node, names[info]):
            transport = names[image].removeprefix(image.value)
            names[info] = _beside(node.resolve_topic_name(names[image]), transport)
    return names


def topic_names(config: NodeConfig) -> dict[Input, str]:
    """Return the topic of each input; image transports add their name, as image_transport does.

    Where masks come as detections, these are on the topic of detections, and there is no other.
    """
    names = {each: each.value for each in Input if each not in NAMING or not _why_off(each, config)}
    if config.image_transport != "raw":
        names[Input.IMAGE] += f"/{config.image_transport}"
    if config.depth_transport != "raw":
        names[Input.DEPTH] += f"/{config.depth_transport}"
    if config.masks.mode in ("detections", "yolo"):
        names[Input.MASKS] = Input.DETECTIONS.value
    return names


def message_types(config: NodeConfig) -> dict[Input, Any]:
    """Return the type of message of each input.

    Raises:
        MissingPackageError: Masks are to come as messages that are not installed.
    """
    vision = vision_messages()
    types: dict[Input, Any] = {
        Input.IMAGE: Image if config.image_transport == "raw" else CompressedImage,
        Input.CAMERA_INFO: CameraInfo,
        Input.DEPTH: Image if config.depth_transport == "raw" else CompressedImage,
        Input.DEPTH_INFO: CameraInfo,
        Input.POINTS: PointCloud2,
        Input.MASKS: _mask_type(config.masks.mode),
    }
    if vision is not None:
        types |= {Input.DETECTIONS: vision.Detection2DArray, Input.LABEL_INFO: vision.LabelInfo}
    return types


def inputs_off(config: NodeConfig) -> dict[str, str]:
    """Return the optional inputs that are not listened to, and why."""
    reasons = {each.value: _why_off(each, config) for each in NAMING}
    return {name: why for name, why in reasons.items() if why}


def _is_remapped(node: ResolvesTopics, name: str) -> bool:
    return node.resolve_topic_name(name) != node.resolve_topic_name(name, only_expand=True)


def _beside(topic: str, transport: str) -> str:
    """Return the topic of the intrinsics of an image, whose topic may end with its transport."""
    return "/".join([*topic.removesuffix(transport).split("/")[:-1], Input.CAMERA_INFO.value])


def _mask_type(mode: str) -> Any:
    if mode == "yolo":
        yolo = yolo_messages()
        if yolo is None:
            raise MissingPackageError(f"masks.mode is yolo, and {NO_YOLO}")
        return yolo.DetectionArray
    if mode == "detections":
        vision = vision_messages()
        if vision is None:
            raise MissingPackageError(f"masks.mode is detections, and {NO_VISION}")
        return vision.Detection2DArray
    return Image


def _why_off(each: Input, config: NodeConfig) -> str:
    """Say why an input that names masks is not listened to; empty where it is."""
    mode = config.masks.mode
    if mode == "yolo" or (mode == "detections" and each is Input.DETECTIONS):
        return f"masks.mode is {mode}: masks come with their names"
    return NO_VISION if vision_messages() is None else ""
