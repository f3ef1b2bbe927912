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


"""What stands around the objects of a scene: table, floor and wall, as planes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.training.scenes.draws import Draws
from sam3d_ros.training.scenes.recipes import SceneRecipe

TABLE, FLOOR, WALL = range(3)
ENDING_SHARE = 0.35  # of tables whose far edge is in sight
EDGE_M = (0.12, 0.8)  # from the object
FLOOR_M = (0.35, 1.1)  # below the table
WALL_M = (0.35, 3.5)
WALLED_SHARE = 0.6
ENDLESS_M = 10.0
PATTERN_PER_M = (4.0, 120.0)  # radians


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """Three planes in each of B worlds, and how they are painted."""

    planes: Tensor  # (B, 3, 4) height = n . p + d
    exists: Tensor  # (B, 3) bool
    edge_m: Tensor  # (B, 3) where the table ends: x behind, y left and right of the object
    color: Tensor  # (B, 3, 3)
    second: Tensor  # (B, 3, 3) colour of the pattern
    waves: Tensor  # (B, 3, 3) of the pattern, radians per metre along x, y, z

    def seen(self, origin: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
        """Return the depth ``(B, P, P)``, inf where nothing is, and which plane it is of.

        Args:
            origin: ``(B, 3)`` of the cameras.
            rays: ``(B, P, P, 3)`` in the world, for one metre of depth.
        """
        normal, offset = self.planes[..., :3], self.planes[..., 3]
        height_m = (normal @ origin[..., None])[..., 0] + offset
        fall = torch.einsum("bkc,bijc->bkij", normal, rays)
        depth_m = -height_m[..., None, None] / torch.where(fall.abs() < 1e-6, 1e-6, fall)
        ahead = (depth_m > 0) & self.exists[..., None, None]
        points = origin[:, None, None] + depth_m[:, TABLE, ..., None] * rays
        edge_m = self.edge_m[:, None, None]
        within = (points[..., 0] < edge_m[..., 0]) & (points[..., 1].abs() < edge_m[..., 1])
        ahead[:, TABLE] &= within
        nearest = torch.where(ahead, depth_m, torch.inf).min(dim=1)
        return nearest.values, nearest.indices

    def colors(self, plane: Tensor, points: Tensor) -> Tensor:
        """Return colours ``(B, P, P, 3)`` of points of the world on planes ``(B, P, P)``."""
        scene = torch.arange(len(plane), device=plane.device)[:, None, None]
        phase = (points * self.waves[scene, plane]).sum(dim=-1, keepdim=True)
        share = (0.5 + 0.5 * torch.sin(phase)) ** 2
        return torch.lerp(self.color[scene, plane], self.second[scene, plane], share)


def sampled_surroundings(draws: Draws, num: int, recipe: SceneRecipe) -> Surroundings:
    """Draw what is around ``num`` scenes; without a table what is looked at hangs in the air."""
    device = draws.device
    supported = draws.chance((num,), recipe.supported_share)
    planes = torch.zeros(num, 3, 4, device=device)
    planes[:, TABLE, 2] = 1.0
    planes[:, FLOOR, 2] = 1.0
    planes[:, FLOOR, 3] = draws.uniform((num,), *FLOOR_M)
    turn = draws.uniform((num,), -0.7, 0.7)
    planes[:, WALL, 0], planes[:, WALL, 1] = -turn.cos(), turn.sin()
    planes[:, WALL, 3] = draws.log_uniform((num,), *WALL_M)
    ends = draws.chance((num,), ENDING_SHARE)
    edge_m = torch.full((num, 2), ENDLESS_M, device=device)
    edge_m[:, 0] = torch.where(ends, draws.uniform((num,), *EDGE_M), ENDLESS_M)
    edge_m[:, 1] = torch.where(draws.chance((num,), 0.2), draws.uniform((num,), *EDGE_M), ENDLESS_M)
    exists = torch.ones(num, 3, dtype=torch.bool, device=device)
    exists[:, TABLE] = supported
    exists[:, WALL] = draws.chance((num,), WALLED_SHARE)
    color = draws.uniform((num, 3, 3), 0.1, 0.9)
    grey = color.mean(dim=-1, keepdim=True)
    color = torch.lerp(grey, color, draws.uniform((num, 3, 1)))
    contrast = draws.normal((num, 3, 1), 0.12) * draws.chance((num, 3, 1), 0.7)
    direction = F.normalize(draws.normal((num, 3, 3)), dim=-1)
    return Surroundings(
        planes=planes,
        exists=exists,
        edge_m=edge_m,
        color=color,
        second=(color + contrast).clamp(0.0, 1.0),
        waves=direction * draws.log_uniform((num, 3, 1), *PATTERN_PER_M),
    )
