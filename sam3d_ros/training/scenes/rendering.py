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


"""Scenes as an ideal camera sees them: exact depth, what is where, and colours."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.training.scenes.bodies import Bodies
from sam3d_ros.training.scenes.cameras import Cameras, Crops
from sam3d_ros.training.scenes.draws import Draws
from sam3d_ros.training.scenes.pool import Shapes
from sam3d_ros.training.scenes.surroundings import Surroundings
from sam3d_ros.training.scenes.tracing import normals_and_colors, traced

NOTHING = -1  # of bodies: pixels that show surroundings
AMBIENT = (0.25, 0.6)
SHINE = (0.0, 0.5)
HARDNESS = (8.0, 60.0)
NOISE = (0.0, 0.03)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exact:
    """B crops without any error."""

    depth_m: Tensor  # (B, P, P) inf where nothing is
    body: Tensor  # (B, P, P) or NOTHING
    whole: Tensor  # (B, P, P) bool: the object, were nothing in front of it, image border or not
    cosine: Tensor  # (B, P, P) between view and normal
    highlight: Tensor  # (B, P, P) in [0, 1]
    rgb: Tensor  # (B, P, P, 3) in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """What a batch of scenes consists of."""

    shapes: Shapes
    bodies: Bodies
    surroundings: Surroundings
    cameras: Cameras
    crops: Crops


def rendered(draws: Draws, world: World, min_visible: float) -> Exact:
    """Render crops; bodies that would hide too much of the first one are not in them."""
    cameras = world.cameras
    rays = world.crops.rays_camera() @ cameras.camera_from_world[:, None]
    depth_m = traced(world.shapes, world.bodies, cameras, rays)
    depth_m = _without_hiders(depth_m, min_visible)
    nearest = depth_m.min(dim=1)
    behind_m, plane = world.surroundings.seen(cameras.position_m, rays)
    is_body = nearest.values < behind_m
    seen_m = torch.minimum(nearest.values, behind_m)
    body = torch.where(is_body, nearest.indices, NOTHING)
    points = cameras.position_m[:, None, None] + seen_m.nan_to_num(posinf=0.0)[..., None] * rays
    scene = torch.arange(len(plane), device=plane.device)[:, None, None]
    normal = world.surroundings.planes[scene, plane, :3]
    color = world.surroundings.colors(plane, points)
    at = is_body.nonzero(as_tuple=True)
    normal[at], color[at] = normals_and_colors(
        world.shapes, world.bodies, at[0], nearest.indices[at], points[at]
    )
    view = -F.normalize(rays, dim=-1)
    rgb, highlight = _shaded(draws, normal, view, color)
    return Exact(
        depth_m=seen_m,
        body=body,
        whole=depth_m[:, 0].isfinite(),
        cosine=(normal * view).sum(dim=-1),
        highlight=highlight,
        rgb=torch.where(seen_m.isfinite()[..., None], rgb, 0.5),
    )


def _without_hiders(depth_m: Tensor, min_visible: float) -> Tensor:
    """Take bodies away, the one that hides most first, until enough of the first is seen."""
    own = depth_m[:, :1]
    area = own.isfinite().sum(dim=(2, 3)).clamp(min=1)
    hides = (depth_m[:, 1:] < own) & own.isfinite()
    share = hides.sum(dim=(2, 3)) / area
    order = share.argsort(dim=1, stable=True)
    kept = share.gather(1, order).cumsum(dim=1) <= 1.0 - min_visible
    kept = torch.zeros_like(kept).scatter(1, order, kept)
    kept = F.pad(kept, (1, 0), value=True)
    return torch.where(kept[..., None, None], depth_m, torch.inf)


def _shaded(draws: Draws, normal: Tensor, view: Tensor, color: Tensor) -> tuple[Tensor, Tensor]:
    """Return colours and highlights under one lamp (Blinn-Phong, SIGGRAPH 1977)."""
    num = len(color)
    light = draws.directions((num,))
    light = F.normalize(torch.cat((light[:, :2], light[:, 2:].abs() + 0.3), dim=1), dim=1)
    light = light[:, None, None]
    ambient = draws.uniform((num, 1, 1, 1), *AMBIENT)
    lit = (normal * light).sum(dim=-1, keepdim=True).clamp(min=0.0)
    half = F.normalize(light + view, dim=-1)
    hardness = draws.log_uniform((num, 1, 1, 1), *HARDNESS)
    highlight = (normal * half).sum(dim=-1, keepdim=True).clamp(min=0.0) ** hardness
    shine = draws.uniform((num, 1, 1, 1), *SHINE)
    tint = 1.0 + draws.normal((num, 1, 1, 3), 0.06)
    rgb = color * tint * (ambient + (1.0 - ambient) * lit) + shine * highlight
    rgb = rgb * draws.uniform((num, 1, 1, 1), 0.7, 1.4)
    rgb = rgb + draws.normal(rgb.shape) * draws.uniform((num, 1, 1, 1), *NOISE)
    return rgb.clamp(0.0, 1.0), highlight[..., 0]
