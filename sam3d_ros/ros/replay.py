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

"""Publishing what was recorded: messages of a bag as they are, scene folders as messages.

Everything is sent serialised: rclpy publishes CDR bytes without looking inside, so a 640x480
RGB-D stream at 30 Hz costs next to nothing. Only header stamps are rewritten where asked for.
"""

import importlib
import struct
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from sam3d_ros.apps.bags import RawMessage
from sam3d_ros.geometry.transforms import quat_wxyz_from_rotation
from sam3d_ros.structures import Camera, Frame, Similarity

NS_PER_S = 1_000_000_000
CLOCK_PERIOD_S = 0.02
TF_TYPE = "tf2_msgs/msg/TFMessage"
COLOR_FRAME = "camera_color_optical_frame"
DEPTH_FRAME = "camera_depth_optical_frame"
LIDAR_FRAME = "lidar"
MAX_MONO8 = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How messages are published."""

    rate: float = 1.0  # times as fast as recorded
    loop: bool = False
    clock: bool = False  # publish /clock
    stamps_now: bool = False  # shift header stamps to the present
    best_effort: bool = False
    wait_s: float = 5.0  # for a first subscriber
    log: Path | None = None  # where to note when each message was published


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Messages that can be read again and again."""

    types: Mapping[str, str]  # message type by topic
    latched: frozenset[str]
    duration_ns: int  # from the first message to the first of the next round
    messages: Callable[[], Iterable[RawMessage]]


