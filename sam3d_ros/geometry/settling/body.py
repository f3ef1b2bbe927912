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

"""One mesh as it is moved about: what it is asked by others, and what it was measured to be."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import open3d as o3d

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.raycasting import NUM_THREADS, raycasting_scene
from sam3d_ros.structures import Bools, Floats, Mesh, Similarity

NUM_SAMPLES = 1500  # of the surface
NUM_VERTICES = 2500  # besides; coarse meshes have fewer, and their corners count
NUM_POINTS = 500  # of both that are compared with one other object
NUM_MEASURED = 150
FAR_OFF = 90.0  # percentile of what measured points are off: the visible surface as a whole


class Body:
    """A closed mesh in the camera frame, how sure its place is, and where it was measured.

    Poses that methods take are rigid and say where the body is now: ``now_from_start``.
    """

    def __init__(
        self, mesh_camera: Mesh, variance_m2: Floats, measured: Floats, outline: Floats
    ) -> None:
        """Take over a mesh.

        Args:
            mesh_camera: In metres, closed.
            variance_m2: Covariance of the position, ``(3, 3)``; zero does not move.
            measured: Points on the object that the camera measured, ``(N, 3)``; may be none.
            outline: Those of them that are where the object ends in the image, ``(M, 3)``.

        Raises:
            ShapeError: The mesh has no triangles.
        """
        if not len(mesh_camera.triangles):
            raise ShapeError("a mesh to settle must have triangles, got none; check the backend")
        self._mesh = mesh_camera
        self.vertices = np.asarray(mesh_camera.vertices, dtype=np.float64)
        self.measured, self.outline = _thinned(measured), _thinned(outline)
        self.variance_m2 = variance_m2
        self.low, self.high = self.vertices.min(axis=0), self.vertices.max(axis=0)

    @property
    def middle(self) -> Floats:
        """Middle of the box around the mesh at the start, ``(3,)``."""
        middle: Floats = (self.low + self.high) / 2
        return middle

    @property
    def is_fixed(self) -> bool:
        """Whether the body stays where it is, whatever it overlaps."""
        return not self.variance_m2.any()

    @cached_property
    def scene(self) -> o3d.t.geometry.RaycastingScene:
        """The mesh at the start, for distances; made when first needed."""
        return raycasting_scene([self._mesh])

    @cached_property
    def points(self) -> Floats:
        """Points on the surface, ``(N, 3)``: uniform over the area, and vertices."""
        (a, b, c), normals = self._corners_and_normals
        areas = np.linalg.norm(normals, axis=1)
        rng = np.random.default_rng(0)
        places = (np.arange(NUM_SAMPLES) + rng.random(NUM_SAMPLES)) / NUM_SAMPLES
        drawn = np.searchsorted(np.cumsum(areas), places * areas.sum())
        chosen = np.minimum(drawn, len(areas) - 1)
        r1, r2 = np.sqrt(rng.random((NUM_SAMPLES, 1))), rng.random((NUM_SAMPLES, 1))
        drawn_points = (1 - r1) * a[chosen] + r1 * (1 - r2) * b[chosen] + r1 * r2 * c[chosen]
        stride = -(-len(self.vertices) // NUM_VERTICES)
        return np.concatenate((drawn_points, self.vertices[::stride]))

    @cached_property
    def center_of_mass(self) -> Floats:
        """Centre of the volume at the start, ``(3,)``; everything inside is equally heavy."""
        (a, b, c), normals = self._corners_and_normals
        sixfold = np.einsum("fi,fi->f", a - self.middle, normals)
        total = sixfold.sum()
        if not abs(total) > 0:
            return self.middle
        # The centre of a tetrahedron is the mean of its corners, of which the middle is one.
        inner: Floats = self.middle / 4 + (sixfold @ (a + b + c)) / (4 * total)
        return inner if ((inner > self.low) & (inner < self.high)).all() else self.middle

    @cached_property
    def _corners_and_normals(self) -> tuple[tuple[Floats, Floats, Floats], Floats]:
        """Corners of the triangles, each ``(F, 3)``, and normals twice as long as their areas."""
        a, b, c = (self.vertices[self._mesh.triangles[:, corner]] for corner in range(3))
        return (a, b, c), np.cross(b - a, c - a)

    def box(self, now_from_start: Similarity) -> tuple[Floats, Floats]:
        """Return the corners of a box around the body where it is now."""
        half = (self.high - self.low) / 2
        reach = np.abs(now_from_start.rotation) @ half
        middle = now_from_start.apply(self.middle)
        return middle - reach, middle + reach

    def is_inside(self, points: Floats) -> Bools:
        """Tell which points ``(N, 3)`` are inside the body at its start, ``(N,)``."""
        occupied = self.scene.compute_occupancy(_tensor(points), nthreads=NUM_THREADS)
        inside: Bools = occupied.numpy() > 0
        return inside

    def nearest(self, points: Floats) -> Floats:
        """Return the nearest points of the surface at the start, ``(N, 3)``."""
        found = self.scene.compute_closest_points(_tensor(points), nthreads=NUM_THREADS)
        return found["points"].numpy().astype(np.float64)

    def exits_m(self, points: Floats, direction: Floats) -> Floats:
        """Return how far points ``(N, 3)`` inside are from leaving along a direction, ``(N,)``."""
        rays = np.concatenate((points, np.broadcast_to(direction, points.shape)), axis=1)
        hits = self.scene.cast_rays(_tensor(rays), nthreads=NUM_THREADS)
        return hits["t_hit"].numpy().astype(np.float64)

    def off_m(self, now_from_start: Similarity) -> Floats:
        """Return how far the visible surface is from its measured depth, and from its outline.

        Depth is compared along the rays of the camera; where these miss the body, the distance of
        the measured point counts, as it does along the outline. 0 where nothing was measured.
        """
        start_from_now = now_from_start.inverse()
        measured, outline = (start_from_now.apply(each) for each in (self.measured, self.outline))
        eye = start_from_now.translation_m
        rays = np.concatenate((np.broadcast_to(eye, measured.shape), measured - eye), axis=1)
        hits = self.scene.cast_rays(_tensor(rays), nthreads=NUM_THREADS)["t_hit"].numpy()
        missed = ~np.isfinite(hits)
        off_m = np.abs(hits - 1.0) * self.measured[:, 2]
        off_m[missed] = self._distance_m(measured[missed])
        return np.array([_percentile(off_m), _percentile(self._distance_m(outline))])

    def _distance_m(self, points: Floats) -> Floats:
        """Distance of points ``(N, 3)`` to the surface at the start, ``(N,)``."""
        distance_m: Floats = np.linalg.norm(self.nearest(points) - points, axis=1)
        return distance_m

    @cached_property
    def off_at_start_m(self) -> Floats:
        """How far the visible surface was from what was measured at the start, ``(2,)``."""
        return self.off_m(Similarity.identity())


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A body and where it is now."""

    body: Body
    now_from_start: Similarity

    def shifted(self, shift_m: Floats) -> "Placed":
        """Return the body elsewhere."""
        pose = self.now_from_start
        return Placed(self.body, Similarity(pose.rotation, pose.translation_m + shift_m))

    def turned(self, rotation: Floats, pivot: Floats) -> "Placed":
        """Return the body turned about a point."""
        about = Similarity(rotation, pivot - rotation @ pivot)
        return Placed(self.body, about @ self.now_from_start)

    @property
    def shift_m(self) -> Floats:
        """How far the middle has moved, ``(3,)``."""
        shift: Floats = self.now_from_start.apply(self.body.middle) - self.body.middle
        return shift

    @property
    def departure_m(self) -> float:
        """How much farther the visible surface is from what was measured than at the start."""
        farther_m = self.body.off_m(self.now_from_start) - self.body.off_at_start_m
        return float(farther_m.max())

    def points_within(self, other: "Placed") -> Floats:
        """Return points of this body in the box of another, as the other had them at its start."""
        other_from_this = other.now_from_start.inverse() @ self.now_from_start
        points = other_from_this.apply(self.body.points)
        within = ((points > other.body.low) & (points < other.body.high)).all(axis=1)
        points = points[within]
        return points[:: max(1, -(-len(points) // NUM_POINTS))]


def _thinned(points: Floats) -> Floats:
    return np.asarray(points[:: max(1, len(points) // NUM_MEASURED)], dtype=np.float64)


def _percentile(off_m: Floats) -> float:
    return float(np.percentile(off_m, FAR_OFF)) if len(off_m) else 0.0


def _tensor(values: Floats) -> o3d.core.Tensor:
    return o3d.core.Tensor(np.ascontiguousarray(values, dtype=np.float32))
