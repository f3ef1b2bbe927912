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
from sam3d_ros.structures import Bools, Camera, Floats

MIN_GAP_M = 0.004  # what is in front by less is not told apart


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The surfaces of K objects along G rays each."""

    depth_m: Floats  # (K, G), inf where the object is not
    normals: Floats  # (K, G, 3) unit, towards the camera
    hidden: Bools  # (K, G), another object of the list is in front

    @property
    def hit(self) -> Bools:
        """Where the object is, hidden or not, ``(K, G)``."""
        return np.isfinite(self.depth_m)


def shown(targets: Sequence[Target], poses: Poses, readings: Readings, camera: Camera) -> Shown:
    """Look at each object along its rays: rays move, the mesh stays."""
    depth_m, normals = _cast(targets, poses, readings)
    return Shown(depth_m, normals, _hidden(depth_m, readings, camera))


def _cast(targets: Sequence[Target], poses: Poses, readings: Readings) -> tuple[Floats, Floats]:
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
    away = (normals * cast[..., 3:]).sum(axis=-1) > 0  # meshes may be wound either way
    normals[away] *= -1.0
    return depth_m.astype(np.float64), poses.turn(normals.astype(np.float64))


def _hidden(depth_m: Floats, readings: Readings, camera: Camera) -> Bools:
    """Draw all objects into one coarse depth image and tell where each is not in front.

    Cells are as wide as the widest grid, so that no object has holes. A reading behind the
    object in front is not hidden by it: that object is not there.
    """
    if len(depth_m) < 2:
        return np.zeros(depth_m.shape, dtype=bool)
    cell_px = int(readings.stride_px.max())
    width = camera.width // cell_px + 1
    cells = readings.pixels[..., 1] // cell_px * width + readings.pixels[..., 0] // cell_px
    nearest_m = np.full(width * (camera.height // cell_px + 1), np.inf)
    np.minimum.at(nearest_m, cells, depth_m)
    owner = np.full(nearest_m.shape, -1)
    wins = (depth_m == nearest_m[cells]) & np.isfinite(depth_m)
    owner[cells[wins]] = np.nonzero(wins)[0]
    front_m = nearest_m[cells]
    others = owner[cells] != np.arange(len(depth_m))[:, None]
    looked_through = readings.measured_m > front_m + 3 * MIN_GAP_M
    hidden: Bools = others & (front_m < depth_m - MIN_GAP_M) & ~looked_through
    return hidden
