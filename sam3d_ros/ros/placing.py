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


"""Where and how fast the camera was: what TF says about the frames of one exposure."""

import math
from itertools import takewhile
from typing import Any

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import DepthAlignError, TransformError
from sam3d_ros.ros.compat.tf_buffer import TransformBuffer, frame_name
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.framing import Matched, Poses
from sam3d_ros.structures import NS_PER_S, Similarity

OPTICAL = "optical"  # in the names of frames that look along z, by REP-103
SAME_PLACE_M = 1e-3  # an optical frame is its camera's, turned
SPEED_NS = NS_PER_S // 10  # over this time a camera's speed is measured: longer than TF jitters


def poses_of(messages: Matched, transforms: TransformBuffer, config: NodeConfig) -> Poses:
    """Look up every transform that a frame needs, at the stamps of its messages.

    Raises:
        TransformError: A frame that the settings name, or that of the points, is not known then.
        DepthAlignError: Depth comes from another frame, and how they relate is not known then.
    """
    camera, stamp_ns = here = _where_and_when(messages.image, transforms, config)
    if not camera:
        raise TransformError("the image has an empty frame_id; set it in the camera driver")
    fixed = up = color_from_depth = camera_from_points = None
    if config.output_frame:
        fixed = transforms.lookup(config.output_frame, camera, stamp_ns)
    if config.gravity_frame:
        up = transforms.lookup(camera, config.gravity_frame, stamp_ns).rotation[:, 2]
    if messages.depth is not None:
        depth = _where_and_when(messages.depth, transforms, config)
        color_from_depth = _color_from_depth(here, depth, transforms)
    if messages.points is not None:
        sensor = frame_name(messages.points.header.frame_id)
        points_ns = stamp_ns_from_msg(messages.points.header.stamp)
        camera_from_points = transforms.lookup_between(here, (sensor, points_ns))
    limit = config.tf.max_camera_speed
    return Poses(
        frame_id=camera,
        fixed_from_camera=fixed,
        up_camera=up,
        color_from_depth=color_from_depth,
        camera_from_points=camera_from_points,
        in_motion=fixed is not None and 0 < limit < _speed_m_s(here, fixed, transforms, config),
    )


def optical_beside(frame: str, transforms: TransformBuffer) -> str:
    """Return the frame of the same camera that looks along z; empty where none is known."""
    beside = [
        name
        for name in sorted(transforms.frames)
        if OPTICAL in name
        and transforms.is_rigid(frame, name)
        and math.hypot(*transforms.lookup(frame, name, 0).translation_m) < SAME_PLACE_M
    ]
    return max(beside, key=lambda name: _num_shared(name, frame), default="")


def _where_and_when(
    message: Any, transforms: TransformBuffer, config: NodeConfig
) -> tuple[str, int]:
    """Return optical frame and stamp of an image.

    Raises:
        TransformError: Its frame is not optical, by the settings, and no such one is beside it.
    """
    frame = frame_name(message.header.frame_id)
    stamp_ns = stamp_ns_from_msg(message.header.stamp)
    if config.camera.frame_is_optical != "false" or OPTICAL in frame or not frame:
        return frame, stamp_ns
    optical = optical_beside(frame, transforms)
    if not optical:
        raise TransformError(
            f"camera.frame_is_optical is false, and TF has no frame at the place of {frame!r} with "
            f"{OPTICAL!r} in its name; publish one on /tf_static (rpy -pi/2 0 -pi/2 from "
            f"{frame!r}), or let the driver stamp its images with one"
        )
    return optical, stamp_ns


def _color_from_depth(
    camera: tuple[str, int], depth: tuple[str, int], transforms: TransformBuffer
) -> Similarity:
    if depth[0] == camera[0]:
        return Similarity.identity()
    if transforms.is_rigid(camera[0], depth[0]):
        # As in one frame, no motion between two exposures of one device is looked for: that would
        # need the pose of all that carries it, which often comes late.
        return transforms.lookup(camera[0], depth[0], camera[1])
    try:
        return transforms.lookup_between(camera, depth)
    except TransformError as error:
        raise DepthAlignError(
            f"depth is in frame {depth[0]!r}, the image in {camera[0]!r}, and TF does not relate "
            f"them: {error}; publish that transform or use depth aligned to the image"
        ) from error


def _speed_m_s(
    camera: tuple[str, int],
    fixed_from_camera: Similarity,
    transforms: TransformBuffer,
    config: NodeConfig,
) -> float:
    """Return how fast a camera moved until its stamp; NaN where its past is not known."""
    frame, stamp_ns = camera
    try:
        before = transforms.lookup(config.output_frame, frame, stamp_ns - SPEED_NS)
    except TransformError:
        return float("nan")
    way_m = math.dist(before.translation_m, fixed_from_camera.translation_m)
    return way_m * NS_PER_S / SPEED_NS


def _num_shared(first: str, second: str) -> int:
    """Return with how many letters in common two names begin."""
    pairs = zip(first, second, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
