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

"""Points and depth samples to a depth image: the nearest surface wins."""

import numpy as np

from sam3d_ros.geometry.cameras import project
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.structures import Camera, Floats, Ints

STEEPEST = 5.7  # tan(80 deg): steeper surfaces give no reliable depth, so a rise beyond is a step
NUM_SIGMAS = 4.0  # between two readings of one surface


def step_limit_m(depth_m: Floats, camera: Camera, distance_px: float | Floats = 1.0) -> Floats:
    """Return how far two readings ``distance_px`` apart may differ and be one surface, metres.

    A surface inclined by an angle a rises by ``tan(a) z / f`` per pixel; to that comes the noise.
    """
    focal_px = float(np.sqrt(camera.matrix_px[0, 0] * camera.matrix_px[1, 1]))
    slope_m = (STEEPEST / focal_px) * depth_m * distance_px
    limit: Floats = slope_m + NUM_SIGMAS * depth_noise_m(depth_m)
    return limit


def visible_points(points_camera: Floats, camera: Camera) -> tuple[Floats, Ints]:
    """Return depths ``(M,)`` and flat pixel indices ``(M,)`` of the points within the image."""
    columns, rows = np.rint(project(camera, points_camera)).T
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    indices = rows[inside].astype(np.intp) * camera.width + columns[inside].astype(np.intp)
    return points_camera[inside, 2].astype(np.float32), indices


def nearest_depth_m(depths_m: Floats, indices: Ints, camera: Camera) -> Floats:
    """Return the depth image ``(H, W)`` of the nearest surface in each pixel, NaN where none is.

    The mean of all samples on that surface, not the very nearest: else noise pulls it forward.
    """
    num_pixels = camera.height * camera.width
    nearest_m = np.full(num_pixels, np.inf, dtype=np.float32)
    np.minimum.at(nearest_m, indices, depths_m)
    limit_m = nearest_m + step_limit_m(nearest_m, camera)
    front = depths_m <= limit_m[indices]
    sums = np.bincount(indices[front], weights=depths_m[front], minlength=num_pixels)
    counts = np.bincount(indices[front], minlength=num_pixels)
    mean_m = np.divide(sums, counts, out=np.full(num_pixels, np.nan), where=counts > 0)
    return np.asarray(mean_m, dtype=np.float32).reshape(camera.height, camera.width)
