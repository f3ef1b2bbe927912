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

"""How camera, masks and range sensors are read."""

from dataclasses import dataclass

from sam3d_ros.config.limits import Checked, setting
from sam3d_ros.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncConfig(Checked):
    """How messages of several topics become one frame."""

    mode: str = setting(
        "exact_then_nearest",
        "How messages are matched to the stamp of the mask; latest: a mask is taken for one of the "
        "newest image, whatever its stamp, where its provider copies none",
        choices=("exact", "exact_then_nearest", "latest"),
        dynamic=True,
    )
    slop: float = setting(
        0.04, "Largest stamp difference of a nearest match, s", 0.0, 1.0, dynamic=True
    )
    timeout: float = setting(
        1.0, "How long a mask waits for the other messages of its stamp, s", 0.0, 60.0, dynamic=True
    )
    cache_seconds: float = setting(5.0, "How long messages wait for their mask, s", 0.1, 120.0)
    cache_mb: float = setting(512.0, "Most memory for waiting messages, MB", 16.0, 16384.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasksConfig(Checked):
    """How instance masks are read."""

    mode: str = setting(
        "label_image",
        "label_image: value = instance id; binary: one object, any value; detections: boxes "
        "(vision_msgs) in which depth tells the object; yolo: polygons (yolo_msgs)",
        choices=("label_image", "binary", "detections", "yolo"),
    )
    min_pixels: int = setting(
        400, "Smaller masks are refused (MASK_EMPTY)", 1, 10_000_000, dynamic=True
    )
    max_age: float = setting(5.0, "Older masks are refused (MASK_STALE), s", 0.0, 600.0)
    max_border_fraction: float = setting(
        0.3,
        "Share of the outline on the image border from which an object is TRUNCATED",
        0.0,
        1.0,
        dynamic=True,
    )
    erode_px: int = setting(
        1, "Pixels taken off the mask before depth is read", 0, 20, dynamic=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthConfig(Checked):
    """How depth images are read."""

    unit: str = setting(
        "auto", "auto: 16UC1 is mm, 32FC1 is m", choices=("auto", "m", "mm"), dynamic=True
    )
    min: float = setting(0.1, "Nearer readings are ignored, m", 0.0, 1000.0, dynamic=True)
    max: float = setting(10.0, "Farther readings are ignored, m", 0.0, 1000.0, dynamic=True)
    min_valid_fraction: float = setting(
        0.2, "Share of a mask's pixels that must carry a depth", 0.0, 1.0, dynamic=True
    )
    on_missing: str = setting(
        "monocular",
        "Objects with too little depth: monocular estimates it, where weights.objects has the "
        "depth model (scale_source MONOCULAR); without it, and with skip: DEPTH_SPARSE",
        choices=("monocular", "skip"),
    )

    def __post_init__(self) -> None:
        """Check each setting, and that some depth is neither too near nor too far."""
        Checked.__post_init__(self)  # not super(): slots make another class of this one
        if self.min >= self.max:
            raise ConfigError(
                f"depth.min ({self.min:g} m) must be below depth.max ({self.max:g} m), or every "
                "reading is ignored; of the two, change first the one that makes the range wider"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LidarConfig(Checked):
    """How point clouds become a point map of the image."""

    splat_radius_px: int = setting(2, "Radius of a projected point, px", 0, 20, dynamic=True)
    max_time_offset: float = setting(
        0.1, "Largest stamp difference to the image, s", 0.0, 1.0, dynamic=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig(Checked):
    """How camera_info is read."""

    rectified: bool = setting(
        False,
        "The image topic is rectified already: use P of camera_info and no distortion",
        dynamic=True,
    )
    frame_is_optical: str = setting(
        "auto",
        "Whether the frame_id of images looks along z (REP-103): true; false: take the optical "
        "frame beside it that TF knows; auto: as true, and warn where there is such a frame",
        choices=("auto", "true", "false"),
        dynamic=True,
    )
    fov_fallback_deg: float = setting(
        0.0,
        "Horizontal field of view to assume without intrinsics, degrees; 0 refuses",
        0.0,
        170.0,
        dynamic=True,
    )
