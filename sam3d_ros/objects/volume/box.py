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

"""The cube of space in which one object is completed, laid around what is seen of it.

Upright, and turned as the camera looks: so the unseen side is always on the same side of the box.
"""

import torch
from torch import Tensor

from sam3d_ros.geometry.noise import FLOOR_M, PER_SQUARE_METRE
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView

SIDE = 1.7  # of the box, in largest visible extents, the support included
PUSH = 0.2  # of its middle away from the camera, in the same unit: the far side is not seen
TAILS = (0.01, 0.99)  # quantiles that bound the visible points
MIN_EXTENT_M = 0.005
SUPPORT_SIGMAS = 2.0  # points this close to the support belong to it
MAX_SUPPORT_SHARE = 0.5  # an object that would lose more is flat itself and keeps them
MIN_GAP_M = 0.015  # along the depth, that parts what a mask shows; or a share of its width
GAP_PER_WIDTH = 0.25
MIN_HORIZONTAL = 0.25  # sine of the angle to straight down below which x is up in the image
UP_IN_IMAGE = (0.0, -1.0, 0.0)
BELOW_M, ABOVE_M = -0.012, 0.06  # a support's distance to the lowest visible points
ABOVE_FROM_TOP_M = 0.30  # seen steeply from above, sides and feet are always hidden
ABOVE_PER_HEIGHT = 1.0  # what hides the feet may hide much of an object
STEEP_COSINE = 0.80  # 37 degrees off the normal
LOWEST = 0.02  # quantile of the heights


def box_of(view: VolumeView) -> VolumeBox:
    """Lay a box around what a view shows of each object; NaN where it shows no point of it."""
    points = _object_points(view)
    middle = points.nanmedian(dim=1).values
    rotation = _rotation(view.up, middle)
    placed = points @ rotation
    low, high = torch.nanquantile(placed, placed.new_tensor(TAILS), dim=1)
    low = torch.cat((low[:, :2], _floor(view, middle, rotation, low[:, 2:], high[:, 2:])), dim=1)
    extent = (high - low).amax(dim=1).clamp(min=MIN_EXTENT_M)
    centre = (low + high) / 2
    centre = centre + extent[:, None] * centre.new_tensor((PUSH, 0.0, 0.0))
    return VolumeBox(
        rotation=rotation,
        centre_m=(rotation @ centre[..., None])[..., 0],
        side_m=SIDE * extent,
    )


def with_sure_plane(view: VolumeView) -> VolumeView:
    """Forget a support that does not carry the object: one far below it, or far above its feet."""
    points = _points(view).flatten(1, 2)
    shown = (view.mask & view.depth_m.isfinite()).flatten(1)
    middle = torch.where(shown[..., None], points, torch.nan).nanmedian(dim=1).values
    heights = torch.where(shown, heights_m(view.plane, points), torch.nan)
    low, high = torch.nanquantile(heights, heights.new_tensor((LOWEST, 1 - LOWEST)), dim=1)
    cosine = -(view.plane[:, :3] * torch.nn.functional.normalize(middle, dim=1)).sum(dim=1)
    above_m = torch.where(cosine > STEEP_COSINE, ABOVE_FROM_TOP_M, ABOVE_M)
    above_m = torch.maximum(above_m, ABOVE_PER_HEIGHT * (high - low))
    sure = (low > BELOW_M) & (low < above_m)
    return VolumeView(
        depth_m=view.depth_m,
        mask=view.mask,
        matrix_px=view.matrix_px,
        up=view.up,
        plane=view.plane * sure[:, None],
    )


def covering_matrix(box: VolumeBox, matrix_px: Tensor, size: int, margin: float = 1.05) -> Tensor:
    """Return the camera matrices ``(B, 3, 3)`` of square crops that show boxes as a whole.

    Args:
        box: In front of the camera.
        matrix_px: ``(B, 3, 3)`` of the whole image.
        size: Pixels along a side of the crop.
        margin: Side of the crop, in sides of the smallest that does.
    """
    corners = torch.cartesian_prod(*[box.side_m.new_tensor((-0.5, 0.5))] * 3)
    corners = points_in_camera(box, corners)
    depth_m = corners[..., 2:].clamp(min=0.1 * box.side_m[:, None, None])
    pixels = (corners / depth_m @ matrix_px.mT)[..., :2]
    low, high = pixels.amin(dim=1), pixels.amax(dim=1)
    side = margin * (high - low).amax(dim=1)  # in pixels of the whole image
    first = (low + high) / 2 - side[:, None] / 2  # the crop's corner, half a pixel off a centre
    matrix = matrix_px * (size / side)[:, None, None]
    matrix[:, :2, 2] = (matrix_px[:, :2, 2] - first) * (size / side)[:, None] - 0.5
    matrix[:, 2] = matrix_px[:, 2]
    return matrix


