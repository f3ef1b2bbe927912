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

"""What the camera saw of a surface: which vertices, their colours, and how well it fits the view.

Every backend's result is judged here, so that their numbers mean the same.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from sam3d_ros.geometry.evidence import ViewEvidence, camera_of, sampled
from sam3d_ros.geometry.measures import triangle_areas
from sam3d_ros.geometry.nearest import nearest_pixels
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.raster import Raster, render
from sam3d_ros.geometry.raycasting import MeshLike
from sam3d_ros.structures import Bools, Bytes, Floats, Ints, Mesh, Observation, Quality

VISIBLE_M = 0.003  # a vertex this far behind the rendered surface is still on it
INLIER_SIGMAS = 4.0
NUM_NEIGHBOURS = 4  # whose colours mix on the unseen side
NEIGHBOURS_EPS = 0.5  # they may be farther than the nearest by this share: a third less time
NEAREST_M = 1e-3  # what is nearer to the camera, or behind it, is not seen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurfaceView:
    """A surface in the camera of an observation."""

    raster: Raster  # over the crop of the evidence
    seen: Bools  # (V,) vertices that the camera saw
    colors: Bytes  # (N, 3) of the seen ones


def view_surface(
    surface_camera: MeshLike, observation: Observation, evidence: ViewEvidence
) -> SurfaceView:
    """Look at a surface given in the camera frame as the camera did."""
    raster = render([surface_camera], camera_of(evidence))
    depth_m = surface_camera.vertices[:, 2]
    u, v = _pixels(surface_camera.vertices, evidence)
    seen = _seen(depth_m, u, v, raster, evidence) & (depth_m > NEAREST_M)
    return SurfaceView(
        raster=raster, seen=seen, colors=_image_colors(observation, evidence, u[seen], v[seen])
    )


def colors_nearby(vertices: Floats, colors: Bytes, points: Floats) -> Bytes:
    """Return for points ``(N, 3)`` the mean colour of their nearest vertices, ``(N, 3)``."""
    _, nearest = cKDTree(vertices).query(points, k=NUM_NEIGHBOURS, eps=NEIGHBOURS_EPS)
    nearest = np.minimum(nearest, len(vertices) - 1)
    # Column by column: a mean over a short middle axis is many times slower.
    sums = sum(colors.astype(np.uint16)[column] for column in nearest.T)
    mixed: Bytes = (sums // NUM_NEIGHBOURS).astype(np.uint8)
    return mixed


def fit_quality(mesh: Mesh, raster: Raster, evidence: ViewEvidence) -> Quality:
    """Measure how far a mesh, rendered into the crop of the evidence, agrees with the view.

    With estimated depth in place of readings nothing is said of how far it agrees with those.
    """
    rendered = np.isfinite(raster.depth_m)
    shown = evidence.shown
    judged = ~evidence.hidden
    union = ((rendered | shown) & judged).sum()
    measured = np.isfinite(evidence.measured_m)
    known = evidence.is_measured
    measured_m = evidence.measured_m[measured & rendered]
    residual_m = np.abs(raster.depth_m[measured & rendered] - measured_m)
    tolerance_m = INLIER_SIGMAS * depth_noise_m(measured_m)
    areas = triangle_areas(mesh)
    seen = mesh.observed[mesh.triangles].mean(axis=1)
    return Quality(
        silhouette_iou=float((rendered & shown & judged).sum() / max(1, union)),
        depth_residual_m=float(np.median(residual_m)) if known and residual_m.size else np.nan,
        inlier_fraction=(
            float((residual_m < tolerance_m).sum() / max(1, measured.sum())) if known else np.nan
        ),
        observed_fraction=float((areas * seen).sum() / areas.sum()),
    )


def _pixels(points_camera: Floats, evidence: ViewEvidence) -> tuple[Floats, Floats]:
    uvw = points_camera @ evidence.matrix_px.T
    depth_m = np.maximum(uvw[:, 2], NEAREST_M)
    return uvw[:, 0] / depth_m, uvw[:, 1] / depth_m


def _seen(depth_m: Floats, u: Floats, v: Floats, raster: Raster, evidence: ViewEvidence) -> Bools:
    """Tell which vertices are on the nearest surface, in pixels where the object shows."""
    rendered_m = np.nan_to_num(raster.depth_m, nan=0.0)
    farthest_m = np.asarray(cv2.dilate(rendered_m, np.ones((3, 3), dtype=np.uint8)), np.float32)
    on_surface = depth_m <= sampled(farthest_m, u, v) + VISIBLE_M
    shows = sampled(evidence.shown.astype(np.float32), u, v) > 0.5
    seen: Bools = on_surface & shows
    return seen


def _image_colors(observation: Observation, evidence: ViewEvidence, u: Floats, v: Floats) -> Bytes:
    """Read the image; pixels at the rim of the mask, which mix two surfaces, are not read."""
    rgb = observation.rgb
    left, top = (observation.camera.matrix_px - evidence.matrix_px)[:2, 2]
    shown = observation.silhouette.astype(np.uint8)
    core = np.asarray(cv2.erode(shown, np.ones((3, 3), dtype=np.uint8)), dtype=np.uint8)
    core = core if core.any() else shown
    columns_px = np.clip(np.round(u + left).astype(int), 0, rgb.shape[1] - 1)
    rows_px = np.clip(np.round(v + top).astype(int), 0, rgb.shape[0] - 1)
    if not len(rows_px):
        return np.zeros((0, 3), dtype=np.uint8)
    part = _window(core, rows_px, columns_px)
    first_row, first_column = part[0].start, part[1].start
    near_rows, near_columns = nearest_pixels(core[part].astype(bool))
    at = (rows_px - first_row, columns_px - first_column)
    read = rgb[part][near_rows[at], near_columns[at]]
    colors: Bytes = np.clip(np.round(255.0 * read), 0, 255).astype(np.uint8)
    return colors


def _window(core: Bytes, rows_px: Ints, columns_px: Ints) -> tuple[slice, slice]:
    """Return the part of the image that holds the core and some pixels: distances end there."""
    left, top, width, height = cv2.boundingRect(core)
    return (
        slice(min(top, int(rows_px.min())), max(top + height, int(rows_px.max()) + 1)),
        slice(min(left, int(columns_px.min())), max(left + width, int(columns_px.max()) + 1)),
    )
