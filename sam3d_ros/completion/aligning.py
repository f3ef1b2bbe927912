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


"""Fitting the pose of one view to others of the same object, by a few millimetres and degrees.

What a view measured must lie on what another one measured, where both face it, and nowhere in
space that the other one saw free. Both are signed distances with normals, so that a few steps of
Gauss-Newton on points to planes (Chen and Medioni, 1992) find the pose, with the given one as a
prior: views from opposite sides share too little to hold a pose alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.completion.maps import SurfaceMaps
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Bools, Floats, Similarity, SupportPlane

NUM_POINTS = 400  # of a view
MIN_COSINE = 0.35  # of the surface to the ray; flatter ones carry poor depth
NUM_STEPS = 8
REACHES = (2.0, 1.0)  # truncations within which points pull, in the first steps and in the others
NUM_WIDE = 3
FACING_COSINE = 0.4  # of two normals that belong to one surface
ROBUST = 0.4  # truncations from which on a residual pulls less
PRIOR_SHIFT_M = 0.006
PRIOR_TURN_RAD = np.radians(2.0)
NOISE_M = 0.002  # of the mean over neighbours that err together
INDEPENDENT = 60.0  # readings that a view is worth: neighbours err together
SUPPORT_NOISE_M = 0.0015
MAX_SHIFT_M = 0.015  # beyond these it is not an error of registration
MAX_TURN_RAD = np.radians(5.0)
MIN_JUDGED = 20  # points; fewer say nothing about a view


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """A view with its points, and where it stands."""

    maps: SurfaceMaps
    view_from_camera: Similarity
    points: Floats  # (N, 3) of the seen side, in the view's frame
    normals: Floats  # (N, 3)
    support: SupportPlane | None = None  # in the view's frame, if it is still the same

    @property
    def camera_from_view(self) -> Similarity:
        """Where the view's frame stands in that of the present camera."""
        return self.view_from_camera.inverse()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What became of fitting one view to others."""

    view_from_camera: Similarity
    misfit: float  # share of what both saw that disagrees, in [0, 1]
    misfit_before: float
    shift_m: float  # of the middle of the object; 0 where the given pose was kept
    turn_rad: float


@dataclass(frozen=True, slots=True, eq=False)
class _Pulls:
    """Points at which one view pulls, in the frame of the present camera."""

    points: Floats  # (N, 3)
    normals: Floats  # (N, 3)
    distance_m: Floats  # (N,) along the normals
    weight: Floats  # (N,)


def placed(maps: SurfaceMaps, view_from_camera: Similarity, support: SupportPlane | None) -> Placed:
    """Choose the points of a view, evenly over the image."""
    points, normals = maps.surface
    shown = maps.evidence.shown & ~maps.evidence.hidden
    good = np.flatnonzero(maps.evidence.cosine[shown] > MIN_COSINE)
    good = good if good.size else np.arange(len(points))
    chosen = good[:: max(1, len(good) // NUM_POINTS)]
    return Placed(
        maps=maps,
        view_from_camera=view_from_camera,
        points=points[chosen],
        normals=normals[chosen],
        support=support,
    )


def fit(view: Placed, others: Sequence[Placed]) -> Fit:
    """Move a view by a little so that it agrees with others; keep its pose if that is no better."""
    center = np.median(view.camera_from_view.apply(view.points), axis=0)
    before = misfit(view, others, view.view_from_camera)
    moved = view.view_from_camera
    shift_m, turn_rad = np.zeros(3), np.zeros(3)
    for step in range(NUM_STEPS):
        reach = REACHES[0] if step < NUM_WIDE else REACHES[1]
        pulls = [pull for other in others for pull in _between(view, other, moved, reach)]
        pulls += [pull for other in others for pull in _supports(view, other, moved)]
        shift, turn = _step(pulls, center, shift_m, turn_rad)
        shift_m, turn_rad = shift_m + shift, turn_rad + turn
        moved = view.view_from_camera @ _motion(shift_m, turn_rad, center).inverse()
    length_m, angle_rad = float(np.linalg.norm(shift_m)), float(np.linalg.norm(turn_rad))
    after = misfit(view, others, moved)
    if not after < before or length_m > MAX_SHIFT_M or angle_rad > MAX_TURN_RAD:
        return Fit(
            view_from_camera=view.view_from_camera,
            misfit=before,
            misfit_before=before,
            shift_m=0.0,
            turn_rad=0.0,
        )
    return Fit(
        view_from_camera=moved,
        misfit=after,
        misfit_before=before,
        shift_m=length_m,
        turn_rad=angle_rad,
    )


def misfit(view: Placed, others: Sequence[Placed], view_from_camera: Similarity) -> float:
    """Return how much a view and others contradict each other, in [0, 1]; NaN if nobody can say."""
    camera_from_view = view_from_camera.inverse()
    values = []
    for other in others:
        values.append(_contradiction(view, other, other.view_from_camera @ camera_from_view))
        values.append(_contradiction(other, view, view_from_camera @ other.camera_from_view))
    judged = np.concatenate(values)
    return float(judged.mean()) if len(judged) >= MIN_JUDGED else float("nan")


def _contradiction(view: Placed, judge: Placed, judge_from_view: Similarity) -> Floats:
    """Return how wrong each point of a view is that another view can judge, ``(M,)`` in [0, 1]."""
    distance_m, same_surface, _ = _judged(view, judge, judge_from_view)
    limit_m = judge.maps.truncation_m
    wrong = np.where(same_surface, np.abs(distance_m), np.maximum(distance_m, 0.0)) / limit_m
    can_say = same_surface | (distance_m > 0.0)
    return np.minimum(wrong[can_say], 1.0)


def _judged(
    view: Placed, judge: Placed, judge_from_view: Similarity
) -> tuple[Floats, Bools, Floats]:
    """Return for each point of a view the distance, whether both saw one surface, and its normal.

    Both distance and normal are those of the judging view, in its frame.
    """
    votes = judge.maps.votes(judge_from_view.apply(view.points))
    everyone = np.arange(len(view.points))
    normals = judge.maps.voiced(votes, everyone).normals
    cosines = np.einsum("ni,ni->n", view.normals @ judge_from_view.rotation.T, normals)
    near = np.abs(votes.free_m) < REACHES[0] * judge.maps.truncation_m
    return votes.free_m, near & (cosines > FACING_COSINE) & ~votes.beside, normals


def _between(
    view: Placed, other: Placed, view_from_camera: Similarity, reach: float
) -> list[_Pulls]:
    """Return what pulls at a view: its points towards the other one, and the other way round."""
    camera_from_view = view_from_camera.inverse()
    ours = _pulls(view, other, other.view_from_camera @ camera_from_view, reach)
    theirs = _pulls(other, view, view_from_camera @ other.camera_from_view, reach)
    to_camera = other.camera_from_view
    return [
        _Pulls(
            to_camera.apply(ours.points),
            ours.normals @ to_camera.rotation.T,
            ours.distance_m,
            ours.weight,
        ),
        _Pulls(
            camera_from_view.apply(theirs.points),
            -(theirs.normals @ camera_from_view.rotation.T),
            theirs.distance_m,
            theirs.weight,
        ),
    ]


def _pulls(view: Placed, judge: Placed, judge_from_view: Similarity, reach: float) -> _Pulls:
    distance_m, same_surface, normals = _judged(view, judge, judge_from_view)
    limit_m = judge.maps.truncation_m
    chosen = (same_surface | (distance_m > 0.0)) & (np.abs(distance_m) < reach * limit_m)
    residual = distance_m[chosen] / (ROBUST * limit_m)
    return _Pulls(
        judge_from_view.apply(view.points)[chosen],
        normals[chosen],
        distance_m[chosen],
        1.0 / np.square(1.0 + np.square(residual)),
    )


def _supports(view: Placed, other: Placed, view_from_camera: Similarity) -> list[_Pulls]:
    """Return what pulls the support of a view towards that of another one, which is the same.

    Unless it is farther off than poses ever are: one view shows what carries the object, the other
    one only what carries that.
    """
    if view.support is None or other.support is None:
        return []
    heights_m = view.support.height_m(view.points)
    below = view.points - heights_m[:, None] * view.support.normal_camera
    other_from_view = other.view_from_camera @ view_from_camera.inverse()
    points = other_from_view.apply(below)
    if abs(np.median(other.support.height_m(points))) > MAX_SHIFT_M:
        return []
    weight = (NOISE_M / SUPPORT_NOISE_M) ** 2 * view.support.confidence * other.support.confidence
    to_camera = other.camera_from_view
    normals = np.broadcast_to(other.support.normal_camera, points.shape)
    return [
        _Pulls(
            to_camera.apply(points),
            normals @ to_camera.rotation.T,
            other.support.height_m(points),
            np.full(len(points), weight),
        )
    ]


def _step(
    pulls: Sequence[_Pulls], center: Floats, shift_m: Floats, turn_rad: Floats
) -> tuple[Floats, Floats]:
    """Solve one step of Gauss-Newton: shift and turn about a point that shorten the distances."""
    points = np.concatenate([pull.points for pull in pulls])
    normals = np.concatenate([pull.normals for pull in pulls])
    distance_m = np.concatenate([pull.distance_m for pull in pulls])
    weight = np.concatenate([pull.weight for pull in pulls])
    weight = weight * min(1.0, INDEPENDENT / max(weight.sum(), 1e-9)) / NOISE_M**2
    jacobian = np.concatenate((normals, np.cross(points - center, normals)), axis=1)
    prior = np.repeat((PRIOR_SHIFT_M**-2.0, PRIOR_TURN_RAD**-2.0), 3)
    hessian = (jacobian * weight[:, None]).T @ jacobian + np.diag(prior)
    gradient = jacobian.T @ (weight * distance_m) + prior * np.concatenate((shift_m, turn_rad))
    step = -np.linalg.solve(hessian, gradient)
    return step[:3], step[3:]


def _motion(shift_m: Floats, turn_rad: Floats, center: Floats) -> Similarity:
    """Return the motion in the frame of the present camera that turns about a point."""
    angle_rad = float(np.linalg.norm(turn_rad))
    rotation = rotation_from_axis_angle(turn_rad, angle_rad) if angle_rad > 0 else np.eye(3)
    return Similarity(rotation, center - rotation @ center + shift_m)
