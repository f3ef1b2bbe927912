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

"""Signed distances of meshes on grids, made once for each mesh and resampled in every batch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import open3d as o3d
import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.metrics import cell_centres
from sam3d_ros.evaluation.solids import distance_to_surface, fibonacci_directions, is_inside
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.geometry.raycasting import NUM_THREADS, raycasting_scene
from sam3d_ros.structures import Floats, Mesh

GRID_CELLS = 64  # per axis; as the boxes have, which are larger
REACH = 1.3  # side of the grid's cube over the largest extent: margins that distances need
NUM_PROBES = 4096  # points at which a mesh must tell inside from outside
NUM_DIRECTIONS = 15
MAX_DOUBTFUL = 0.02  # of the probes inside; closed meshes have none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SolidGrids:
    """Signed distances of K meshes over cubes around the middles of their bounds.

    Cells are cubes; values stand at their middles.
    """

    distance_m: Tensor  # (K, N, N, N) float32 over x, y, z of the mesh's frame, > 0 outside
    side_m: Tensor  # (K,) of the whole cube
    middle_m: Tensor  # (K, 3) of the bounds, in the mesh's frame
    extent_m: Tensor  # (K, 3) of the bounds

    def to(self, device: torch.device | str) -> "SolidGrids":
        """Return the same on a device."""
        return SolidGrids(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def solid_grids(meshes: Sequence[Mesh], resolution: int = GRID_CELLS) -> SolidGrids:
    """Measure meshes on grids; what is inside an almost closed one, a vote of rays decides."""
    boxes = np.stack([bounds(mesh) for mesh in meshes])
    middles, extents = boxes.mean(axis=1), np.ptp(boxes, axis=1)
    sides = REACH * extents.max(axis=1)
    fields = [
        _distance_m(mesh, middle, side, resolution)
        for mesh, middle, side in zip(meshes, middles, sides, strict=True)
    ]
    return SolidGrids(
        distance_m=torch.from_numpy(np.stack(fields)),
        side_m=torch.from_numpy(sides).float(),
        middle_m=torch.from_numpy(middles).float(),
        extent_m=torch.from_numpy(extents).float(),
    )


def _distance_m(mesh: Mesh, middle: Floats, side_m: float, resolution: int) -> Floats:
    points = cell_centres(middle - side_m / 2, middle + side_m / 2, resolution)
    distance_m = distance_to_surface(mesh, points)
    signed: Floats = np.where(is_inside(mesh, points), -distance_m, distance_m)
    return signed.reshape(resolution, resolution, resolution).astype(np.float32)


def check_closed(mesh: Mesh, path: Path) -> None:
    """Raise unless rays from any point agree on whether it lies inside the mesh.

    Small holes in a scan are no harm: a vote of rays closes them, as in ``evaluation.metrics``.
    Where rays disagree at many points, what is inside is anyone's guess.

    Raises:
        DatasetError: Names the file.
    """
    rng = np.random.default_rng(0)
    low, high = bounds(mesh)
    share = _share_inside(mesh, rng.uniform(low, high, (NUM_PROBES, 3)))
    doubtful = np.count_nonzero(np.abs(share - 0.5) < 0.35)
    inside = np.count_nonzero(share > 0.5)
    if doubtful > MAX_DOUBTFUL * (inside + doubtful) or not inside:
        raise DatasetError(
            f"{path}: expected a closed mesh, it leaves open what is inside at {doubtful} of "
            f"{inside + doubtful} points; close its holes or give its walls a thickness (Meshlab's "
            "'Close holes', Blender's 'Solidify' or 'Remesh')"
        )


def _share_inside(mesh: Mesh, points: Floats) -> Floats:
    """Return the share of directions in which each point ``(N, 3)`` looks like one inside."""
    scene = raycasting_scene([mesh])
    rays = np.empty((len(points), 6), dtype=np.float32)
    rays[:, :3] = points
    odd = np.zeros(len(points))
    for direction in fibonacci_directions(NUM_DIRECTIONS):
        rays[:, 3:] = direction
        odd += scene.count_intersections(o3d.core.Tensor(rays), NUM_THREADS).numpy() % 2
    return odd / NUM_DIRECTIONS


def resampled_m(grids: SolidGrids, index: Tensor, points_m: Tensor) -> Tensor:
    """Return signed distances at points, in metres.

    Beyond a grid it is the distance to its cube and from there on: never less than the true one
    by more than that detour.

    Args:
        grids: Of K meshes.
        index: Which of them each of the B samples is of, ``(B,)``.
        points_m: ``(B, M, 3)`` from the middles of the meshes' bounds, along the meshes' axes.
    """
    unit = points_m * (2.0 / grids.side_m[index])[:, None, None]
    # grid_sample counts the last axis first: x of its coordinates is the last index of the grid.
    where = unit.flip(-1)[:, None, None]
    values = F.grid_sample(
        grids.distance_m[index][:, None], where, padding_mode="border", align_corners=False
    )[:, 0, 0, 0]
    beyond = (unit.abs() - 1.0).clamp(min=0.0).norm(dim=-1)
    return values + beyond * (grids.side_m[index] / 2.0)[:, None]
