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

"""Shape latents of known meshes: found by descent, as the encoder is not part of the release.

The frozen occupancy decoder tells how well a latent says what is occupied. Latents of the release
come from a variational autoencoder whose prior is a unit Gaussian, so small latents are preferred.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import open3d as o3d
import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.errors import ConfigError
from sam3d_ros.objects.occupancy import OccupancyDecoder
from sam3d_ros.structures import Mesh

BORDER = 1e-6  # vertices stay this far within the cube, as where the released model was trained


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How latents are fitted."""

    num_steps: int = 300
    learning_rate: float = 0.1
    prior: float = 1e-4  # weight of the latents' mean square beside the occupancy's mean error

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ConfigError(f"num_steps must be at least 1, got {self.num_steps}")


@dataclass(frozen=True, slots=True, eq=False)
class FittedShapes:
    """Latents, and how well the decoder makes the shapes of them."""

    shape: Tensor  # (B, R^3, C)
    iou: Tensor  # (B,) of the occupied voxels


def surface_occupancy(mesh_cube: Mesh, resolution: int) -> Tensor:
    """Return which voxels of the cube ``[-0.5, 0.5]^3`` a surface passes through, ``(S, S, S)``.

    That is what the released decoder occupies (TRELLIS, Xiang et al., CVPR 2025, voxelises its
    training meshes with the same function).
    """
    inside = np.clip(mesh_cube.vertices.astype(np.float64), BORDER - 0.5, 0.5 - BORDER)
    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(inside),
        o3d.utility.Vector3iVector(np.asarray(mesh_cube.triangles, dtype=np.int32)),
    )
    grid = o3d.geometry.VoxelGrid.create_from_triangle_mesh_within_bounds(
        mesh, voxel_size=1.0 / resolution, min_bound=np.full(3, -0.5), max_bound=np.full(3, 0.5)
    )
    index = np.array([voxel.grid_index for voxel in grid.get_voxels()]).clip(0, resolution - 1)
    occupied = torch.zeros((resolution,) * 3, dtype=torch.bool)
    occupied[tuple(torch.from_numpy(index).T)] = True
    return occupied


def fitted_shapes(
    decoder: OccupancyDecoder,
    occupied: Tensor,
    start: Tensor,
    config: FitConfig,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> FittedShapes:
    """Descend from ``start`` to latents of which a frozen decoder makes what is occupied.

    Start at what the model itself answers to the view, rather than at zero: what the decoder does
    not care about then stays what the model is used to.

    Args:
        decoder: Its weights are not changed.
        occupied: ``(B, S, S, S)`` bool.
        start: ``(B, R^3, C)`` on the decoder's device.
        config: How long, how fast.
        progress: Told after every step.
    """
    decoder.requires_grad_(False)
    target = occupied.to(start.device, torch.float32)
    latent = start.detach().float().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([latent], lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.num_steps)
    with torch.enable_grad():
        for step in range(config.num_steps):
            optimiser.zero_grad()
            error = balanced_error(decoder(latent), target)
            loss = (error + config.prior * latent.square().mean(dim=(1, 2))).sum()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            progress(step + 1, config.num_steps)
    found = latent.detach()
    with torch.no_grad():
        iou = occupancy_iou(decoder(found) > 0, target > 0)
    return FittedShapes(found, iou)


def balanced_error(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy ``(B,)`` in which occupied and empty voxels count alike.

    A surface passes through one voxel in thirty: the mean over all would leave it out.
    """
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    of_full = (each * target).sum(dim=(1, 2, 3)) / target.sum(dim=(1, 2, 3)).clamp(min=1.0)
    empty = 1.0 - target
    of_empty = (each * empty).sum(dim=(1, 2, 3)) / empty.sum(dim=(1, 2, 3)).clamp(min=1.0)
    # Near the end it is the plain error that moves the last voxels.
    return 0.25 * (of_full + of_empty) + 0.5 * each.mean(dim=(1, 2, 3))


def occupancy_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the share ``(B,)`` of the voxels in either that are in both."""
    either = (first | second).sum(dim=(1, 2, 3)).clamp(min=1)
    return (first & second).sum(dim=(1, 2, 3)) / either
