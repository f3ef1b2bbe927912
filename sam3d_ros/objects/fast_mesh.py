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


"""A mesh within milliseconds, from the occupancy alone: for robots that grasp rather than look.

A voxel is occupied when the surface passes through it. So the occupied ones form a shell, which is
filled; and the shell's outer face lies outside the surface by half the width of a voxel in the
direction of the normal n, ``(|n_x| + |n_y| + |n_z|) / 2`` voxels (the support function of a cube).
"""

import math

import numpy as np
from scipy import ndimage
from scipy.special import erfinv, expit

from sam3d_ros.errors import DecodingError
from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.objects.colored_points import UNKNOWN_COLOR, ColoredPoints, bytes_from_colors
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bools, Floats, Mesh

PADDING = 4  # voxels around the cube, so that the surface closes and smoothing finds nothing odd
SMOOTHING = 1.0  # voxels; less leaves steps, more takes off corners
CERTAIN = 1 - 1e-6  # shares beyond it say no more about the distance
THINNEST = 0.05  # voxels that remain of a wall too thin for the smoothing


def fast_mesh(logits: Floats, colored: ColoredPoints | None = None) -> Mesh:
    """Return a closed mesh around what is occupied, in the object frame.

    Args:
        logits: Of one object's voxels over x, y, z, ``(S, S, S)``; above zero is occupied.
        colored: What colours the vertices, from the nearest of its points; grey without.

    Raises:
        DecodingError: The logits are not numbers, or none of them is above zero.
    """
    size = check_shape(logits, "S S S", "logits")["S"]
    occupied = np.pad(_occupied(logits), PADDING)
    share = np.pad(expit(logits.astype(np.float32)), PADDING)
    share[_enclosed(occupied)] = 1.0
    vertices, triangles = isosurface(_distance(share, occupied), 1.0)
    vertices = (vertices - PADDING + 0.5) / size - 0.5
    unknown = np.full_like(vertices, UNKNOWN_COLOR)
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        colors=bytes_from_colors(unknown if colored is None else colored.at(vertices)),
        observed=np.zeros(len(vertices), dtype=np.float32),
    )


def _occupied(logits: Floats) -> Bools:
    if not np.isfinite(logits).all():
        raise DecodingError(
            "the occupancy logits must be finite, are not; try bfloat16 or float32 where the model "
            "runs in float16, and check the weights with `sam3d check`"
        )
    occupied: Bools = logits > 0
    if not occupied.any():
        raise DecodingError(
            f"the model must occupy some of the {logits.size} voxels, occupies none; check that "
            "the mask covers the object, and try another seed"
        )
    return occupied


def _enclosed(occupied: Bools) -> Bools:
    """Return the empty voxels that no way through faces leads to from the first one."""
    parts, _ = ndimage.label(~occupied)
    enclosed: Bools = ~occupied & (parts != parts[0, 0, 0])
    return enclosed


def _distance(share: Floats, occupied: Bools) -> Floats:
    """Estimate the signed distance of voxels' middles to the surface, in voxels, > 0 outside.

    A step smoothed by a Gaussian is an error function of the distance, so its inverse gives the
    distance, far finer than a voxel.
    """
    smooth = ndimage.gaussian_filter(2 * share - 1, SMOOTHING, mode="nearest")
    distance = -math.sqrt(2) * SMOOTHING * erfinv(np.clip(smooth, -CERTAIN, CERTAIN))
    normal = np.stack(np.gradient(distance))
    length = np.linalg.norm(normal, axis=0)
    distance += 0.5 * np.abs(normal).sum(axis=0) / np.maximum(length, np.finfo(np.float32).tiny)
    kept = ndimage.binary_dilation(distance < 0, np.ones((3, 3, 3), dtype=bool))
    thin: Floats = np.where(occupied & ~kept, -THINNEST, distance)
    return thin
