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


"""Objects of a scene: poses at rest on the support, neighbours, and what stands in front."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.training.scenes.draws import Draws
from sam3d_ros.training.scenes.pool import Shapes
from sam3d_ros.training.scenes.recipes import SceneRecipe

FALL_STEPS = 80
FIRST_TURN, LAST_TURN = 0.35, 0.004  # radians, of a fall's first and last step
SOFTNESS = 0.1  # largest extents per radian of a step: what is lowest, more or less
MAX_GAP_M = 0.06  # from an object to its neighbours
IN_FRONT = 0.9  # radians to both sides of the line to the camera in which an occluder stands
HANG_M = (0.01, 0.15)  # between an object and what hangs in front of it: a hand, a shelf
ASIDE = (0.1, 0.5)  # of both sizes, from the line to the camera


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bodies:
    """J objects in each of B scenes; the first is the one that is looked at.

    The world has z up, its support at z = 0, and the camera at x < 0 over y = 0.
    """

    shape: Tensor  # (B, J) in the pool
    rotation: Tensor  # (B, J, 3, 3) world from object
    position_m: Tensor  # (B, J, 3) of the middle of the bounds
    size_m: Tensor  # (B, J) metres of one unit of the object
    active: Tensor  # (B, J) bool

    def __getitem__(self, scenes: Tensor) -> "Bodies":
        """Return those of some scenes."""
        return Bodies(**{each.name: getattr(self, each.name)[scenes] for each in fields(self)})

    def feet_m(self, shapes: Shapes) -> Tensor:
        """Return points of the hulls in the world, ``(B, J, F, 3)``."""
        turned = shapes.feet[self.shape] @ self.rotation.mT
        return turned * self.size_m[..., None, None] + self.position_m[..., None, :]


def sampled_bodies(draws: Draws, shapes: Shapes, recipe: SceneRecipe, num: int) -> Bodies:
    """Draw B = ``num`` scenes: the object over the origin, the others around it."""
    places = 1 + recipe.num_others
    shape = draws.integers((num, places), len(shapes.size_m))
    rotation = _rotations(draws, shapes, recipe, shape)
    bodies = Bodies(
        shape=shape,
        rotation=rotation,
        position_m=torch.zeros(num, places, 3, device=draws.device),
        size_m=shapes.size_m[shape],
        active=torch.ones(num, places, dtype=torch.bool, device=draws.device),
    )
    bodies = _on_the_ground(bodies, shapes)
    return _around(draws, bodies, shapes, recipe) if recipe.num_others else bodies


def _rotations(draws: Draws, shapes: Shapes, recipe: SceneRecipe, shape: Tensor) -> Tensor:
    """Draw rotations ``(B, J, 3, 3)``: standing, or as objects come to rest."""
    pose = draws.uniform(shape.shape)
    angle = draws.uniform(shape.shape, 0.0, 2 * torch.pi)
    sideways = torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)), dim=-1)
    quarter = torch.full_like(angle, torch.pi / 2)
    lying = pose < recipe.standing_share + recipe.lying_share
    anyhow = draws.uniform(shape.shape, 0.0, torch.pi)
    tumbled = torch.where(
        lying[..., None, None],
        rotation_about(sideways, quarter),
        rotation_about(draws.directions(shape.shape), anyhow),
    )
    arm = shapes.feet - shapes.middle[:, None]
    rested = fallen(tumbled.flatten(0, 1), arm[shape.flatten()]).view_as(tumbled)
    upright = torch.eye(3, device=draws.device).expand_as(tumbled)
    standing = pose < recipe.standing_share
    chosen = torch.where(standing[..., None, None], upright, rested)
    up = F.one_hot(torch.tensor(2, device=draws.device), 3).to(angle)
    yaw = draws.uniform(shape.shape, 0.0, 2 * torch.pi)
    return rotation_about(up.expand(*shape.shape, 3), yaw) @ chosen


def hung(draws: Draws, bodies: Bodies, shapes: Shapes, toward: Tensor, share: float) -> Bodies:
    """Hang the second body of some scenes before the first, towards the camera ``(B, 3)``."""
    num, places = bodies.shape.shape
    if places < 2 or share == 0.0:
        return bodies
    hanging = draws.chance((num,), share)
    aside = F.normalize(torch.linalg.cross(toward, draws.directions((num,))), dim=1)
    aside = aside * (draws.uniform((num,), *ASIDE) * bodies.size_m[:, :2].sum(dim=1))[:, None]
    beside = bodies.position_m.clone()
    beside[:, 1] = beside[:, 0]
    around = replace(bodies, position_m=beside)
    reach_m = _reach_m(around, shapes, toward[:, None].expand(-1, places - 1, -1))[:, 0]
    away_m = (reach_m + draws.uniform((num,), *HANG_M))[:, None] * toward
    moved = bodies.position_m.clone()
    moved[:, 1] = torch.where(hanging[:, None], beside[:, 1] + away_m + aside, moved[:, 1])
    placed = replace(bodies, position_m=moved)
    moved[:, 1, 2] += (-placed.feet_m(shapes)[:, 1, :, 2].amin(dim=1)).clamp(min=0.0)
    active = bodies.active.clone()
    active[:, 1] |= hanging
    return replace(placed, active=active)


def fallen(rotation: Tensor, arm: Tensor) -> Tensor:
    """Turn bodies until their centre of mass is as low as rolling can bring it.

    Args:
        rotation: ``(n, 3, 3)`` in which they begin.
        arm: ``(n, F, 3)`` from their centre of mass to points of their hull.

    Each step rolls a body over what is lowest, the way it tips, by less every time: descent along
    the gradient of the height of the centre of mass. What is lowest by less than a step could
    change counts together, or long edges would wobble over their ends instead of tipping.
    """
    ratio = (LAST_TURN / FIRST_TURN) ** (1 / (FALL_STEPS - 1))
    for step in range(FALL_STEPS):
        turn = FIRST_TURN * ratio**step
        height = (arm @ rotation[:, 2, :, None])[..., 0]
        weight = torch.softmax(-height / (SOFTNESS * turn), dim=1)
        contact = (rotation @ (weight[:, None] @ arm).mT)[..., 0]
        axis = torch.stack((contact[:, 1], -contact[:, 0], torch.zeros_like(contact[:, 0])), dim=-1)
        tips = axis.norm(dim=1)
        angle = turn * (tips / (SOFTNESS * turn)).clamp(max=1.0)
        rotation = rotation_about(axis / tips.clamp(min=1e-6)[:, None], angle) @ rotation
    return rotation


def rotation_about(axis: Tensor, angle: Tensor) -> Tensor:
    """Return rotations ``(..., 3, 3)`` about unit vectors ``(..., 3)`` (Rodrigues' formula)."""
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).view(*x.shape, 3, 3)
    identity = torch.eye(3, device=axis.device).expand_as(cross)
    sine, cosine = angle.sin()[..., None, None], angle.cos()[..., None, None]
    return identity + sine * cross + (1 - cosine) * (cross @ cross)


