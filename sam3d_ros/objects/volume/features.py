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

"""What a depth image says of every voxel of a box.

A voxel before the surface that its pixel shows is free; what lies behind is unknown: behind the
object itself if the pixel is the object's, behind an occluder or neighbour otherwise. So the
distance takes its sign from the whole image, and the mask only says of what.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.objects.volume.box import heights_m, points_in_camera
from sam3d_ros.objects.volume.view import TRUNCATION, VolumeBox, VolumeView

# Of the channels, in their order.
CHANNELS = (
    "distance",  # from the voxel to the surface along the depth, > 0 before it, in [-1, 1]
    "valid",  # whether its pixel has a depth
    "mask",  # how far its pixel is the object's
    "surface",  # 1 on the object's measured surface, 0 from two voxels off it
    "masked_distance",
    "height",  # above the support, in [-1, 1]
    "has_plane",
    "x",  # in [-1, 1]
    "y",
    "z",
)
NUM_CHANNELS = len(CHANNELS)
MIRRORED = -2  # the axis from right to left, of grids over x, y, z
NEAREST_M = 1e-3  # nothing nearer, or behind the camera, is seen
SURFACE_VOXELS = 2.0
HEIGHT_UNIT = 4 * TRUNCATION  # in sides of the box
JUMP = TRUNCATION / 4  # between pixels, in sides of the box: no surface runs across it


def volume_features(view: VolumeView, box: VolumeBox, resolution: int) -> Tensor:
    """Return ``(B, NUM_CHANNELS, R, R, R)`` over x, y, z of the boxes, float32."""
    voxels = voxel_middles(resolution, box.side_m.device)
    points = points_in_camera(box, voxels)
    behind_m = points[..., 2]
    depth_m, mask = _at_pixels(view, box, points)
    valid = depth_m.isfinite()
    before_m = torch.where(valid, depth_m - behind_m, 0.0)
    side_m = box.side_m[:, None]
    distance = (before_m / (TRUNCATION * side_m)).clamp(-1.0, 1.0)
    near = 1.0 - before_m.abs() / (SURFACE_VOXELS / resolution * side_m)
    has_plane = view.plane.any(dim=1, keepdim=True).to(distance).expand_as(distance)
    height = (heights_m(view.plane, points) / (HEIGHT_UNIT * side_m)).clamp(-1.0, 1.0)
    channels = (
        distance,
        valid.to(distance),
        mask,
        near.clamp(min=0.0) * mask * valid,
        distance * mask,
        height * has_plane,
        has_plane,
        *(2.0 * voxels.T[:, None].expand(-1, len(distance), -1)),
    )
    return torch.stack(channels, dim=1).reshape(-1, NUM_CHANNELS, *(resolution,) * 3)


def mirrored(features: Tensor) -> Tensor:
    """Return the features ``(B, C, R, R, R)`` of the same scene with left and right exchanged."""
    exchanged = features.flip(MIRRORED)
    exchanged[:, CHANNELS.index("y")].neg_()
    return exchanged


def voxel_middles(resolution: int, device: torch.device) -> Tensor:
    """Return the middles of a box's voxels ``(R^3, 3)``, z running fastest, in [-0.5, 0.5]."""
    axis = (torch.arange(resolution, device=device) + 0.5) / resolution - 0.5
    return torch.cartesian_prod(axis, axis, axis)


def _at_pixels(view: VolumeView, box: VolumeBox, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return depth, NaN where unknown, and mask of the pixels that show points, each ``(B, N)``."""
    size = view.depth_m.shape[-1]
    z = points[..., 2]
    focal, middle = view.matrix_px[:, None, (0, 1), (0, 1)], view.matrix_px[:, None, :2, 2]
    pixels = points[..., :2] / z.clamp(min=NEAREST_M)[..., None] * focal + middle
    grid = ((2.0 * pixels + 1.0) / size - 1.0)[:, None]  # (B, 1, N, 2), -1 at the outer edge
    maps = torch.stack((view.depth_m, view.mask.to(view.depth_m)), dim=1)
    between = F.grid_sample(maps, grid, "bilinear", "zeros", align_corners=False)[:, :, 0]
    nearest = F.grid_sample(maps[:, :1], grid, "nearest", "zeros", align_corners=False)[:, 0, 0]
    seen = (grid[:, 0].abs() < 1.0).all(dim=-1) & (z > NEAREST_M)
    smooth = (between[:, 0] - nearest).abs() < JUMP * box.side_m[:, None]
    depth_m = torch.where(smooth, between[:, 0], nearest)
    return torch.where(seen, depth_m, torch.nan), between[:, 1] * seen
