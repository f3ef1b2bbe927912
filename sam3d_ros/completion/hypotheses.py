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

"""What a guess about the unseen side must be able to say."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.geometry.hulls import convex_hull
from sam3d_ros.structures import Floats

# Seen from one side, an object is taken to be at least this deep, as a share of the smaller of its
# height and width. Of the shares tried on public captures, 0.6 was the best.
MIN_DEPTH_SHARE = 0.6
NUM_DIRECTIONS = 96  # in which the hull is supported
PADDING_M = 1e-3  # of a hull: Qhull needs volume, and this makes one of a plane or a line
CHUNK = 2048


class Hypothesis(Protocol):
    """A solid that could stand behind what was seen; all in the work frame."""

    @property
    def name(self) -> str:
        """What closes the unseen side."""
        ...

    @property
    def tolerance_m(self) -> float:
        """How far the solid may reach into space that the noisy depth calls free."""
        ...

    @property
    def low(self) -> Floats:
        """Lower corner of a box around the solid, ``(3,)``."""
        ...

    @property
    def high(self) -> Floats:
        """Upper corner of a box around the solid, ``(3,)``."""
        ...

    def outside_m(self, points: Floats) -> Floats:
        """Signed distance of points ``(N, 3)`` to the solid, ``(N,)``, > 0 outside."""
        ...

    def twins(self, points: Floats) -> Floats:
        """Return points ``(N, 3)`` of the seen side that should look like these."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hull:
    """The convex hull of the seen points, put down on the support and given a depth."""

    low: Floats
    high: Floats
    planes: Floats  # (K, 4) outward unit normals and offsets
    name: str = "carved hull"
    tolerance_m: float = 0.0

    def outside_m(self, points: Floats) -> Floats:
        """Largest signed distance to a face of the hull, ``(N,)``."""
        normals, offsets = self.planes[:, :3].astype(np.float32), self.planes[:, 3:]
        outside = np.empty(len(points), dtype=np.float32)
        for start in range(0, len(points), CHUNK):  # what fits into the cache is much faster
            chunk = points[start : start + CHUNK].astype(np.float32)
            distance = normals @ chunk.T + offsets.astype(np.float32)
            outside[start : start + CHUNK] = distance.max(axis=0)
        return outside

    def twins(self, points: Floats) -> Floats:
        """Nothing is known about the unseen side: it looks like what is next to it."""
        return points


def hull_of(workspace: Workspace) -> Hull:
    """Close an object without any symmetry."""
    return hull_around(_with_depth(put_down(workspace.surface, workspace), workspace))


def hull_around(points: Floats, name: str = "carved hull") -> Hull:
    """Return the convex hull of the extreme points ``(N, 3)`` in evenly spread directions."""
    extreme = np.unique((points @ _directions().T).argmax(axis=0))
    corners = points[extreme]
    around = PADDING_M * np.concatenate((np.eye(3), -np.eye(3)))
    hull = convex_hull((corners[:, None] + around).reshape(-1, 3))
    planes = np.unique(np.round(hull.equations, 9), axis=0)
    return Hull(low=corners.min(axis=0), high=corners.max(axis=0), planes=planes, name=name)


def put_down(points: Floats, workspace: Workspace) -> Floats:
    """Add the shadow on the support: whatever was seen stands on something."""
    if not workspace.has_support:
        return points
    return np.concatenate((points, points * (1.0, 1.0, 0.0)))


def _with_depth(points: Floats, workspace: Workspace) -> Floats:
    """Add the points of a back wall so far behind the front that the object has a depth."""
    low, high = workspace.low, workspace.high
    low_z = 0.0 if workspace.has_support else low[2]
    depth_m = MIN_DEPTH_SHARE * min(high[1] - low[1], high[2] - low_z)
    if high[0] - low[0] >= depth_m:
        return points
    wall = points.copy()
    wall[:, 0] = low[0] + depth_m
    return np.concatenate((points, wall))


def _directions() -> Floats:
    """Return unit vectors on a Fibonacci sphere, ``(K, 3)``."""
    step = np.arange(NUM_DIRECTIONS) + 0.5
    z = 1.0 - 2.0 * step / NUM_DIRECTIONS
    angle = np.pi * (1.0 + np.sqrt(5.0)) * step
    radius = np.sqrt(1.0 - z**2)
    return np.stack((radius * np.cos(angle), radius * np.sin(angle), z), axis=1)
