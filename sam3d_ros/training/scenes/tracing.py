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


"""Sphere tracing of gridded objects: one flat list of rays over all scenes and bodies.

Hart, "Sphere tracing", The Visual Computer 1996. Rays that arrive, or leave their object's box,
drop out of the list, so the cost is that of the rays that still run.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.training.scenes.bodies import Bodies
from sam3d_ros.training.scenes.cameras import Cameras
from sam3d_ros.training.scenes.pool import Shapes

MAX_STEPS = 64
STEPS_BETWEEN = 4  # removals of rays from the list
SHARE = 0.95  # of each step that is taken: interpolation may promise a little too much
HIT = 1e-3  # in largest extents, as are the following
STUCK = 6e-3  # what still runs after all steps hits, if it is so near
MARGIN = 0.01  # around the bounds
NEAREST_M = 0.05  # to the camera


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rays:
    """Rays in the frames of bodies, n of them; ``t`` is the depth along z of the camera."""

    shape: Tensor  # (n,)
    origin: Tensor  # (n, 3)
    direction: Tensor  # (n, 3) for one metre of depth
    start_m: Tensor  # (n,)
    end_m: Tensor  # (n,)

    def at(self, depth_m: Tensor) -> Tensor:
        """Return points ``(n, 3)`` in largest extents."""
        return self.origin + depth_m[:, None] * self.direction

    def __getitem__(self, chosen: Tensor) -> "Rays":
        """Return some of the rays."""
        return Rays(
            shape=self.shape[chosen],
            origin=self.origin[chosen],
            direction=self.direction[chosen],
            start_m=self.start_m[chosen],
            end_m=self.end_m[chosen],
        )


def traced(shapes: Shapes, bodies: Bodies, cameras: Cameras, rays_world: Tensor) -> Tensor:
    """Return the depth of each body alone in each pixel ``(B, J, P, P)``, inf where it is not.

    Args:
        shapes: The pool.
        bodies: Of B scenes.
        cameras: Of the same.
        rays_world: ``(B, P, P, 3)`` directions, for one metre of depth.
    """
    rays, places = _rays(shapes, bodies, cameras, rays_world)
    depth_m = marched(shapes, rays)
    num, size = len(rays_world), rays_world.shape[1]
    result = torch.full((num, bodies.shape.shape[1], size, size), torch.inf, device=depth_m.device)
    result[places] = depth_m
    return result


def marched(shapes: Shapes, rays: Rays) -> Tensor:
    """Return the depth ``(n,)`` at which each ray meets its shape, inf where it misses."""
    result = torch.full_like(rays.start_m, torch.inf)
    left = torch.arange(len(result), device=result.device)
    depth_m = rays.start_m.clone()
    speed = rays.direction.norm(dim=1)
    for step in range(MAX_STEPS):
        distance = shapes.distance.at(rays.shape, rays.at(depth_m))[0]
        hit = distance < HIT
        depth_m = torch.where(hit, depth_m, depth_m + SHARE * distance / speed)
        if step % STEPS_BETWEEN == STEPS_BETWEEN - 1:
            result[left[hit]] = depth_m[hit]
            running = ~hit & (depth_m < rays.end_m)
            left, depth_m, speed, rays = (
                left[running],
                depth_m[running],
                speed[running],
                rays[running],
            )
    stuck = shapes.distance.at(rays.shape, rays.at(depth_m))[0] < STUCK
    result[left[stuck]] = depth_m[stuck]
    return result


def normals_and_colors(
    shapes: Shapes, bodies: Bodies, scene: Tensor, body: Tensor, points_world: Tensor
) -> tuple[Tensor, Tensor]:
    """Return world normals and colours, each ``(n, 3)``, at points on bodies.

    Args:
        shapes: The pool.
        bodies: Of all scenes.
        scene: ``(n,)`` which scene.
        body: ``(n,)`` which of its bodies.
        points_world: ``(n, 3)`` metres.
    """
    shape, rotation = bodies.shape[scene, body], bodies.rotation[scene, body]
    offset = points_world - bodies.position_m[scene, body]
    points = (offset[:, None] @ rotation)[:, 0] / bodies.size_m[scene, body, None]
    slope = shapes.distance.slopes(shape, points)
    normal = F.normalize((rotation @ slope[..., None])[..., 0], dim=1)
    return normal, shapes.colors.at(shape, points).T


def _rays(
    shapes: Shapes, bodies: Bodies, cameras: Cameras, rays_world: Tensor
) -> tuple[Rays, tuple[Tensor, ...]]:
    """Return the rays that enter the bounds of bodies, and which (scene, body, row, column)."""
    num, size = rays_world.shape[:2]
    scale = 1.0 / bodies.size_m[..., None]
    away = (cameras.position_m[:, None] - bodies.position_m)[:, :, None] @ bodies.rotation
    origin = away[:, :, 0] * scale  # (B, J, 3)
    direction = (rays_world.view(num, 1, size * size, 3) @ bodies.rotation) * scale[:, :, None]
    half = (shapes.extent[bodies.shape] / 2 + MARGIN)[:, :, None]
    inverse = 1.0 / torch.where(direction.abs() < 1e-9, 1e-9, direction)
    first = (-half - origin[:, :, None]) * inverse
    second = (half - origin[:, :, None]) * inverse
    start_m = torch.minimum(first, second).amax(dim=-1).clamp(min=NEAREST_M)
    end_m = torch.maximum(first, second).amin(dim=-1)
    enters = (end_m > start_m) & bodies.active[..., None]
    scene, body, pixel = enters.nonzero(as_tuple=True)
    rays = Rays(
        shape=bodies.shape[scene, body],
        origin=origin[scene, body],
        direction=direction[scene, body, pixel],
        start_m=start_m[scene, body, pixel],
        end_m=end_m[scene, body, pixel],
    )
    return rays, (scene, body, pixel // size, pixel % size)