def play(recording: Recording, options: ReplayOptions, stopped: Event) -> int:
    """Publish a recording until its end, or until ``stopped``; return how many messages."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("sam3d_replay", enable_rosout=False, start_parameter_services=False)
    player = Player(node, recording, options, stopped)
    try:
        player.play()
    finally:
        player.write_log()
        node.destroy_node()
        rclpy.shutdown()
    return player.num_published


class Player:
    """Publishes recorded messages at the pace of their recording."""

    def __init__(
        self, node: Node, recording: Recording, options: ReplayOptions, stopped: Event
    ) -> None:
        self.num_published = 0
        self._stopped = stopped
        self._recording = recording
        self._options = options
        self._types = _known_types(recording.types)
        tf_type = self._types.get("/tf")
        self._publishers: dict[str, Publisher[Any]] = {
            topic: node.create_publisher(
                kind,
                topic,
                _qos(topic in recording.latched, options.best_effort and kind is not tf_type),
            )
            for topic, kind in self._types.items()
        }
        self._clock = node.create_publisher(Clock, "/clock", 10) if options.clock else None
        self._log: list[tuple[str, int, int]] = []

    def play(self) -> None:
        """Publish once, or for ever; end when all subscribers have everything."""
        self._wait_for_subscriber()
        self._play_once()
        while self._options.loop and not self._stopped.is_set():
            self._play_once()
        if not self._stopped.is_set():
            for publisher in self._publishers.values():
                publisher.wait_for_all_acked(Duration(seconds=1.0))

    def write_log(self) -> None:
        """Write one line per message: topic, replayed time in ns, monotonic clock in ns."""
        if self._options.log is not None:
            lines = [f"{topic},{stamp_ns},{sent_ns}\n" for topic, stamp_ns, sent_ns in self._log]
            self._options.log.write_text("".join(lines), encoding="utf-8")

    def _play_once(self) -> None:
        begin_ns: int | None = None
        started_s, shift_ns = time.monotonic(), 0
        for message in self._recording.messages():
            if begin_ns is None:
                begin_ns = message.stamp_ns
                shift_ns = time.time_ns() - begin_ns if self._options.stamps_now else 0
            offset_s = (message.stamp_ns - begin_ns) / NS_PER_S / self._options.rate
            self._sleep_until(started_s + offset_s, message.stamp_ns + shift_ns)
            if self._stopped.is_set():
                return
            self._publish(message, shift_ns)
        if begin_ns is not None:
            end_s = started_s + self._recording.duration_ns / NS_PER_S / self._options.rate
            self._sleep_until(end_s, begin_ns + shift_ns + self._recording.duration_ns)

    def _publish(self, message: RawMessage, shift_ns: int) -> None:
        if message.topic not in self._publishers:
            return
        data = message.data
        if shift_ns:
            data = shifted(data, self._types[message.topic], shift_ns)
        if self._options.log is not None:
            self._log.append((message.topic, message.stamp_ns + shift_ns, time.monotonic_ns()))
        self._publishers[message.topic].publish(bytes(data))
        self.num_published += 1

    def _sleep_until(self, due_s: float, due_ns: int) -> None:
        """Sleep until a moment of the monotonic clock, which is ``due_ns`` of replayed time."""
        while True:
            left_s = due_s - time.monotonic()
            self._tell_time(due_ns - max(0, int(left_s * self._options.rate * NS_PER_S)))
            if left_s <= 0 or self._stopped.wait(min(left_s, CLOCK_PERIOD_S)):
                return

    def _tell_time(self, now_ns: int) -> None:
        if self._clock is not None:
            self._clock.publish(Clock(clock=_time_from_ns(now_ns)))

    def _wait_for_subscriber(self) -> None:
        """Give nodes that start at the same time a chance to hear the beginning."""
        images = [p for p in self._publishers.values() if p.msg_type is Image]
        deadline_s = time.monotonic() + self._options.wait_s
        while time.monotonic() < deadline_s and not any(map(_is_heard, images)):
            if self._stopped.wait(CLOCK_PERIOD_S):
                return


def recording_from_frames(frames: Iterable[Frame], rate_hz: float, namespace: str) -> Recording:
    """Turn frames into the messages that the node subscribes, ``rate_hz`` per second.

    Topics have the node's own names below ``namespace``; stamps count from one second.
    """
    messages: list[RawMessage] = []
    period_ns = round(NS_PER_S / rate_hz)
    for stamp_ns, frame in zip(count(NS_PER_S, period_ns), frames, strict=False):
        for topic, message in _messages_from_frame(frame, _time_from_ns(stamp_ns)):
            name = topic if topic.startswith("/") else f"/{namespace.strip('/')}/{topic}"
            messages.append(
                RawMessage(
                    stamp_ns=stamp_ns,
                    topic=name.replace("//", "/"),
                    type_name=_type_name(message),
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


def shifted(data: bytes, kind: type, shift_ns: int) -> bytes:
    """Move the header stamps of a serialised message by ``shift_ns``.

    A leading ``std_msgs/Header`` puts the stamp (int32 s, uint32 ns) right behind the four bytes
    of the CDR encapsulation, whose second byte tells the byte order. Other messages than TF and
    those with a header have no stamp and stay as they are.
    """
    if _type_name(kind) == TF_TYPE:
        message: Any = deserialize_message(data, kind)
        for transform in message.transforms:
            transform.header.stamp = _time_from_ns(_ns_from_time(transform.header.stamp) + shift_ns)
        return bytes(serialize_message(message))
    first_type = next(iter(kind.get_fields_and_field_types().values()), "")  # type: ignore[attr-defined]  # rosidl
    if first_type != "std_msgs/Header":
        return data
    layout = "<iI" if data[1] & 1 else ">iI"
    seconds, nanoseconds = struct.unpack_from(layout, data, 4)
    moved = divmod(seconds * NS_PER_S + nanoseconds + shift_ns, NS_PER_S)
    return data[:4] + struct.pack(layout, *moved) + data[12:]


def _messages_from_frame(frame: Frame, stamp: Time) -> list[tuple[str, Any]]:
    """Return (topic, message) of one frame; transforms first, masks last."""
    header = Header(stamp=stamp, frame_id=COLOR_FRAME)
    static, moving = _transforms(frame, stamp)
    tf_message = message_type(TF_TYPE)
    messages = [("/tf_static", tf_message(transforms=static))] if static else []
    messages += [("/tf", tf_message(transforms=moving))] if moving else []
    messages.append(("camera_info", _camera_info(frame.camera, header)))
    messages.append(("image", _image(frame.rgb, "rgb8", header)))
    if frame.depth is not None:
        depth_header = Header(stamp=stamp, frame_id=_depth_frame(frame))
        depth_m = frame.depth.depth_m.astype(np.float32)
        messages.append(("depth/camera_info", _camera_info(frame.depth.camera, depth_header)))
        messages.append(("depth", _image(depth_m, "32FC1", depth_header)))
    if frame.points is not None:
        lidar_header = Header(stamp=stamp, frame_id=LIDAR_FRAME)
        messages.append(("points", _cloud(frame.points.points, lidar_header)))
    messages.append(("masks", _label_image(frame, header)))
    return messages


def _transforms(frame: Frame, stamp: Time) -> tuple[list[TransformStamped], list[TransformStamped]]:
    """Return the static and the moving transforms that a frame implies."""
    static = []
    if frame.depth is not None and _depth_frame(frame) == DEPTH_FRAME:
        static.append(_transform(COLOR_FRAME, DEPTH_FRAME, frame.depth.color_from_depth, stamp))
    if frame.points is not None:
        static.append(_transform(COLOR_FRAME, LIDAR_FRAME, frame.points.camera_from_sensor, stamp))
    moving = []
    if frame.fixed_from_camera is not None:
        parent = frame.fixed_frame_id or "world"
        moving.append(_transform(parent, COLOR_FRAME, frame.fixed_from_camera, stamp))
    return static, moving


def _depth_frame(frame: Frame) -> str:
    """Depth shares the colour camera's frame where the two are one camera."""
    assert frame.depth is not None
    same_place = np.allclose(frame.depth.color_from_depth.matrix, np.eye(4))
    return COLOR_FRAME if same_place else DEPTH_FRAME


