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

"""Dressing a closed surface: what the camera saw of it, colours, and how well it fits the view."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from sam3d_ros.completion.evidence import ViewEvidence, camera_of, sampled
from sam3d_ros.completion.hypotheses import Hypothesis
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.geometry.meshes import triangle_areas
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.raster import Raster, render
from sam3d_ros.structures import Bools, Bytes, Floats, Ints, Mesh, Observation, Quality

VISIBLE_M = 0.003  # a vertex this far behind the rendered surface is still on it
INLIER_SIGMAS = 4.0
NUM_NEIGHBOURS = 4  # whose colours mix on the unseen side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bare:
    """A closed surface without colours, in the camera frame."""

    vertices: Floats  # (V, 3)
    triangles: Ints  # (F, 3)


def dressed(
    vertices: Floats,
    triangles: Ints,
    hypothesis: Hypothesis,
    workspace: Workspace,
    evidence: ViewEvidence,
    observation: Observation,
) -> tuple[Mesh, Quality]:
    """Colour a surface given in work; return it in work, and its fit to the observation."""
    vertices_camera = workspace.camera_from_work.apply(vertices)
    raster = render([Bare(vertices=vertices_camera, triangles=triangles)], camera_of(evidence))
    u, v = _pixels(vertices_camera, evidence)
    seen = _seen(vertices_camera[:, 2], u, v, raster, evidence)
    colors = np.zeros((len(vertices), 3), dtype=np.uint8)
    colors[seen] = _image_colors(observation, evidence, u[seen], v[seen])
    if seen.any() and not seen.all():
        tree = cKDTree(vertices[seen])
        _, nearest = tree.query(hypothesis.twins(vertices[~seen]), k=NUM_NEIGHBOURS)
        nearest = np.minimum(nearest, int(seen.sum()) - 1)
        # Column by column: a mean over a short middle axis is many times slower.
        sums = sum(colors[seen].astype(np.uint16)[column] for column in nearest.T)
        colors[~seen] = sums // NUM_NEIGHBOURS
    mesh = Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        colors=colors,
        observed=seen.astype(np.float32),
    )
    return mesh, _quality(mesh, raster, observation, evidence)


def _pixels(points_camera: Floats, evidence: ViewEvidence) -> tuple[Floats, Floats]:
    uvw = points_camera @ evidence.matrix_px.T
    return uvw[:, 0] / uvw[:, 2], uvw[:, 1] / uvw[:, 2]


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
    core = cv2.erode(observation.silhouette.astype(np.uint8), np.ones((3, 3), dtype=np.uint8))
    core = core if core.any() else observation.silhouette.astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        1 - core, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(core)
    nearest = np.zeros(labels.max() + 1, dtype=np.int64)
    nearest[labels[rows, columns]] = np.arange(len(rows))
    columns_px = np.clip(np.round(u + left).astype(int), 0, rgb.shape[1] - 1)
    rows_px = np.clip(np.round(v + top).astype(int), 0, rgb.shape[0] - 1)
    index = nearest[labels[rows_px, columns_px]]
    colors: Bytes = np.clip(np.round(255.0 * rgb[rows[index], columns[index]]), 0, 255).astype(
        np.uint8
    )
    return colors


def _quality(
    mesh: Mesh, raster: Raster, observation: Observation, evidence: ViewEvidence
) -> Quality:
    rendered = np.isfinite(raster.depth_m)
    shown = evidence.shown
    judged = ~evidence.hidden
    union = ((rendered | shown) & judged).sum()
    measured = np.isfinite(evidence.measured_m)
    measured_m = evidence.measured_m[measured & rendered]
    residual_m = np.abs(raster.depth_m[measured & rendered] - measured_m)
    tolerance_m = INLIER_SIGMAS * depth_noise_m(measured_m)
    areas = triangle_areas(mesh)
    seen = mesh.observed[mesh.triangles].mean(axis=1)
    return Quality(
        silhouette_iou=float((rendered & shown & judged).sum() / max(1, union)),
        depth_residual_m=float(np.median(residual_m)) if residual_m.size else float("nan"),
        inlier_fraction=float((residual_m < tolerance_m).sum() / max(1, measured.sum())),
        observed_fraction=float((areas * seen).sum() / areas.sum()),
    )
