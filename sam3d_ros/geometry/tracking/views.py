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


"""One depth image in the form in which poses are compared with it."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.cameras import pixel_rays, rounded
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.structures import Camera, DepthImage, Floats, InstanceMask, Similarity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackingView:
    """What one exposure says about where objects are."""

    depth_m: Floats  # (h, w), NaN where unknown
    camera: Camera  # of the depth image
    rays: Floats  # (h, w, 3) with z = 1, NaN where the lens shows nothing
    color_from_depth: Similarity
    color: Camera  # in which masks are
    masks: tuple[InstanceMask, ...] = ()

    @property
    def focal_px(self) -> float:
        """Geometric mean of the two focal lengths of the depth camera."""
        return _focal_px(self.camera)

    @property
    def color_focal_px(self) -> float:
        """Geometric mean of the two focal lengths of the colour camera."""
        return _focal_px(self.color)

    def measured_m(self, pixels: Floats) -> Floats:
        """Read the depth at the pixels ``(..., 2)``; NaN outside of the image."""
        inside, columns, rows = rounded(pixels, self.camera)
        return np.where(inside, self.depth_m[rows, columns], np.nan)


def tracking_view(
    depth: DepthImage, color: Camera, masks: tuple[InstanceMask, ...], rays: Floats | None = None
) -> TrackingView:
    """Prepare a depth image.

    Args:
        depth: As measured, not registered to the colour camera.
        color: The camera of the masks.
        masks: Instances in the colour image, if any.
        rays: ``pixel_rays`` of the depth camera, which are the same for all of its images.

    Raises:
        IntrinsicsError: The depth camera has no usable intrinsics.
        DistortionError: Its distortion model is not known.
    """
    return TrackingView(
        depth_m=depth.depth_m,
        camera=depth.camera,
        rays=pixel_rays(depth.camera) if rays is None else rays,
        color_from_depth=depth.color_from_depth,
        color=color,
        masks=masks,
    )


def noise_m(depth_m: Floats) -> Floats:
    """Return the standard deviation of readings at these depths, same shape, metres."""
    return depth_noise_m(depth_m)


def _focal_px(camera: Camera) -> float:
    return float(np.sqrt(camera.matrix_px[0, 0] * camera.matrix_px[1, 1]))