def _transform(parent: str, child: str, pose: Similarity, stamp: Time) -> TransformStamped:
    message = TransformStamped(header=Header(stamp=stamp, frame_id=parent), child_frame_id=child)
    w, x, y, z = (float(value) for value in quat_wxyz_from_rotation(pose.rotation))
    rotation, translation = message.transform.rotation, message.transform.translation
    rotation.w, rotation.x, rotation.y, rotation.z = w, x, y, z
    translation.x, translation.y, translation.z = (float(v) for v in pose.translation_m)
    return message


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
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=pixels.nbytes // height,
        data=np.ascontiguousarray(pixels).tobytes(),
    )


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
    return PointCloud2(
        header=header,
        height=1,
        width=len(packed),
        fields=fields,
        is_bigendian=sys.byteorder == "big",
        point_step=12,
        row_step=12 * len(packed),
        data=packed.tobytes(),
        is_dense=True,
    )


def _known_types(types: Mapping[str, str]) -> dict[str, type]:
    """Load the message types that are installed; say which topics have others."""
    known: dict[str, type] = {}
    for topic, name in types.items():
        try:
            known[topic] = message_type(name)
        except (ModuleNotFoundError, AttributeError):
            print(f"not published: {topic}, because {name} is not installed", file=sys.stderr)
    return known


def _qos(latched: bool, best_effort: bool) -> QoSProfile:
    """Offer reliable, which every subscriber accepts, unless asked for a sensor's best effort.

    TF stays reliable: its subscribers ask for that.
    """
    profile = QoSProfile(depth=10)
    if latched:
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    elif best_effort:
        profile.reliability = ReliabilityPolicy.BEST_EFFORT
    return profile


def _is_heard(publisher: "Publisher[Any]") -> bool:
    return bool(publisher.get_subscription_count())


def _type_name(message: Any) -> str:
    """Return ``package/msg/Type`` of a message or its class."""
    kind = message if isinstance(message, type) else type(message)
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _time_from_ns(stamp_ns: int) -> Time:
    seconds, nanoseconds = divmod(stamp_ns, NS_PER_S)
    return Time(sec=seconds, nanosec=nanoseconds)


def _ns_from_time(stamp: Time) -> int:
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)
