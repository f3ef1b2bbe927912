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


"""Colours known at points in space, carried to the nearest places of a surface."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from sam3d_ros.errors import ReconstructionError
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bytes, Floats, Splats

UNKNOWN_COLOR = 0.5  # grey, where nothing is known
MAX_VALUE = 255
SPLAT_STEP = 8  # so dense are splats that every eighth gives the same texture
NEAR = 1e-4  # of the cube; nearer points weigh no more than at this distance


@dataclass(frozen=True, slots=True, eq=False)
class ColoredPoints:
    """Points with colours: middles of splats, vertices, pixels with depth."""

    points: Floats  # (P, 3) in the frame of the mesh to be coloured
    colors: Floats  # (P, 3) red, green, blue in [0, 1]

    def __post_init__(self) -> None:
        num_points = check_shape(self.points, "P 3", "points")["P"]
        check_shape(self.colors, f"{num_points} 3", "colors")
        finite = bool(np.isfinite(self.points).all() and np.isfinite(self.colors).all())
        if num_points == 0 or not finite:
            raise ReconstructionError(
                f"coloured points must be finite and at least one, got {num_points}, "
                f"{'all' if finite else 'not all'} finite; leave them out where there are none"
            )

    def at(self, positions: Floats, num_nearest: int = 1) -> Floats:
        """Return the colours of the nearest points, ``(N, 3)``, weighted by inverse distance.

        Building the tree takes most of the time: where points are many and lie densely, as splats
        do, every eighth gives the same picture.
        """
        tree = cKDTree(self.points, balanced_tree=False, compact_nodes=False)
        num_nearest = min(num_nearest, len(self.points))
        distance, nearest = tree.query(positions, k=range(1, num_nearest + 1))
        weights = 1 / np.maximum(distance, NEAR)
        weights /= weights.sum(axis=1, keepdims=True)
        colors: Floats = np.einsum("nk,nkc->nc", weights, self.colors[nearest])
        return colors


def points_of_splats(splats: Splats | None) -> ColoredPoints | None:
    """Return the middles of splats, for textures; None where there are no splats."""
    if splats is None or len(splats) == 0:
        return None
    colors = np.clip(splats.colors[::SPLAT_STEP], 0.0, 1.0)
    return ColoredPoints(splats.means[::SPLAT_STEP], colors)


def bytes_from_colors(colors: Floats) -> Bytes:
    """Return colours in [0, 1] as bytes."""
    return np.round(np.clip(colors, 0, 1) * MAX_VALUE).astype(np.uint8)
