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


"""What one view saw near its surfaces: how far before or beside them a point lies, and which way.

``ViewEvidence`` says how far a point is free; to weigh several views it takes the direction of
the surface, too, and how far to trust it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from sam3d_ros.geometry.evidence import ViewEvidence, sampled
from sam3d_ros.geometry.noise import LIDAR_M, depth_noise_m
from sam3d_ros.structures import Bools, Floats, Ints, ScaleSource

TRUNCATION_SIGMAS = 4.0
OUTLINE_WEIGHT = 0.25  # of a silhouette beside that of a surface seen straight on
OUTLINE_SIGMA_PX = 1.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Votes:
    """How free a view calls some points, and where it sees them."""

    free_m: Floats  # (N,) as of ``ViewEvidence``, but far inside where the object cannot be seen
    beside: Bools  # (N,) whether the outline says so, else the surface
    columns: Ints  # (N,) nearest pixel
    rows: Ints  # (N,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voiced:
    """From where a view says so, and with what weight."""

    normals: Floats  # (N, 3) out of the object, in the view's frame
    weight: Floats  # (N,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurfaceMaps:
    """Directions of what a view saw, over the crop of its evidence."""

    evidence: ViewEvidence
    surface: tuple[Floats, Floats]  # points and normals of the seen side, each (N, 3)
    normals: Floats  # (h, w, 3) of the surface, towards the camera
    outline: Floats  # (h, w, 3) at right angles to the ray, away from the silhouette
    truncation_m: float  # what is farther behind a surface is unknown
    trust: float  # inverse variance of the depth

    def votes(self, points_view: Floats) -> Votes:
        """Say of points ``(N, 3)`` in the view's frame how free they are."""
        evidence = self.evidence
        points = points_view.astype(np.float32)
        depth_m = np.maximum(points[:, 2], np.float32(1e-3))
        (focal_x, _, middle_x), (_, focal_y, middle_y) = evidence.matrix_px[:2].astype(np.float32)
        u = points[:, 0] / depth_m * focal_x + middle_x
        v = points[:, 1] / depth_m * focal_y + middle_y
        beside_m = sampled(evidence.outside_px, u, v) * depth_m / focal_x
        before_m = (sampled(evidence.front_m, u, v) - depth_m) * sampled(evidence.cosine, u, v)
        free_m = np.maximum(beside_m, before_m)
        height, width = evidence.front_m.shape
        columns = np.clip(np.rint(u), 0, width - 1).astype(np.intp)
        rows = np.clip(np.rint(v), 0, height - 1).astype(np.intp)
        # Near to what hides the object, its own surface is not what was measured.
        unknown = evidence.hidden[rows, columns] & (free_m < self.truncation_m)
        free_m = np.where(unknown, np.minimum(free_m, -2.0 * self.truncation_m), free_m)
        return Votes(free_m=free_m, beside=beside_m > before_m, columns=columns, rows=rows)

    def voiced(self, votes: Votes, chosen: Ints) -> Voiced:
        """Say the direction and the weight of some of the votes."""
        at = votes.rows[chosen], votes.columns[chosen]
        beside = votes.beside[chosen]
        normals = np.where(beside[:, None], self.outline[at], self.normals[at])
        weight = np.where(beside, OUTLINE_WEIGHT, np.square(self.evidence.cosine[at]))
        return Voiced(normals=normals, weight=self.trust * weight)


def noise_of_m(depth_m: float, source: ScaleSource) -> float:
    """Return the standard deviation to expect of a depth from such a sensor."""
    floor_m = LIDAR_M if source == ScaleSource.LIDAR else 0.0
    return max(float(depth_noise_m(np.asarray(depth_m))), floor_m)


def surface_maps(evidence: ViewEvidence, source: ScaleSource) -> SurfaceMaps:
    """Draw the directions of one view."""
    middle_m = float(np.median(evidence.front_m[evidence.shown]))
    noise_m = noise_of_m(middle_m, source)
    pixel_m = middle_m / float(evidence.matrix_px[0, 0])
    surface = evidence.surface()
    return SurfaceMaps(
        evidence=evidence,
        surface=surface,
        normals=_normals(evidence, surface[1]),
        outline=_outline(evidence),
        truncation_m=TRUNCATION_SIGMAS * noise_m + 2.0 * pixel_m,
        trust=(1e-3 / noise_m) ** 2,
    )


def _normals(evidence: ViewEvidence, seen: Floats) -> Floats:
    """Return the normals of the seen side; elsewhere those towards the camera."""
    points = evidence.points().astype(np.float32)
    towards = -points / np.linalg.norm(points, axis=-1, keepdims=True)
    towards[evidence.shown & ~evidence.hidden] = seen
    return towards


def _outline(evidence: ViewEvidence) -> Floats:
    """Return the direction in which the distance to the outline grows."""
    smooth = cv2.GaussianBlur(evidence.outside_px.astype(np.float32), (0, 0), OUTLINE_SIGMA_PX)
    down, right = np.gradient(smooth)
    rays = evidence.points().astype(np.float32)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    sideways = np.stack((right, down, np.zeros_like(right)), axis=-1)
    sideways = sideways - np.einsum("hwi,hwi->hw", sideways, rays)[..., None] * rays
    length = np.linalg.norm(sideways, axis=-1, keepdims=True)
    outline: Floats = sideways / np.maximum(length, 1e-6)
    return outline
