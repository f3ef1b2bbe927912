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


"""One mask and the messages that belong to it become one frame; nothing here waits or remembers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import numpy as np

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import (
    DepthAlignError,
    IntrinsicsError,
    Sam3dError,
)
from sam3d_ros.geometry.cameras import camera_from_fov, resized, same_aspect
from sam3d_ros.geometry.depth import DepthUnit, metric_depth
from sam3d_ros.ros.compat.tf_buffer import frame_name
from sam3d_ros.ros.decode import (
    camera_from_msg,
    cloud_from_msg,
    depth_from_msg,
    image_from_msg,
    stamp_ns_from_msg,
)
from sam3d_ros.ros.instances import Provided, instances_from
from sam3d_ros.scene.boxes import with_objects_in_boxes
from sam3d_ros.structures import (
    Camera,
    DepthFrame,
    DepthImage,
    Floats,
    Frame,
    PointCloud,
    Similarity,
)


class Input(Enum):
    """What the node listens to; the values are the names of its topics before remapping."""

    IMAGE = "image"
    CAMERA_INFO = "camera_info"
    DEPTH = "depth"
    DEPTH_INFO = "depth/camera_info"
    POINTS = "points"
    DETECTIONS = "detections"  # classes and scores of the masks
    LABEL_INFO = "label_info"  # names of classes or of values; the last one holds
    MASKS = "masks"  # last: it asks for all the others


Topics = Mapping[Input, str]  # under what name a person knows each input
OWN_TOPICS: Topics = {each: each.value for each in Input}


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One moment by two clocks."""

    clock_ns: int  # the clock that stamps are read from; it may jump
    steady_ns: int  # never jumps; only differences mean something


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Poses:
    """What TF said about the frames of one mask, each at the stamp of its own message."""

    frame_id: str = ""  # of the image, where it is another one than its message says
    fixed_from_camera: Similarity | None = None
    up_camera: Floats | None = None  # (3,)
    color_from_depth: Similarity | None = None
    camera_from_points: Similarity | None = None
    in_motion: bool = False  # the camera moved faster than tf.max_camera_speed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matched:
    """The messages that belong together, as they came."""

    image: Any
    masks: Any = None
    info: Any = None
    depth: Any = None
    depth_info: Any = None
    points: Any = None
    detections: Any = None
    label_info: Any = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """Everything that is known of one image, not yet decoded."""

    messages: Matched
    poses: Poses

    @property
    def stamp_ns(self) -> int:
        """Stamp of the image."""
        return stamp_ns_from_msg(self.messages.image.header.stamp)

    @property
    def frame_id(self) -> str:
        """Optical frame of the image."""
        return self.poses.frame_id or str(self.messages.image.header.frame_id)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle(Exposure):
    """What one frame is made of, with its mask."""

    completed: Instant  # when the last part came


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthBundle(Exposure):
    """What it takes to follow known objects into one image; no mask."""

    received: Instant  # when the image came


def frame_from_bundle(bundle: Bundle, config: NodeConfig, topics: Topics = OWN_TOPICS) -> Frame:
    """Decode a bundle; ``topics`` are the names that errors call its messages.

    Raises:
        Sam3dError: A message cannot be used; says which and why.
    """
    messages, poses = bundle.messages, bundle.poses
    provided = Provided(
        masks=messages.masks, detections=messages.detections, label_info=messages.label_info
    )
    with naming(topics[Input.IMAGE]):
        rgb = image_from_msg(messages.image)
    height, width = rgb.shape[:2]
    with naming(topics[Input.CAMERA_INFO]):
        camera, uncalibrated = _color_camera(messages.info, width, height, config)
    with naming(topics[Input.MASKS]):
        masks = instances_from(provided, (width, height), config.masks.mode)
    points = depth = None
    if messages.points is not None and poses.camera_from_points is not None:
        with naming(topics[Input.POINTS]):
            points = PointCloud(
                points=cloud_from_msg(messages.points),
                camera_from_sensor=poses.camera_from_points,
            )
    if messages.depth is not None:
        depth = _depth_image(bundle, camera, config, topics)
    frame = Frame(
        rgb=rgb,
        camera=camera,
        stamp_ns=bundle.stamp_ns,
        frame_id=bundle.frame_id,
        masks=masks,
        depth=depth,
        points=points,
        fixed_from_camera=poses.fixed_from_camera,
        fixed_frame_id=config.output_frame,
        up_camera=poses.up_camera,
        uncalibrated=uncalibrated,
        in_motion=poses.in_motion,
    )
    is_boxes = config.masks.mode == "detections" and not provided.is_image
    return with_objects_in_boxes(frame, config) if is_boxes else frame


