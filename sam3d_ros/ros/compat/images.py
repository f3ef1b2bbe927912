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

"""Colour encodings that only ``cv_bridge`` knows."""

from typing import Any

import numpy as np

from sam3d_ros.errors import EncodingError
from sam3d_ros.ros.compat.packages import optional_module
from sam3d_ros.structures import Bytes

# What numpy and the converter in C++ raise at a message that contradicts itself; CvBridgeError,
# at an encoding that is not known, is a TypeError.
FAILURES = (TypeError, ValueError, RuntimeError)


def rgb_by_cv_bridge(msg: Any) -> Bytes | None:
    """Return the colours ``(H, W, 3)`` uint8 of an Image, None where cv_bridge is not installed.

    Raises:
        EncodingError: It does not know the encoding either, or the data contradict the size.
    """
    package = optional_module("cv_bridge")
    if package is None:
        return None
    try:
        rgb = np.asarray(package.CvBridge().imgmsg_to_cv2(msg, "rgb8"))
    except FAILURES as error:
        raise EncodingError(
            f"cv_bridge makes no rgb8 of {msg.encoding!r}, {msg.width} x {msg.height}: {error}"
        ) from error
    if rgb.shape != (msg.height, msg.width, 3):
        raise EncodingError(
            f"an image of {msg.width} x {msg.height} pixels was announced, cv_bridge read "
            f"{rgb.shape}; width, height, step and encoding contradict the data"
        )
    return rgb.astype(np.uint8)
