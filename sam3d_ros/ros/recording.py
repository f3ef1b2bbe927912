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

"""Recordings: messages that can be read again and again, and scene folders turned into such."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from sam3d_ros.apps.bags import RawMessage
from sam3d_ros.ros.encode import byte_array, header_of, transform_msg
from sam3d_ros.structures import NS_PER_S, Camera, Frame

TF_TYPE = "tf2_msgs/msg/TFMessage"
COLOR_FRAME = "camera_color_optical_frame"
DEPTH_FRAME = "camera_depth_optical_frame"
LIDAR_FRAME = "lidar"
MAX_MONO8 = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Messages that can be read again and again."""

    types: Mapping[str, str]  # message type by topic
    latched: frozenset[str]
    duration_ns: int  # from the first message to the first of the next round
    messages: Callable[[], Iterable[RawMessage]]


def recording_from_frames(frames: Iterable[Frame], rate_hz: float, namespace: str) -> Recording:
    """Turn frames into the messages that the node subscribes, ``rate_hz`` per second.

    Topics have the node's own names below ``namespace``; stamps count from one second.
    """
    messages: list[RawMessage] = []
    period_ns = round(NS_PER_S / rate_hz)
    for stamp_ns, frame in zip(count(NS_PER_S, period_ns), frames, strict=False):
        for topic, message in _messages_from_frame(frame, stamp_ns):
            name = topic if topic.startswith("/") else f"/{namespace.strip('/')}/{topic}"
            messages.append(
                RawMessage(
                    stamp_ns=stamp_ns,
                    topic=name.replace("//", "/"),
                    type_name=type_name(message),
                    data=serialize_message(message),
                )
            )
    return Recording(
        types={message.topic: message.type_name for message in messages},
        latched=frozenset({"/tf_static"}),
        duration_ns=messages[-1].stamp_ns - NS_PER_S + period_ns if messages else 0,
        messages=lambda: messages,
    )


def message_type(name: str) -> type:
    """Load the class of ``package/msg/Type``.

    Raises:
        ModuleNotFoundError: When the package is not installed.
        AttributeError: When the package has no such message.
    """
    package, _, kind = name.split("/")
    found = getattr(importlib.import_module(f"{package}.msg"), kind)
    assert isinstance(found, type)
    return found


def type_name(message: Any) -> str:
    """Return ``package/msg/Type`` of a message or its class."""
    kind = message if isinstance(message, type) else type(message)
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _messages_from_frame(frame: Frame, stamp_ns: int) -> list[tuple[str, Any]]:
    """Return (topic, message) of one frame; transforms first, masks last."""
    header = header_of(COLOR_FRAME, stamp_ns)
    static, moving = _transforms(frame, stamp_ns)
    tf_message = message_type(TF_TYPE)
    messages = [("/tf_static", tf_message(transforms=static))] if static else []
    messages += [("/tf", tf_message(transforms=moving))] if moving else []
    messages.append(("camera_info", _camera_info(frame.camera, header)))
    messages.append(("image", _image(frame.rgb, "rgb8", header)))
    if frame.depth is not None:
        depth_header = header_of(_depth_frame(frame), stamp_ns)
        depth_m = frame.depth.depth_m.astype(np.float32)
        messages.append(("depth/camera_info", _camera_info(frame.depth.camera, depth_header)))
        messages.append(("depth", _image(depth_m, "32FC1", depth_header)))
    if frame.points is not None:
        lidar_header = header_of(LIDAR_FRAME, stamp_ns)
        messages.append(("points", _cloud(frame.points.points, lidar_header)))
    messages.append(("masks", _label_image(frame, header)))
    return messages


def _transforms(
    frame: Frame, stamp_ns: int
) -> tuple[list[TransformStamped], list[TransformStamped]]:
    """Return the static and the moving transforms that a frame implies."""
    static = []
    if frame.depth is not None and _depth_frame(frame) == DEPTH_FRAME:
        static.append(
            transform_msg(frame.depth.color_from_depth, COLOR_FRAME, DEPTH_FRAME, stamp_ns)
        )
    if frame.points is not None:
        static.append(
            transform_msg(frame.points.camera_from_sensor, COLOR_FRAME, LIDAR_FRAME, stamp_ns)
        )
    moving = []
    if frame.fixed_from_camera is not None:
        parent = frame.fixed_frame_id or "world"
        moving.append(transform_msg(frame.fixed_from_camera, parent, COLOR_FRAME, stamp_ns))
    return static, moving


def _depth_frame(frame: Frame) -> str:
    """Depth shares the colour camera's frame where the two are one camera."""
    assert frame.depth is not None
    same_place = np.allclose(frame.depth.color_from_depth.matrix, np.eye(4))
    return COLOR_FRAME if same_place else DEPTH_FRAME


def _camera_info(camera: Camera, header: Header) -> CameraInfo:
    projection = np.zeros((3, 4))
    projection[:, :3] = camera.matrix_px
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob"
        if camera.distortion_model == "none"
        else camera.distortion_model,
        d=[float(value) for value in camera.distortion],
        k=camera.matrix_px.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=projection.ravel().tolist(),
    )


def _image(pixels: Any, encoding: str, header: Header) -> Image:
    height, width = pixels.shape[:2]
    message = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=pixels.nbytes // height,
    )
    message.data = byte_array(pixels)
    return message


def _label_image(frame: Frame, header: Header) -> Image:
    """Draw all masks into one image of instance ids; where masks overlap the last one wins."""
    labels = np.zeros((frame.camera.height, frame.camera.width), dtype=np.uint16)
    for mask in frame.masks:
        labels[mask.mask] = mask.instance_id
    if labels.max(initial=0) <= MAX_MONO8:
        return _image(labels.astype(np.uint8), "mono8", header)
    return _image(labels, "mono16", header)


def _cloud(points: Any, header: Header) -> PointCloud2:
    packed = np.ascontiguousarray(points, dtype=np.float32)
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate("xyz")
    ]
    message = PointCloud2(
        header=header,
        height=1,
        width=len(packed),
        fields=fields,
        is_bigendian=sys.byteorder == "big",
        point_step=12,
        row_step=12 * len(packed),
        is_dense=True,
    )
    message.data = byte_array(packed)
    return message