def depth_frame_from_bundle(
    bundle: DepthBundle, config: NodeConfig, topics: Topics = OWN_TOPICS
) -> DepthFrame:
    """Decode depth and cameras, not the image; ``topics`` are the names that errors call them.

    Raises:
        Sam3dError: A message cannot be used; says which and why.
    """
    with naming(topics[Input.IMAGE]):
        width, height = _size_of(bundle.messages.image)
    with naming(topics[Input.CAMERA_INFO]):
        camera, _ = _color_camera(bundle.messages.info, width, height, config)
    return DepthFrame(
        stamp_ns=bundle.stamp_ns,
        frame_id=bundle.frame_id,
        camera=camera,
        depth=_depth_image(bundle, camera, config, topics),
        fixed_from_camera=bundle.poses.fixed_from_camera,
        fixed_frame_id=config.output_frame,
        in_motion=bundle.poses.in_motion,
    )


@contextmanager
def naming(topic: str) -> Iterator[None]:
    """Put the name of a topic before what is wrong with its message."""
    try:
        yield
    except Sam3dError as error:
        raise type(error)(f"{topic}: {error}") from error


def _size_of(image: Any) -> tuple[int, int]:
    """Return width and height of an image, which only a compressed one must be decoded for."""
    if hasattr(image, "width"):
        return image.width, image.height
    height, width = image_from_msg(image).shape[:2]
    return width, height


def _color_camera(info: Any, width: int, height: int, config: NodeConfig) -> tuple[Camera, bool]:
    """Return the camera of the image, and whether it is a guess."""
    try:
        if info is None:
            raise IntrinsicsError("no camera_info came")
        camera = camera_from_msg(info, rectified=config.camera.rectified)
        _check_size(camera, width, height)
    except IntrinsicsError:
        if not config.camera.fov_fallback_deg:
            raise
        return camera_from_fov(width, height, config.camera.fov_fallback_deg), True
    return camera, False


def _depth_image(bundle: Exposure, color: Camera, config: NodeConfig, topics: Topics) -> DepthImage:
    """Decode depth and find the camera that took it."""
    messages = bundle.messages
    with naming(topics[Input.DEPTH]):
        # The config admits no other unit.
        unit = cast("DepthUnit", config.depth.unit)
        depth_m = metric_depth(depth_from_msg(messages.depth), unit)
    height, width = depth_m.shape
    # A driver without calibration sends zeros, which say no more than no camera_info.
    if messages.depth_info is None or not np.any(messages.depth_info.k):
        with naming(topics[Input.DEPTH]):
            camera = _camera_of_registered(bundle, color, width, height)
    else:
        with naming(topics[Input.DEPTH_INFO]):
            camera = camera_from_msg(messages.depth_info, rectified=config.camera.rectified)
            _check_size(camera, width, height)
    assert bundle.poses.color_from_depth is not None
    return DepthImage(
        depth_m=depth_m, camera=camera, color_from_depth=bundle.poses.color_from_depth
    )


def _camera_of_registered(bundle: Exposure, color: Camera, width: int, height: int) -> Camera:
    """Return the image's camera at the size of a depth image without intrinsics of its own."""
    frame = frame_name(bundle.messages.depth.header.frame_id)
    is_alike = same_aspect((width, height), (color.width, color.height))
    if frame != frame_name(bundle.messages.image.header.frame_id) or not is_alike:
        raise DepthAlignError(
            f"depth of {width}x{height} in frame {frame!r} has no intrinsics, which only works "
            f"with the frame ({bundle.frame_id!r}) and the aspect ratio ({color.width}x"
            f"{color.height}) of the image; publish {Input.DEPTH_INFO.value} or aligned depth"
        )
    return resized(color, width, height)


def _check_size(camera: Camera, width: int, height: int) -> None:
    if (camera.width, camera.height) != (width, height):
        raise IntrinsicsError(
            f"camera_info describes an image of {camera.width}x{camera.height} (after roi and "
            f"binning), got one of {width}x{height}; check that both come from one camera"
        )
