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


"""From where objects are expected to where an image shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.terms import Rows, joined_rows
from sam3d_ros.geometry.tracking.judging import Finding, Judgement, findings, judged
from sam3d_ros.geometry.tracking.outlines import mask_rows, silhouette_ious
from sam3d_ros.geometry.tracking.rendering import Shown, shown
from sam3d_ros.geometry.tracking.rims import depth_steps, rims, step_rows
from sam3d_ros.geometry.tracking.solving import Expectation, evidence, expectation_of, stepped
from sam3d_ros.geometry.tracking.targets import Readings, Target, poses_of, readings_about
from sam3d_ros.geometry.tracking.views import TrackingView, noise_m
from sam3d_ros.structures import Floats, Similarity

LATERAL_PX = 0.7  # a reading may belong to a place this far beside its pixel
COARSE_SHARE = 2  # of the readings one in so many leads the first steps
# Widths of the kernels of depth as share of how far off objects may be, and thinned or not.
COARSE = (1.0, 0.6, 0.3)
NUM_FINE = 3
FINE_KERNEL_M = 0.004
MAX_KERNEL_M = 0.03
KERNEL_PX = (6.0, 3.0)  # of rims, while coarse and fine
FAR_M = 0.008  # beyond which a motion wants an outline to confirm it
MAX_SIGMAS = 4.0  # from where an object was expected; farther it is another one
SLACK = np.array([0.01] * 3 + [0.1] * 3)  # m, rad; expectations may be too sure of themselves


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """Where one object is in the depth camera."""

    finding: Finding
    depth_from_object: Similarity  # rigid; the expected one unless confirmed
    residual_m: float
    inlier_fraction: float
    silhouette_iou: float  # NaN without a mask
    covariance: Floats  # (6, 6) of the centre (m) and a turn (rad) in the depth camera


def track(view: TrackingView, targets: Sequence[Target]) -> list[Tracked]:
    """Find objects near where they are expected, all at once; they hide one another."""
    if not targets:
        return []
    expectation = expectation_of(targets)
    readings = readings_about(view, targets, poses_of(targets))
    poses = _moved(view, targets, expectation, readings)
    return _concluded(view, targets, expectation, readings, poses)


def _moved(
    view: TrackingView, targets: Sequence[Target], expectation: Expectation, readings: Readings
) -> Poses:
    """Move objects from coarse to fine."""
    poses = expectation.poses
    sigma_m = np.array([t.sigma_m + 0.5 * t.model.radius * t.sigma_rad for t in targets])
    start_m = np.clip(2.0 * sigma_m, FINE_KERNEL_M, MAX_KERNEL_M)
    coarse = readings.thinned(COARSE_SHARE)
    for share in COARSE:
        kernel_m = np.maximum(share * start_m, FINE_KERNEL_M)
        rows = _rows(view, targets, poses, coarse, (kernel_m, KERNEL_PX[0]))
        poses = stepped(expectation, poses, rows)
    kernel_m = np.full(len(targets), FINE_KERNEL_M)
    for _ in range(NUM_FINE):
        rows = _rows(view, targets, poses, readings, (kernel_m, KERNEL_PX[1]))
        poses = stepped(expectation, poses, rows)
    return poses


def _rows(
    view: TrackingView,
    targets: Sequence[Target],
    poses: Poses,
    readings: Readings,
    kernels: tuple[Floats, float],
) -> Rows:
    """Return what asks objects to move; kernels are in metres ``(K,)`` and in pixels."""
    kernel_m, kernel_px = kernels
    seen = shown(targets, poses, readings, view.camera)
    found = rims(targets, poses, view.camera)
    steps = depth_steps(view, found, np.array([target.model.radius for target in targets]))
    kernels_px = np.full(len(targets), kernel_px)
    return joined_rows(
        depth_rows(view, readings, seen, kernel_m),
        step_rows(found, steps, view.focal_px, kernels_px),
        *mask_rows(view, targets, poses, kernels_px),
    )


def depth_rows(view: TrackingView, readings: Readings, seen: Shown, kernel_m: Floats) -> Rows:
    """Compare readings with the surface along the same rays (projective point to plane)."""
    known = seen.hit & ~seen.hidden & readings.mine & np.isfinite(readings.measured_m)
    depth_m = np.where(known, seen.depth_m, 1.0)
    measured_m = np.where(known, readings.measured_m, 1.0)
    cosine = (seen.normals * readings.rays).sum(axis=-1)
    residuals_m = cosine * (depth_m - measured_m)
    sideways_m = LATERAL_PX / view.focal_px * measured_m
    variance = np.square(cosine * noise_m(measured_m)) + np.square(sideways_m)
    width = np.square(kernel_m)[:, None] + 4.0 * variance
    weights = np.square(width / (width + np.square(residuals_m))) / variance
    points = depth_m[..., None] * readings.rays
    return Rows(points, seen.normals, residuals_m, np.where(known, weights, 0.0))


def _concluded(
    view: TrackingView,
    targets: Sequence[Target],
    expectation: Expectation,
    readings: Readings,
    poses: Poses,
) -> list[Tracked]:
    """Judge poses, and say how sure they are."""
    seen = shown(targets, poses, readings, view.camera)
    found = rims(targets, poses, view.camera)
    steps = depth_steps(view, found, expectation.radii_m)
    judgement = judged(targets, readings, seen, steps)
    offsets = expectation.offsets(poses)
    moved = np.linalg.norm(offsets[:, :3], axis=1) > FAR_M
    limits = MAX_SIGMAS / np.sqrt(expectation.information) + SLACK
    astray = (np.abs(offsets) > limits).any(axis=1)
    decided = findings(judgement, moved)
    rows = joined_rows(
        depth_rows(view, readings, seen, np.full(len(targets), FINE_KERNEL_M)),
        step_rows(found, steps, view.focal_px, np.full(len(targets), KERNEL_PX[1])),
    )
    covariances = _covariances(expectation, poses, rows, judgement)
    ious = silhouette_ious(view, targets, poses)
    return [
        _tracked(
            decided[k] if not astray[k] else Finding.CONTRADICTED,
            (expectation.poses.similarity(k), poses.similarity(k)),
            judgement,
            k,
            (float(ious[k]), covariances[k]),
        )
        for k in range(len(targets))
    ]


def _tracked(
    finding: Finding,
    poses: tuple[Similarity, Similarity],
    judgement: Judgement,
    index: int,
    rest: tuple[float, Floats],
) -> Tracked:
    return Tracked(
        finding,
        poses[finding == Finding.CONFIRMED],
        float(judgement.residual_m[index]),
        float(judgement.support[index]) if judgement.num_inliers[index] else float("nan"),
        *rest,
    )


def _covariances(
    expectation: Expectation, poses: Poses, rows: Rows, judgement: Judgement
) -> Floats:
    """Return the inverse of what is known, never more than what was expected."""
    information = evidence(rows, expectation.pivots(poses)).information
    noise = np.square(np.fmax(judgement.chi, 1.0))
    known = information / noise[:, None, None] + np.eye(6) * expectation.information[:, None]
    return np.linalg.inv(known)