def _on_the_ground(bodies: Bodies, shapes: Shapes) -> Bodies:
    """Put every body on the support: its lowest point at z = 0."""
    lowest_m = bodies.feet_m(shapes)[..., 2].amin(dim=-1)
    moved = bodies.position_m.clone()
    moved[..., 2] -= lowest_m
    return replace(bodies, position_m=moved)


def _around(draws: Draws, bodies: Bodies, shapes: Shapes, recipe: SceneRecipe) -> Bodies:
    """Place the others: the first in front where there is an occluder, the rest all around."""
    num, others = len(bodies.shape), recipe.num_others
    occluding = draws.chance((num, 1), recipe.occluder_share)
    sector = 2 * torch.pi / others
    start = draws.uniform((num, 1), 0.0, 2 * torch.pi)
    angle = start + sector * (
        torch.arange(others, device=draws.device) + draws.uniform((num, others), 0.15, 0.85)
    )
    front = torch.pi + draws.uniform((num, 1), -IN_FRONT, IN_FRONT)
    first = torch.where(occluding, front, angle[:, :1])
    angle = torch.cat((first, angle[:, 1:]), dim=1)
    heading = torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)), dim=-1)
    gap_m = MAX_GAP_M * draws.uniform((num, others)).square()
    away_m = _reach_m(bodies, shapes, heading) + gap_m
    moved = bodies.position_m.clone()
    moved[:, 1:] += away_m[..., None] * heading
    taken = draws.chance((num, others), recipe.neighbour_share)
    active = torch.cat((torch.ones_like(occluding), occluding | taken[:, :1], taken[:, 1:]), dim=1)
    return replace(bodies, position_m=moved, active=active)


def _reach_m(bodies: Bodies, shapes: Shapes, heading: Tensor) -> Tensor:
    """Return how far the others must go along ``heading`` ``(B, J - 1, 3)`` to touch the first.

    A plane across the heading then parts them, so they cannot penetrate each other.
    """
    feet_m = bodies.feet_m(shapes)
    own = torch.einsum("bfi,bji->bjf", feet_m[:, 0], heading).amax(dim=-1)
    theirs = torch.einsum("bjfi,bji->bjf", feet_m[:, 1:], heading).amin(dim=-1)
    return own - theirs
