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

from sam3d_ros.geometry.cameras import falls_on
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.registration.model import RegistrationModel
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.terms import rendered
from sam3d_ros.structures import Bools, Floats, Observation, Similarity

GRID_COLUMNS = 160  # pixels across the view that are looked at
TOLERANCE_SIGMAS, TOLERANCE_SHARE = 4.0, 0.08  # of a reading; of the radius of the object
MIN_STANDING = 0.7  # of the readings that say anything, those that agree with what stands there
MIN_THERE = 0.4  # below which it does not stand there at all; between the two it is not clear
MIN_JUDGED, MIN_JUDGED_SHARE = 8, 0.15  # readings that say anything: of the grid, of the outline's
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
class Shape:
    """A known mesh, and which samples of it were seen when it was made; the rest is a guess."""

    model: RegistrationModel
    observed: Bools  # (M,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """What a view should show of one object, if it is where it is expected."""

    shown: Bools  # (h, w) of the grid, without what something nearer hides
    certain: Bools  # (h, w) what of it was seen before, or all of it where that is nothing
    stands: bool  # the readings there say that it is
    is_gone: bool  # the readings of what was seen before say that it is not

    def covered_by(self, mask: Bools) -> float:
        """Return the share of what is certain that a mask ``(h, w)`` covers."""
        return float(np.count_nonzero(mask & self.certain) / max(1, self.certain.sum()))


def outlines(shapes: Sequence[Shape], poses: Sequence[Similarity], grid: Grid) -> list[Outline]:
    """Return where objects should be seen; they hide one another, and all that is measured hides.

    Args:
        shapes: Of the objects.
        poses: ``camera_from_object`` as they are expected.
        grid: The view.
    """
    depths_m = [
        _depth_m(shape.model, pose, grid) for shape, pose in zip(shapes, poses, strict=True)
    ]
    nearest_m = np.min([np.full(grid.measured_m.shape, np.inf), *depths_m], axis=0)
    return [
        _outline(shape, pose, grid, depth_m, nearest_m)
        for shape, pose, depth_m in zip(shapes, poses, depths_m, strict=True)
    ]


def _outline(
    shape: Shape, pose: Similarity, grid: Grid, depth_m: Floats, nearest_m: Floats
) -> Outline:
    """Judge one object: by what was seen of it before, where that is enough to judge by."""
    tolerance_m = _tolerance_m(np.where(np.isfinite(depth_m), depth_m, 1.0), shape.model.radius)
    in_front = np.isfinite(depth_m) & (depth_m <= nearest_m + tolerance_m)
    off_m = np.where(in_front, grid.measured_m, np.nan) - np.where(in_front, depth_m, 0.0)
    agrees, is_free = np.abs(off_m) <= tolerance_m, off_m > tolerance_m
    shown = in_front & ~(off_m < -tolerance_m)
    enough = max(MIN_JUDGED, MIN_JUDGED_SHARE * float(np.isfinite(off_m).sum()))
    seen_before = _seen_before(shape, pose, grid, np.where(in_front, depth_m, np.nan))
    is_sure = bool(((agrees | is_free) & seen_before).sum() >= enough)
    judging = seen_before if is_sure else in_front
    right, judged = (float((each & judging).sum()) for each in (agrees, agrees | is_free))
    stands = judged >= enough and right >= MIN_STANDING * judged
    certain = shown & seen_before
    return Outline(
        shown=shown,
        certain=certain if certain.sum() >= MIN_JUDGED else shown,
        stands=stands,
        is_gone=is_sure and right < MIN_THERE * judged,
    )


def _seen_before(shape: Shape, pose: Similarity, grid: Grid, depth_m: Floats) -> Bools:
    """Tell in which pixels ``(h, w)`` a view should show what was seen before."""
    seen = np.isfinite(depth_m)
    if seen.any():
        points = pose.inverse().apply(grid.rays[seen] * depth_m[seen, None])
        _, nearest = shape.model.tree.query(points)
        seen[seen] = shape.observed[nearest]
    return seen


def seen_samples(
    model: RegistrationModel, observation: Observation, camera_from_object: Similarity
) -> Bools:
    """Tell which samples of a surface an object's own pixels show, ``(M,)``."""
    points = camera_from_object.apply(model.samples)
    normals = model.normals @ camera_from_object.rotation.T
    lengths = np.linalg.norm(points, axis=1)
    faces = -(normals * points).sum(axis=1) > FACING * lengths
    seen: Bools = faces & falls_on(observation.mask, points, observation.camera)
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
