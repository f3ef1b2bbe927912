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


"""A window over an endless row of shapes, on one device: each is gridded once and seen often.

The row is cut into groups. Which shapes a group holds depends on the seed and its number alone,
and where it lies in memory on its number, so a batch never depends on the batches before it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.training.scenes.atlas import HALF, Atlas
from sam3d_ros.training.scenes.draws import mixed
from sam3d_ros.training.shapes import gridded, shape_of

NUM_FEET = 512  # points that an object may touch others with
COLOR_STRIDE = 2  # colours need no more than every other sample


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSize:
    """How many shapes are at hand; more takes memory (some 4 MB each), and longer to begin."""

    group: int = 8  # shapes gridded at a time
    window: int = 8  # groups at hand
    views: int = 6  # of each shape, in expectation
    resolution: int = 80  # of their grids

    @property
    def num_shapes(self) -> int:
        """How many shapes there are to choose from."""
        return self.group * self.window


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shapes:
    """S gridded shapes. Their frame is the object's, in largest extents: bounds around 0."""

    distance: Atlas  # > 0 outside
    colors: Atlas
    size_m: Tensor  # (S,) largest extent
    extent: Tensor  # (S, 3) of the bounds, the largest is 1
    middle: Tensor  # (S, 3) centre of mass
    feet: Tensor  # (S, NUM_FEET, 3) of the convex hull
    names: list[tuple[str, int]]  # family and seed of each


class ShapePool:
    """The shapes that the batch of a step chooses from."""

    def __init__(
        self, families: Mapping[str, float], seed: int, size: PoolSize, device: torch.device
    ) -> None:
        self._families = families
        self._seed = seed
        self._size = size
        self._groups: list[int | None] = [None] * size.window
        self._shapes = _blank(size, device)

    def at(self, step: int, batch_size: int) -> Shapes:
        """Return the window of a step; valid until the next call."""
        size = self._size
        newest = step * batch_size // (size.group * size.views)
        for group in range(newest, newest + size.window):
            slot = group % size.window
            if self._groups[slot] != group:
                self._groups[slot] = None  # not even half new, should gridding fail
                self._fill(slot, _members(self._families, self._seed, group, size.group))
                self._groups[slot] = group
        return self._shapes

    def _fill(self, slot: int, members: Sequence[tuple[str, int]]) -> None:
        chosen = [shape_of(family, seed) for family, seed in members]
        into = self._shapes
        grids = gridded(chosen, self._size.resolution, into.size_m.device)
        places = slice(slot * len(chosen), (slot + 1) * len(chosen))
        into.distance.put(places, grids.distance[None])
        into.colors.put(places, F.avg_pool3d(grids.colors, COLOR_STRIDE).transpose(0, 1))
        into.size_m[places], into.extent[places] = grids.largest_m, grids.extent
        into.names[places] = zip(grids.families, grids.seeds, strict=True)
        for place, distance in zip(range(places.start, places.stop), grids.distance, strict=True):
            into.feet[place], into.middle[place] = feet_of(distance)


def feet_of(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Return points of the convex hull ``(NUM_FEET, 3)`` and the centre of mass ``(3,)``.

    Args:
        distance: ``(N, N, N)`` of a shape in its cube.
    """
    num = len(distance)
    axis = ((torch.arange(num, device=distance.device) + 0.5) / num - 0.5) * 2 * HALF
    within = (distance < 0).nonzero()
    middle = axis[within].mean(dim=0)
    near = (distance.abs() < 1.2 * HALF / num).nonzero()  # a little more than half a voxel
    slope = torch.stack(torch.gradient(distance), dim=-1)[tuple(near.T)]
    surface = axis[near] - distance[tuple(near.T)][:, None] * F.normalize(slope, dim=1)
    farthest = (fibonacci_directions(NUM_FEET, distance.device) @ surface.T).argmax(dim=1)
    return surface[farthest], middle


def fibonacci_directions(num: int, device: torch.device) -> Tensor:
    """Return ``num`` unit vectors spread evenly over the sphere, ``(num, 3)``."""
    index = torch.arange(num, device=device) + 0.5
    height = 1.0 - 2.0 * index / num
    angle = torch.pi * (1.0 + 5.0**0.5) * index
    radius = (1.0 - height.square()).sqrt()
    return torch.stack((radius * angle.cos(), radius * angle.sin(), height), dim=-1)


def _members(
    families: Mapping[str, float], seed: int, group: int, num: int
) -> list[tuple[str, int]]:
    draw = random.Random(mixed(seed, group))
    names = sorted(families)
    chosen = draw.choices(names, [families[name] for name in names], k=num)
    return [(family, draw.getrandbits(31)) for family in chosen]


def _blank(size: PoolSize, device: torch.device) -> Shapes:
    total, num = size.num_shapes, size.resolution
    small = num // COLOR_STRIDE
    return Shapes(
        distance=Atlas(torch.ones(1, total * num, num, num, device=device)),
        colors=Atlas(torch.zeros(3, total * small, small, small, device=device)),
        size_m=torch.ones(total, device=device),
        extent=torch.ones(total, 3, device=device),
        middle=torch.zeros(total, 3, device=device),
        feet=torch.zeros(total, NUM_FEET, 3, device=device),
        names=[("", 0)] * total,
    )
