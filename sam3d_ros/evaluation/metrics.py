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

"""How far a reconstructed shape is from the true one, where it stands.

Nothing is aligned first: shape, scale and pose count together, as they do for a gripper. Both
meshes are given in one frame, usually the camera's, in metres. F1 is measured at distances in
metres and, so that small and large objects compare, at shares of the true object's size.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from sam3d_ros.evaluation.solids import distance_to_surface, is_inside
from sam3d_ros.geometry.measures import bounds, enclosed_volume_m3
from sam3d_ros.geometry.meshes import sample_surface
from sam3d_ros.geometry.raster import render
from sam3d_ros.structures import Bools, Floats, Mesh, Observation

GRID_CELLS = 64  # per axis
NUM_SAMPLES = 20_000  # per surface
F1_THRESHOLDS_M = (0.005, 0.010)
# Where both meshes are moved and scaled alike until the true one's box fits [-1, 1]^3, which is how
# SAM 3D (arXiv 2511.16624) and the generative models before it state their F1.
F1_THRESHOLDS = (0.01, 0.02, 0.05)
OCCLUSION_MARGIN_M = 0.010  # something nearer than the mesh by this much hides it


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeMetrics:
    """A predicted mesh against the true one; see the functions of this module."""

    viou: float
    chamfer_mm: float
    f1_5mm: float
    f1_10mm: float
    f1_001: float  # at 0.01 after the true box was scaled to [-1, 1]^3
    f1_002: float
    f1_005: float
    box_iou: float
    scale_ratio: float
    centre_error_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewMetrics:
    """A predicted mesh against the image and depth that it was made from; needs no truth."""

    depth_residual_mm: float  # NaN where the mesh covers no measured pixel
    silhouette_iou: float


def compare_shapes(predicted: Mesh, truth: Mesh) -> ShapeMetrics:
    """Compare two meshes, closed or not, that stand in one frame, in metres.

    Boxes are parallel to the axes of that frame: for the evaluation, to those of the camera.
    """
    box_predicted, box_truth = bounds(predicted), bounds(truth)
    to_truth_m, to_predicted_m = surface_distances(predicted, truth)
    half_m = float(np.ptp(box_truth, axis=0).max()) / 2
    thresholds_m = (*F1_THRESHOLDS_M, *(share * half_m for share in F1_THRESHOLDS))
    f1_5mm, f1_10mm, f1_001, f1_002, f1_005 = (
        f_score(to_truth_m, to_predicted_m, each_m) for each_m in thresholds_m
    )
    return ShapeMetrics(
        viou=volume_iou(predicted, truth),
        chamfer_mm=1000.0 * chamfer_l1(to_truth_m, to_predicted_m),
        f1_5mm=f1_5mm,
        f1_10mm=f1_10mm,
        f1_001=f1_001,
        f1_002=f1_002,
        f1_005=f1_005,
        box_iou=box_iou(box_predicted, box_truth),
        scale_ratio=diagonal(box_predicted) / diagonal(box_truth),
        centre_error_mm=1000.0 * centre_distance(box_predicted, box_truth),
    )


def compare_to_view(mesh_camera: Mesh, observation: Observation) -> ViewMetrics:
    """Compare a mesh in the camera frame with the observation that it was made from."""
    rendered_m = render([mesh_camera], observation.camera).depth_m
    measured_m = observation.points_camera[..., 2]
    return ViewMetrics(
        depth_residual_mm=1000.0 * depth_residual(rendered_m, measured_m, observation.mask),
        silhouette_iou=silhouette_iou(rendered_m, measured_m, observation.silhouette),
    )


def volume_iou(predicted: Mesh, truth: Mesh) -> float:
    """Volume in both over volume in either, from 64^3 samples of their common box.

    Samples are the centres of 64 x 64 x 64 equal cells of the smallest axis-parallel box around
    both meshes (vIoU of Mescheder et al., Occupancy Networks, CVPR 2019, on a grid). What is
    inside an open mesh is decided by a vote of rays: ``evaluation.solids.is_inside``.
    """
    corners = np.concatenate((bounds(predicted), bounds(truth)))
    points = cell_centres(corners.min(axis=0), corners.max(axis=0), GRID_CELLS)
    in_predicted, in_truth = is_inside(predicted, points), is_inside(truth, points)
    return intersection_over_union(in_predicted, in_truth)


def solidity(truth: Mesh) -> float:
    """Return the share of its convex hull that a closed mesh fills; NaN where it is not closed.

    1 is convex; bowls, cups and what is made of rods fill little, and are the hardest to
    complete, whatever family or class they are of.
    """
    return enclosed_volume_m3(truth) / float(ConvexHull(truth.vertices).volume)


def surface_distances(predicted: Mesh, truth: Mesh) -> tuple[Floats, Floats]:
    """Return distances of samples of each surface to the other surface, two ``(N,)`` in metres.

    Samples are uniform over the area and seeded. They are measured to the other *surface*, not
    to samples of it, so that equal meshes are at distance zero whatever the sampling density.
    """
    rng = np.random.default_rng(0)
    samples_predicted, _ = sample_surface(predicted, NUM_SAMPLES, rng)
    samples_truth, _ = sample_surface(truth, NUM_SAMPLES, rng)
    return (
        distance_to_surface(truth, samples_predicted),
        distance_to_surface(predicted, samples_truth),
    )


def chamfer_l1(to_truth_m: Floats, to_predicted_m: Floats) -> float:
    """Mean of accuracy and completeness, in metres.

    Accuracy is the mean distance from the prediction to the truth, completeness the mean the
    other way (Chamfer-L1 of Mescheder et al., CVPR 2019: half the sum, distances not squared).
    """
    return float((to_truth_m.mean() + to_predicted_m.mean()) / 2)


def f_score(to_truth_m: Floats, to_predicted_m: Floats, threshold_m: float) -> float:
    """Harmonic mean of precision and recall at a distance (Knapitsch et al., SIGGRAPH 2017).

    Precision is the share of the predicted surface within ``threshold_m`` of the true one,
    recall the share of the true surface within it of the predicted one.
    """
    precision = float((to_truth_m <= threshold_m).mean())
    recall = float((to_predicted_m <= threshold_m).mean())
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def box_iou(first: Floats, second: Floats) -> float:
    """Volume IoU of two axis-parallel boxes ``(2, 3)``: lower and upper corner, in metres."""
    low, high = np.maximum(first[0], second[0]), np.minimum(first[1], second[1])
    shared = float(np.clip(high - low, 0.0, None).prod())
    either = float(np.ptp(first, axis=0).prod() + np.ptp(second, axis=0).prod()) - shared
    return shared / either if either else 0.0


def diagonal(box: Floats) -> float:
    """Length of the diagonal of a box ``(2, 3)``, in metres; their ratio is the scale ratio."""
    return float(np.linalg.norm(box[1] - box[0]))


def centre_distance(first: Floats, second: Floats) -> float:
    """Distance between the centres of two boxes ``(2, 3)``, in metres."""
    return float(np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)))


def depth_residual(rendered_m: Floats, measured_m: Floats, mask: Bools) -> float:
    """Median of |rendered - measured| depth over the mask's pixels that have both, in metres.

    It needs no truth, so it can be watched on a robot. NaN where no pixel has both.
    """
    difference_m = np.abs(rendered_m - measured_m)[mask]
    known_m = difference_m[np.isfinite(difference_m)]
    return float(np.median(known_m)) if known_m.size else float("nan")


def silhouette_iou(rendered_m: Floats, measured_m: Floats, mask: Bools) -> float:
    """Pixels in both over pixels in either, of the rendered mesh and the visible mask.

    A mask ends where something stands in front of the object. Rendered pixels outside the mask
    at which the sensor measured something nearer than the mesh are therefore not counted.
    """
    rendered = np.isfinite(rendered_m)
    hidden = rendered & ~mask & (measured_m < rendered_m - OCCLUSION_MARGIN_M)
    return intersection_over_union(rendered & ~hidden, mask)


def intersection_over_union(first: Bools, second: Bools) -> float:
    """Share of the elements set in either that are set in both; 0 where none is set."""
    either = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / either if either else 0.0


def cell_centres(low: Floats, high: Floats, cells: int) -> Floats:
    """Return the centres of ``cells``^3 equal cells of a box, ``(cells^3, 3)``."""
    steps = (np.arange(cells) + 0.5) / cells
    unit = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    centres: Floats = low + unit.reshape(-1, 3) * (high - low)
    return centres