def points_in_camera(box: VolumeBox, points_box: Tensor) -> Tensor:
    """Return points ``(N, 3)``, or ``(B, N, 3)``, of boxes in the camera frame ``(B, N, 3)``."""
    turned = points_box @ box.rotation.mT
    return turned * box.side_m[:, None, None] + box.centre_m[:, None]


def heights_m(plane: Tensor, points_camera: Tensor) -> Tensor:
    """Return heights of points ``(B, N, 3)`` above planes ``(B, 4)``, ``(B, N)``."""
    return (points_camera @ plane[:, :3, None])[..., 0] + plane[:, 3:]


def _points(view: VolumeView) -> Tensor:
    """Return what the pixels show in the camera frame, ``(B, P, P, 3)``."""
    num_rows, num_columns = view.depth_m.shape[1:]
    v = torch.arange(num_rows, device=view.depth_m.device)
    u = torch.arange(num_columns, device=view.depth_m.device)
    focal, middle = view.matrix_px[:, (0, 1), (0, 1)], view.matrix_px[:, :2, 2]
    x = (u - middle[:, :1]) / focal[:, :1]
    y = (v - middle[:, 1:]) / focal[:, 1:]
    rays = torch.stack(
        (x[:, None].expand_as(view.depth_m), y[..., None].expand_as(view.depth_m)), dim=-1
    )
    depth_m = view.depth_m[..., None]
    return torch.cat((rays * depth_m, depth_m), dim=-1)


def _object_points(view: VolumeView) -> Tensor:
    """Return the points of the object ``(B, P^2, 3)``, NaN for pixels of anything else."""
    points = _points(view).flatten(1, 2)
    shown = (view.mask & view.depth_m.isfinite()).flatten(1)
    z = points[..., 2]
    sigma_m = FLOOR_M + PER_SQUARE_METRE * z.square()
    is_support = shown & (heights_m(view.plane, points) < SUPPORT_SIGMAS * sigma_m)
    is_support &= view.plane.any(dim=1, keepdim=True)
    flat = is_support.sum(dim=1) > MAX_SUPPORT_SHARE * shown.sum(dim=1)
    shown &= ~is_support | flat[:, None]
    shown &= _in_largest_part(points, shown)
    return torch.where(shown[..., None], points, torch.nan)


def _in_largest_part(points: Tensor, shown: Tensor) -> Tensor:
    """Tell which points have the depth of most: no wide gap lies between, ``(B, N)``.

    What a mask shows past the rim of an object, or through its holes, lies far behind it.
    """
    across = torch.where(shown[..., None], points[..., :2], torch.nan)
    low, high = torch.nanquantile(across, across.new_tensor((0.1, 0.9)), dim=1)
    gap_m = (GAP_PER_WIDTH * (high - low).amax(dim=1)).clamp(min=MIN_GAP_M)
    depth_m, order = torch.where(shown, points[..., 2], torch.inf).sort(dim=1)
    behind = depth_m.diff(dim=1) > gap_m[:, None]
    part = torch.nn.functional.pad(behind.cumsum(dim=1), (1, 0))
    counted = torch.zeros_like(depth_m).scatter_add_(1, part, depth_m.isfinite().to(depth_m))
    largest = counted.argmax(dim=1, keepdim=True)
    return torch.zeros_like(shown).scatter(1, order, part == largest)


def _rotation(up: Tensor, middle: Tensor) -> Tensor:
    """Return rotations with the columns x (away from the camera), y, z = ``up``."""
    view = torch.nn.functional.normalize(middle, dim=1)
    x = _across(view, up)
    from_above = x.norm(dim=1, keepdim=True) < MIN_HORIZONTAL
    x = torch.where(from_above, _across(up.new_tensor(UP_IN_IMAGE).expand_as(up), up), x)
    x = torch.nn.functional.normalize(x, dim=1)
    return torch.stack((x, torch.linalg.cross(up, x), up), dim=2)


def _across(direction: Tensor, up: Tensor) -> Tensor:
    return direction - (direction * up).sum(dim=1, keepdim=True) * up


def _floor(view: VolumeView, middle: Tensor, rotation: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return where along z the box's content ends below: at the support, where there is one."""
    height_m = heights_m(view.plane, middle[:, None])  # (B, 1)
    support = (rotation[:, :, 2] * middle).sum(dim=1, keepdim=True) - height_m
    return torch.where(view.plane.any(dim=1, keepdim=True), torch.minimum(support, high), low)
