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


"""Outlines against masks, in the colour camera."""

from collections.abc import Sequence

import numpy as np
import open3d as o3d

from sam3d_ros.geometry.cameras import checked_matrix_px, project, undistort_pixels
from sam3d_ros.geometry.raycasting import NUM_THREADS
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.terms import Rows
from sam3d_ros.geometry.tracking.rims import mask_steps, rims, step_rows
from sam3d_ros.geometry.tracking.targets import Target
from sam3d_ros.geometry.tracking.views import TrackingView, noise_m
from sam3d_ros.structures import Bools, Floats, Ints, Similarity, window_of

NUM_JUDGED = 800  # pixels in which a silhouette is compared
COVERED_M = 0.006  # what is in front of the object by more hides it, and so many deviations
COVERED_SIGMAS = 3.0


def mask_of(view: TrackingView, target: Target) -> Bools | None:
    """Return the mask of a target, where it has one."""
    found = (mask.mask for mask in view.masks if mask.instance_id == target.instance_id)
    return next(found, None)


def mask_rows(
    view: TrackingView, targets: Sequence[Target], poses: Poses, kernels_px: Floats
) -> list[Rows]:
    """Compare rims with the outlines of masks; no rows where no object has one."""
    masks = [mask_of(view, target) for target in targets]
    if all(mask is None for mask in masks):
        return []
    found = rims(targets, moved_by(view.color_from_depth, poses), view.color)
    steps = mask_steps(masks, view.color, found)
    rows = step_rows(found, steps, view.color_focal_px, kernels_px)
    depth_from_color = view.color_from_depth.inverse()
    return [
        Rows(
            depth_from_color.apply(rows.points),
            rows.directions @ depth_from_color.rotation.T,
            rows.residuals_m,
            rows.weights,
        )
    ]


def moved_by(a_from_b: Similarity, poses: Poses) -> Poses:
    """Return ``a_from_object`` for ``b_from_object``; rigid."""
    return Poses(
        a_from_b.rotation @ poses.rotation, a_from_b.apply(poses.translation_m), poses.scale
    )


def silhouette_ious(view: TrackingView, targets: Sequence[Target], poses: Poses) -> Floats:
    """Return how well objects cover their masks, ``(K,)``, NaN for those without one.

    Pixels in which something nearer was measured are not judged.
    """
    ious = np.full(len(targets), np.nan)
    in_color = moved_by(view.color_from_depth, poses)
    for index, target in enumerate(targets):
        mask = mask_of(view, target)
        if mask is not None and mask.any():
            ious[index] = _iou(view, target, in_color.similarity(index), mask)
    return ious


def _iou(view: TrackingView, target: Target, color_from_object: Similarity, mask: Bools) -> float:
    pixels = _grid(view, target, color_from_object, mask)
    flat = undistort_pixels(view.color, pixels.astype(np.float64))
    rays = np.concatenate((flat, np.ones((len(flat), 1))), axis=1)
    rays = rays @ np.linalg.inv(checked_matrix_px(view.color)).T
    known = np.isfinite(rays).all(axis=1)
    depth_m = _looked_at(target, color_from_object, np.where(known[:, None], rays, (0, 0, 1.0)))
    hit = np.isfinite(depth_m) & known
    points = np.where(hit, depth_m, np.nan)[:, None] * rays
    in_depth = view.color_from_depth.inverse().apply(points)
    measured_m = view.measured_m(project(view.camera, in_depth))
    gap_m = COVERED_M + COVERED_SIGMAS * noise_m(in_depth[:, 2])
    covered = measured_m < in_depth[:, 2] - gap_m
    marked = mask[pixels[:, 1], pixels[:, 0]]
    hit &= ~covered | marked
    return float((hit & marked).sum() / max(1, int((hit | marked).sum())))


def _grid(view: TrackingView, target: Target, color_from_object: Similarity, mask: Bools) -> Ints:
    """Return pixels ``(N, 2)`` that cover the mask and the object."""
    limits = np.array([view.color.width, view.color.height]) - 1
    marked_rows, marked_columns = window_of(mask)
    low = np.array([marked_columns.start, marked_rows.start])
    high = np.array([marked_columns.stop, marked_rows.stop]) - 1
    shown = project(view.color, color_from_object.apply(target.model.corners))
    if np.isfinite(shown).all():
        low = np.minimum(low, np.clip(np.floor(shown.min(axis=0)), 0, limits).astype(np.intp))
        high = np.maximum(high, np.clip(np.ceil(shown.max(axis=0)), 0, limits).astype(np.intp))
    extent = high - low + 1
    stride = max(1, int(np.sqrt(float(extent[0]) * extent[1] / NUM_JUDGED)))
    axes = [np.arange(low[i] + (stride - 1) // 2, high[i] + 1, stride) for i in (0, 1)]
    columns, rows = np.meshgrid(*axes)
    return np.stack((columns.ravel(), rows.ravel()), axis=1)


def _looked_at(target: Target, camera_from_object: Similarity, rays: Floats) -> Floats:
    """Return the depth along rays ``(N, 3)`` with z = 1, inf where the object is not."""
    pose = Poses.of([camera_from_object])
    cast = np.empty((len(rays), 6), dtype=np.float32)
    cast[:, :3] = pose.unapply(np.zeros((1, 3)))[0]
    cast[:, 3:] = pose.unturn(rays)[0]
    hits = target.model.scene.cast_rays(o3d.core.Tensor(cast), nthreads=NUM_THREADS)
    depth_m: Floats = hits["t_hit"].numpy()
    return depth_m
