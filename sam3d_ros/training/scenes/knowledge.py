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


"""What is known of a scene besides the image: the support, and which way is up; with errors."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.objects.volume.prepare import UNKNOWN_PITCH
from sam3d_ros.training.scenes.bodies import rotation_about
from sam3d_ros.training.scenes.cameras import Cameras
from sam3d_ros.training.scenes.draws import Draws
from sam3d_ros.training.scenes.recipes import PlaneRecipe

GRAVITY_SHARE = 0.5  # of scenes without a plane, in which an accelerometer tells what is up
GRAVITY_SIGMA_RAD = 0.02
MAX_TILT_RAD = 0.09
UNKNOWN_UP = (0.0, -math.cos(UNKNOWN_PITCH), -math.sin(UNKNOWN_PITCH))  # as captures have it then


def known_planes(
    draws: Draws, cameras: Cameras, supported: Tensor, recipe: PlaneRecipe
) -> tuple[Tensor, Tensor]:
    """Return planes ``(B, 4)``, zeros where none is known, and up ``(B, 3)`` in the camera.

    Errors of a plane are those at the origin of the world, around which it is fitted.
    """
    num = len(supported)
    wrong = draws.chance((num,), recipe.wrong_share)
    tilt = draws.normal((num,), recipe.tilt_sigma_rad).clamp(-MAX_TILT_RAD, MAX_TILT_RAD)
    tilt = torch.where(wrong, draws.uniform((num,), 0.0, recipe.wrong_tilt_rad), tilt)
    offset_m = draws.normal((num,), recipe.offset_sigma_m)
    limit_m = recipe.wrong_offset_m
    offset_m = torch.where(wrong, draws.uniform((num,), -limit_m, limit_m), offset_m)
    offset_m = offset_m.clamp(-limit_m, limit_m)
    true_up = cameras.camera_from_world[:, :, 2]
    normal = tilted(draws, true_up, tilt)
    origin = cameras.points_camera(torch.zeros_like(cameras.position_m)[:, None])[:, 0]
    plane = torch.cat((normal, offset_m[:, None] - (normal * origin).sum(1, True)), dim=1)
    given = supported & draws.chance((num,), recipe.given_share)
    gravity = tilted(draws, true_up, draws.normal((num,), GRAVITY_SIGMA_RAD))
    guess = plane.new_tensor(UNKNOWN_UP)
    felt = draws.chance((num, 1), GRAVITY_SHARE)
    up = torch.where(given[:, None], normal, torch.where(felt, gravity, guess))
    return plane * given[:, None], up


def tilted(draws: Draws, directions: Tensor, angle: Tensor) -> Tensor:
    """Turn unit vectors ``(B, 3)`` by angles ``(B,)`` about axes drawn across them."""
    other = draws.directions((len(directions),))
    axis = F.normalize(torch.linalg.cross(directions, other), dim=1)
    return (rotation_about(axis, angle) @ directions[..., None])[..., 0]
