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

"""A made-up view for a first reconstruction that nobody waits for.

The first frame of a process takes longer than those that follow: libraries load what they need
when it is needed, and fetch memory.
"""

import numpy as np

from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.structures import Camera, DepthImage, Floats, Frame, InstanceMask

WIDTH, HEIGHT, FOCAL_PX = 320, 240, 300.0
TILT_RAD = 0.8  # of the camera, below the horizon
RADIUS_M = 0.05
BALL_M = 0.55  # from the camera to the ball's centre, which lies on its axis


def ball_on_table() -> Frame:
    """Return a view of one ball that lies on a table."""
    matrix = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])
    camera = Camera(width=WIDTH, height=HEIGHT, matrix_px=matrix)
    rays = pixel_rays(camera)  # (H, W, 3), z = 1
    table_m, ball_m = _table_m(rays), _ball_m(rays)
    depth_m = np.fmin(table_m, ball_m).astype(np.float32)
    mask = np.isfinite(ball_m)
    rgb = np.where(mask[..., None], (200, 60, 40), (120, 110, 100)).astype(np.uint8)
    return Frame(
        rgb=rgb,
        camera=camera,
        masks=(InstanceMask(instance_id=1, mask=mask),),
        depth=DepthImage(depth_m=depth_m, camera=camera),
    )


def _table_m(rays: Floats) -> Floats:
    """Depth of the plane under the ball; NaN above the horizon."""
    up = np.array([0.0, -np.cos(TILT_RAD), -np.sin(TILT_RAD)])
    height_m = RADIUS_M - BALL_M * up[2]  # of the camera above the table
    fall = -(rays @ up)
    return height_m / np.where(fall > 0.1, fall, np.nan)


def _ball_m(rays: Floats) -> Floats:
    """Depth of the ball's near side: the lesser root of ``|t ray - center| = radius``."""
    square = (rays**2).sum(axis=-1)
    beside = BALL_M**2 - square * (BALL_M**2 - RADIUS_M**2)
    return (BALL_M - np.sqrt(np.where(beside > 0, beside, np.nan))) / square
