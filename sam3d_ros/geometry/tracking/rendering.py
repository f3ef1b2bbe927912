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


"""What objects show in the pixels of their readings, and which of them hides which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d

from sam3d_ros.geometry.raycasting import NUM_THREADS
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.tracking.targets import Readings, Target
from sam3d_ros.structures import Bools, Camera, Floats, Ints

MIN_GAP_M = 0.004  # what is in front by less is not told apart
NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The surfaces of K objects along G rays each."""

    depth_m: Floats  # (K, G), inf where the object is not
    normals: Floats  # (K, G, 3) unit, towards the camera

    @property
    def hit(self) -> Bools:
        """Where the object is, hidden or not, ``(K, G)``."""
        return np.isfinite(self.depth_m)

    def __getitem__(self, chosen: Ints) -> "Shown":
        return Shown(self.depth_m[chosen], self.normals[chosen])

    def thinned(self, share: int) -> "Shown":
        """Return what is along one in ``share`` rays, as ``Readings.thinned``."""
        part = slice(0, max(1, self.depth_m.shape[1] // share))
        return Shown(self.depth_m[:, part], self.normals[:, part])


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """A coarse depth image in which several objects are drawn: the nearest wins."""

    nearest_m: Floats  # (C,), inf where nothing is
    owner: Ints  # (C,), the number of the object
    cell_px: int
    num_columns: int

    def hides(self, seen: Shown, readings: Readings, numbers: Ints) -> Bools:
        """Tell where another object than its own number is in front, ``(K, G)``.

        A reading behind that other object is not hidden by it: it is not there.
        """
        cells = _cells(readings.pixels, self.cell_px, self.num_columns)
        front_m = self.nearest_m[cells]
        is_other = (self.owner[cells] != numbers[:, None]) & (self.owner[cells] != NOBODY)
        looked_through = readings.measured_m > front_m + 3 * MIN_GAP_M
        hidden: Bools = is_other & (front_m < seen.depth_m - MIN_GAP_M) & ~looked_through
        return hidden

    def explains(self, pixels: Ints, measured_m: Floats, tolerance_m: float) -> Bools:
        """Tell which readings at pixels ``(..., 2)`` show one of the objects drawn."""
        front_m = self.nearest_m[_cells(pixels, self.cell_px, self.num_columns)]
        explained: Bools = np.abs(measured_m - front_m) < tolerance_m
        return explained


def shown(targets: Sequence[Target], poses: Poses, readings: Readings) -> Shown:
    """Look at each object along its rays: rays move, the mesh stays."""
    num, size = readings.measured_m.shape
    cast = np.empty((num, size, 6), dtype=np.float32)
    cast[..., :3] = poses.unapply(np.zeros((1, 3)))
    cast[..., 3:] = poses.unturn(readings.rays)
    depth_m = np.empty((num, size), dtype=np.float32)
    normals = np.empty((num, size, 3), dtype=np.float32)
    for index, target in enumerate(targets):
        hits = target.model.scene.cast_rays(o3d.core.Tensor(cast[index]), nthreads=NUM_THREADS)
        depth_m[index] = hits["t_hit"].numpy()
        normals[index] = hits["primitive_normals"].numpy()
    depth_m[~readings.inside] = np.inf
    away = np.einsum("kgi,kgi->kg", normals, cast[..., 3:]) > 0  # meshes may be wound either way
    normals[away] *= -1.0
    return Shown(depth_m.astype(np.float64), poses.turn(normals.astype(np.float64)))


def front_of(seen: Shown, readings: Readings, numbers: Ints, camera: Camera) -> Front:
    """Draw what is shown; cells are as wide as the widest grid, so that no object has holes."""
    cell_px = int(readings.stride_px.max(initial=1.0))
    num_columns = camera.width // cell_px + 1
    cells = _cells(readings.pixels, cell_px, num_columns)
    nearest_m = np.full(num_columns * (camera.height // cell_px + 1), np.inf)
    np.minimum.at(nearest_m, cells, seen.depth_m)
    owner = np.full(nearest_m.shape, NOBODY)
    wins = (seen.depth_m == nearest_m[cells]) & seen.hit
    owner[cells[wins]] = numbers[np.nonzero(wins)[0]]
    return Front(nearest_m, owner, cell_px, num_columns)


def nothing_in_front(camera: Camera) -> Front:
    """Return a depth image in which nothing is drawn."""
    cell_px = max(camera.width, camera.height) + 1
    return Front(np.array([np.inf]), np.array([NOBODY]), cell_px, 1)


def _cells(pixels: Ints, cell_px: int, num_columns: int) -> Ints:
    cells: Ints = pixels // cell_px @ np.array([1, num_columns])
    return cells
