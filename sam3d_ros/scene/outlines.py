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


"""What a view should show of known objects, and what it does show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.registration.model import RegistrationModel
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.terms import rendered
from sam3d_ros.structures import Bools, Camera, Floats, Observation, Similarity

GRID_COLUMNS = 160  # pixels across the view that are looked at
TOLERANCE_SIGMAS, TOLERANCE_SHARE = 4.0, 0.08  # of a reading; of the radius of the object
MIN_STANDING = 0.7  # of the readings that say anything, those that agree with what stands there
MIN_JUDGED, MIN_JUDGED_SHARE = 8, 0.15  # readings that say anything: of the grid, of the outline
FACING = 0.15  # cosine of a surface to the ray that may be seen, at least
HIDDEN_M = 0.004  # what is this far behind another part of the mesh is hidden


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Every so many pixels of a view."""

    rays: Floats  # (h, w, 3), z = 1
    measured_m: Floats  # (h, w), NaN where unknown
    step: int

    @classmethod
    def of(cls, observation: Observation) -> "Grid":
        """Thin out the view of an observation."""
        camera = observation.camera
        step = max(1, round(camera.width / GRID_COLUMNS))
        rows, columns = np.arange(0, camera.height, step), np.arange(0, camera.width, step)
        v, u = np.meshgrid(rows, columns, indexing="ij")
        inverse = np.linalg.inv(np.asarray(camera.matrix_px, dtype=np.float64))
        return cls(
            rays=np.stack((u, v, np.ones_like(u)), axis=-1) @ inverse.T,
            measured_m=observation.points_camera[::step, ::step, 2].astype(np.float64),
            step=step,
        )

    def thinned(self, mask: Bools) -> Bools:
        """Return a mask of the view in the pixels of the grid."""
        return mask[:: self.step, :: self.step]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """What a view should show of one object, if it is where it is expected."""

    shown: Bools  # (h, w) of the grid, without what something nearer hides
    stands: bool  # the readings there say that it is


def outlines(
    models: Sequence[RegistrationModel], poses: Sequence[Similarity], grid: Grid
) -> list[Outline]:
    """Return where objects should be seen; they hide one another, and all that is measured hides.

    Args:
        models: Of the objects.
        poses: ``camera_from_object`` as they are expected.
        grid: The view.
    """
    depths_m = [_depth_m(model, pose, grid) for model, pose in zip(models, poses, strict=True)]
    nearest_m = np.min([np.full(grid.measured_m.shape, np.inf), *depths_m], axis=0)
    found = []
    for model, depth_m in zip(models, depths_m, strict=True):
        tolerance_m = _tolerance_m(np.where(np.isfinite(depth_m), depth_m, 1.0), model.radius)
        in_front = np.isfinite(depth_m) & (depth_m <= nearest_m + tolerance_m)
        off_m = np.where(in_front, grid.measured_m, np.nan) - np.where(in_front, depth_m, 0.0)
        agrees, is_free = np.abs(off_m) <= tolerance_m, off_m > tolerance_m
        judged = int(agrees.sum() + is_free.sum())
        is_enough = judged >= max(MIN_JUDGED, MIN_JUDGED_SHARE * float(in_front.sum()))
        found.append(
            Outline(
                shown=in_front & ~(off_m < -tolerance_m),
                stands=bool(is_enough and agrees.sum() >= MIN_STANDING * judged),
            )
        )
    return found


def seen_samples(
    model: RegistrationModel, observation: Observation, camera_from_object: Similarity
) -> Bools:
    """Tell which samples of a surface an object's own pixels show, ``(M,)``."""
    points = camera_from_object.apply(model.samples)
    normals = model.normals @ camera_from_object.rotation.T
    lengths = np.linalg.norm(points, axis=1)
    faces = -(normals * points).sum(axis=1) > FACING * lengths
    seen: Bools = faces & _within(points, observation.mask, observation.camera)
    rays = points[seen] / points[seen, 2:]
    shown = rendered(model, Poses.of([camera_from_object]), rays)
    seen[seen] = points[seen, 2] <= shown.depth_m[0] + HIDDEN_M
    return seen


def unexplained_share(
    model: RegistrationModel, observation: Observation, camera_from_object: Similarity
) -> float:
    """Return the share of an object's readings that lie beside its mesh."""
    points = observation.object_points_camera
    points = points[:: max(1, len(points) // 500)].astype(np.float64)
    if not len(points):
        return 0.0
    off_m, _ = model.tree.query(camera_from_object.inverse().apply(points))
    spacing_m = model.radius * np.sqrt(4.0 * np.pi / len(model.samples))
    tolerance_m = _tolerance_m(points[:, 2], model.radius)
    return float((off_m > tolerance_m + spacing_m).mean())


def _depth_m(model: RegistrationModel, pose: Similarity, grid: Grid) -> Floats:
    """Return the depth of an object in the pixels of the grid, ``(h, w)``, inf beside it."""
    depth_m = np.full(grid.measured_m.shape, np.inf)
    center, radius = pose.apply(model.center), model.radius * pose.scale
    if center[2] <= radius:  # around the camera, or behind it: nothing that could be judged
        return depth_m
    along = grid.rays @ center / np.linalg.norm(grid.rays, axis=-1)
    near = along > 0
    near &= float(center @ center) - np.square(along) <= radius**2
    if near.any():
        depth_m[near] = rendered(model, Poses.of([pose]), grid.rays[near]).depth_m[0]
    return depth_m


def _tolerance_m(depth_m: Floats, radius_m: float) -> Floats:
    return np.hypot(TOLERANCE_SIGMAS * depth_noise_m(depth_m), TOLERANCE_SHARE * radius_m)


def _within(points: Floats, mask: Bools, camera: Camera) -> Bools:
    """Tell which points ``(N, 3)`` of the camera lie in pixels of a mask, ``(N,)``."""
    ahead = points[:, 2] > 1e-3
    uvw = points @ np.asarray(camera.matrix_px, dtype=np.float64).T
    pixels = np.rint(uvw[:, :2] / np.where(ahead, uvw[:, 2], 1.0)[:, None]).astype(np.int64)
    inside = ahead & (pixels >= 0).all(axis=1)
    inside &= (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    within = np.zeros(len(points), dtype=bool)
    within[inside] = mask[pixels[inside, 1], pixels[inside, 0]]
    return within
