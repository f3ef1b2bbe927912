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


"""Cameras as robots carry them, and the crops of their images around objects."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.objects.volume.box import PUSH, SIDE, covering_matrix
from sam3d_ros.objects.volume.view import VolumeBox
from sam3d_ros.training.scenes.bodies import Bodies
from sam3d_ros.training.scenes.draws import Draws
from sam3d_ros.training.scenes.pool import Shapes
from sam3d_ros.training.scenes.recipes import SceneRecipe

# Width, height, focal length of images that depth is registered to: Xtion and Kinect, RealSense
# D415, D435 and D455 at two sizes, Azure Kinect, ZED 2, and the Xtion of the YCB-Video data.
CAMERAS = (
    (640, 480, 525.0),
    (640, 480, 575.0),
    (640, 480, 616.0),
    (640, 480, 385.0),
    (1280, 720, 912.0),
    (1280, 720, 640.0),
    (1280, 720, 610.0),
    (1280, 720, 530.0),
    (640, 480, 1067.0),
)
FOCAL_SPREAD = 0.04
CENTRE_SPREAD_PX = 12.0
# Below level, in degrees: most robots look down at tables halfway, some from right above.
PITCH_DEG = (3.0, 15.0, 25.0, 35.0, 50.0, 70.0, 89.0)
ROLL_SIGMA_RAD = 0.04
ROLLED_SHARE = 0.1  # of cameras, on wrists, with any roll up to
ROLLED_RAD = 0.6
NEAREST = 2.2  # to the camera, in largest extents of the object
BOX_JITTER = 0.04  # of the crop's box, as a share of its side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cameras:
    """B cameras in their worlds."""

    matrix_px: Tensor  # (B, 3, 3) of the whole image
    size_px: Tensor  # (B, 2) width and height
    camera_from_world: Tensor  # (B, 3, 3)
    position_m: Tensor  # (B, 3) in the world

    def __getitem__(self, scenes: Tensor) -> "Cameras":
        """Return those of some scenes."""
        return Cameras(**{each.name: getattr(self, each.name)[scenes] for each in fields(self)})

    def points_camera(self, points_world: Tensor) -> Tensor:
        """Return points ``(B, ..., 3)`` of the world in the camera frame."""
        flat = (points_world - _like(self.position_m, points_world)).flatten(1, -2)
        return (flat @ self.camera_from_world.mT).view_as(points_world)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crops:
    """Square parts of B images, sampled to P x P pixels each: nearest ones, as captures are."""

    matrix_px: Tensor  # (B, 3, 3)
    # Where in the crop the middles of the taken pixels lie, and which of the image they are.
    u: Tensor  # (B, P)
    v: Tensor  # (B, P)
    columns: Tensor  # (B, P) float
    rows: Tensor  # (B, P) float
    inside: Tensor  # (B, P, P) bool, whether the image has them
    step_px: Tensor  # (B,) pixels of the image to one of the crop

    def rays_camera(self) -> Tensor:
        """Return the directions of the pixels, with z = 1, ``(B, P, P, 3)``."""
        matrix = self.matrix_px
        x = (self.u - matrix[:, :1, 2]) / matrix[:, :1, 0]
        y = (self.v - matrix[:, 1:2, 2]) / matrix[:, 1:2, 1]
        shape = self.inside.shape
        x, y = x[:, None].expand(shape), y[..., None].expand(shape)
        return torch.stack((x, y, torch.ones_like(x)), dim=-1)


def sampled_cameras(draws: Draws, bodies: Bodies, recipe: SceneRecipe) -> Cameras:
    """Draw a camera for each scene that has the first body in its image."""
    num = len(bodies.shape)
    matrix_px, size_px = _intrinsics(draws, num)
    distance_m = (
        bodies.size_m[:, 0] * matrix_px[:, 0, 0] / draws.log_uniform((num,), *recipe.size_px)
    )
    distance_m = distance_m.clamp(*recipe.distance_m).maximum(NEAREST * bodies.size_m[:, 0])
    pixel = size_px * draws.uniform((num, 2), 0.2, 0.8)
    cut = draws.chance((num,), recipe.cut_share)
    pixel = torch.where(
        cut[:, None], _near_border(draws, size_px, bodies, distance_m, matrix_px), pixel
    )
    ray = F.normalize(_ray(matrix_px, pixel), dim=1)
    pitch = _pitch(draws, num)
    heading = torch.stack((pitch.cos(), torch.zeros_like(pitch), -pitch.sin()), dim=1)
    rolled = draws.uniform((num,), -ROLLED_RAD, ROLLED_RAD)
    roll = draws.normal((num,), ROLL_SIGMA_RAD)
    roll = torch.where(draws.chance((num,), ROLLED_SHARE), rolled, roll)
    # Level cameras have y down; what they see ahead at ``ray`` lies at ``heading`` in the world.
    down_camera = torch.stack((-roll.sin(), roll.cos(), torch.zeros_like(roll)), dim=1)
    down_world = torch.stack((-pitch.sin(), torch.zeros_like(pitch), -pitch.cos()), dim=1)
    camera_from_world = _frame(ray, down_camera) @ _frame(heading, down_world).mT
    return Cameras(
        matrix_px=matrix_px,
        size_px=size_px,
        camera_from_world=camera_from_world,
        position_m=bodies.position_m[:, 0] - distance_m[:, None] * heading,
    )


def crops_around(
    draws: Draws, cameras: Cameras, bodies: Bodies, shapes: Shapes, size: int
) -> Crops:
    """Lay a crop around the box that the first body of each scene will get, more or less."""
    feet = cameras.points_camera(bodies.feet_m(shapes)[:, 0])
    up = cameras.camera_from_world[:, :, 2]
    box = _expected_box(feet, up)
    jitter = draws.normal((len(feet), 3), BOX_JITTER) * box.side_m[:, None]
    larger = 1.0 + draws.normal((len(feet),), BOX_JITTER).abs()
    box = VolumeBox(
        rotation=box.rotation, centre_m=box.centre_m + jitter, side_m=box.side_m * larger
    )
    return _crops(cameras, covering_matrix(box, cameras.matrix_px, size), size)


def _expected_box(feet: Tensor, up: Tensor) -> VolumeBox:
    """Return the box around all of a body, seen or not; ``box_of`` will have the visible part."""
    away = F.normalize(feet.mean(dim=1), dim=1)
    level = away - (away * up).sum(dim=1, keepdim=True) * up
    ahead = torch.tensor((0.0, -1.0, 0.0), device=up.device) - up[:, 1:2] * -up
    level = F.normalize(torch.where(level.norm(dim=1, keepdim=True) < 0.25, ahead, level), dim=1)
    rotation = torch.stack((level, torch.linalg.cross(up, level), up), dim=2)
    placed = feet @ rotation
    low, high = placed.amin(dim=1), placed.amax(dim=1)
    extent = (high - low).amax(dim=1)
    push = 0.5 * PUSH * extent[:, None] * extent.new_tensor((1.0, 0.0, 0.0))
    centre = (rotation @ ((low + high) / 2 + push)[..., None])[..., 0]
    return VolumeBox(rotation=rotation, centre_m=centre, side_m=SIDE * extent)


def _crops(cameras: Cameras, matrix: Tensor, size: int) -> Crops:
    whole = cameras.matrix_px
    steps = torch.arange(size, device=matrix.device)
    ratio = whole[:, (0, 1), (0, 1)] / matrix[:, (0, 1), (0, 1)]
    pixels = ((steps - matrix[:, :2, 2:]) * ratio[..., None] + whole[:, :2, 2:]).round()
    within = (pixels >= 0) & (pixels < cameras.size_px[..., None])
    own = (pixels - whole[:, :2, 2:]) / ratio[..., None] + matrix[:, :2, 2:]
    return Crops(
        matrix_px=matrix,
        u=own[:, 0],
        v=own[:, 1],
        columns=pixels[:, 0],
        rows=pixels[:, 1],
        inside=within[:, 1, :, None] & within[:, 0, None],
        step_px=ratio[:, 0],
    )


def _intrinsics(draws: Draws, num: int) -> tuple[Tensor, Tensor]:
    table = torch.tensor(CAMERAS, device=draws.device)
    chosen = table[draws.integers((num,), len(CAMERAS))]
    focal = chosen[:, 2] * draws.uniform((num,), 1 - FOCAL_SPREAD, 1 + FOCAL_SPREAD)
    centre = (chosen[:, :2] - 1) / 2 + draws.normal((num, 2), CENTRE_SPREAD_PX)
    matrix = torch.zeros(num, 3, 3, device=draws.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = focal
    matrix[:, :2, 2] = centre
    matrix[:, 2, 2] = 1.0
    return matrix, chosen[:, :2]


def _near_border(
    draws: Draws, size_px: Tensor, bodies: Bodies, distance_m: Tensor, matrix_px: Tensor
) -> Tensor:
    """Return pixels ``(B, 2)`` so near one of the four borders that it cuts an object there."""
    num = len(size_px)
    half_px = 0.5 * bodies.size_m[:, 0] * matrix_px[:, 0, 0] / distance_m
    along = size_px * draws.uniform((num, 2), 0.2, 0.8)
    off = half_px * draws.uniform((num,), -0.1, 0.7)
    side = draws.integers((num,), 4)
    axis, far = side % 2, side >= 2
    length = size_px.gather(1, axis[:, None])[:, 0]
    place = torch.where(far, length - off, off)
    return along.scatter(1, axis[:, None], place[:, None])


def _ray(matrix_px: Tensor, pixel: Tensor) -> Tensor:
    at = (pixel - matrix_px[:, :2, 2]) / matrix_px[:, (0, 1), (0, 1)]
    return F.pad(at, (0, 1), value=1.0)


def _pitch(draws: Draws, num: int) -> Tensor:
    """Draw pitches in radians: every stretch of ``PITCH_DEG`` is as likely."""
    knots = torch.tensor(PITCH_DEG, device=draws.device)
    place = draws.uniform((num,), 0.0, len(PITCH_DEG) - 1.001)
    below = place.long()
    return torch.lerp(knots[below], knots[below + 1], place - below).deg2rad()


def _frame(ahead: Tensor, down: Tensor) -> Tensor:
    """Return rotations whose columns are right, down and ahead ``(B, 3, 3)``."""
    right = F.normalize(torch.linalg.cross(down, ahead), dim=1)
    return torch.stack((right, torch.linalg.cross(ahead, right), ahead), dim=2)


def _like(values: Tensor, points: Tensor) -> Tensor:
    return values.view(len(values), *[1] * (points.dim() - 2), 3)
