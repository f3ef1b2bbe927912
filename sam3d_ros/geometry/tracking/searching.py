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


"""Finding an object again that may be anywhere around where it was expected.

What it should show, at several turns about its upright axis, is laid over the depth image at a
grid of places; the best of these are moved to what was measured and judged.
"""

from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.geometry.cameras import project, rounded
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.tracking.outlines import mask_of
from sam3d_ros.geometry.tracking.rendering import Front, shown
from sam3d_ros.geometry.tracking.rims import rims
from sam3d_ros.geometry.tracking.targets import Target, readings_about
from sam3d_ros.geometry.tracking.views import TrackingView
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Bools, Floats, Ints, Similarity

MIN_PLACES_APART_PX = 6
NUM_PLACES = 400  # at most
REACH_SIGMAS = 2.5
NUM_SURFACE = 48  # points of what should be seen
NUM_BESIDE = 16  # points just beside it
SKETCH_SHARE = 3  # of the readings that a sketch needs
MIN_SHOWN = 12  # of them on the object
BESIDE_PX = 4.0
TOLERANCE_M = 0.012  # places are some pixels apart
ANY_RAD = 0.45  # spread from which an object may be turned by any angle
TURN_SIGMAS = (0.0, -1.0, 1.0, -2.0, 2.0)
MIN_TURN_RAD = 0.2  # less is found without trying
NUM_TURNS, NUM_ROUGH_TURNS = 18, 6  # of a full circle
NUM_STARTS = 4
APART = 0.5  # of the radius, between places
UP = np.array([0.0, 0.0, 1.0])  # of objects, in their own frames


@dataclass(frozen=True, slots=True, eq=False)
class _Sketch:
    """What an object shows at one turn, relative to its centre in the camera."""

    rotation: Floats  # (3, 3)
    surface: Floats  # (S, 3)
    beside: Floats  # (B, 3) just outside the outline, at the depth of the rim
    middle: Floats  # (3,) the point of the surface in the middle of the picture


def starts(view: TrackingView, target: Target, front: Front) -> Poses | None:
    """Return poses from which the object may be found; None where nothing resembles it.

    Args:
        view: The image.
        target: With its spread, which is large.
        front: Objects that were found already; what shows them shows no other.
    """
    points = _points(view, target, front)
    sketches = [_sketch(view, target, angle) for angle in _angles(target.sigma_rad)]
    known = [sketch for sketch in sketches if sketch is not None]
    if not len(points) or not known:
        return None
    scores = np.stack([_scores(view, each, points - each.middle) for each in known])
    places = _best(scores.max(axis=0), points, APART * target.model.radius)
    turns = scores[:, places].argmax(axis=0)
    found = [
        _placed(target, known[turn], points[place])
        for turn, place in zip(turns, places, strict=True)
    ]
    return Poses.of(found) if found else None


def all_turns(target: Target, pose: Similarity) -> Poses:
    """Return an object where it is, turned about its upright axis by all angles."""
    center = target.model.center
    turns = [rotation_from_axis_angle(UP, 2.0 * np.pi * k / NUM_TURNS) for k in range(NUM_TURNS)]
    return Poses.of([pose @ Similarity(turn, center - turn @ center) for turn in turns])


def _angles(sigma_rad: float) -> list[float]:
    """Return by what to turn an object while looking for its place."""
    if sigma_rad >= ANY_RAD:
        return [2.0 * np.pi * k / NUM_ROUGH_TURNS for k in range(NUM_ROUGH_TURNS)]
    angles = [share * sigma_rad for share in TURN_SIGMAS]
    return [angle for angle in angles if not 0.0 < abs(angle) < MIN_TURN_RAD]


def _placed(target: Target, sketch: _Sketch, point: Floats) -> Similarity:
    """Return the pose in which the middle of a sketch is at a point."""
    center = point - sketch.middle
    return Similarity(sketch.rotation, center - sketch.rotation @ target.model.center)


def _points(view: TrackingView, target: Target, front: Front) -> Floats:
    """Return measured points ``(P, 3)`` that may be on the object: in its mask, if it has one."""
    center = target.depth_from_object.apply(target.model.center)
    middle_px = project(view.camera, center)
    if not np.isfinite(middle_px).all():
        return np.zeros((0, 3))
    reach_m = REACH_SIGMAS * target.sigma_m
    pixels = _lattice(view, middle_px, reach_m * view.focal_px / center[2])
    columns, rows = pixels.T
    depth_m = view.depth_m[rows, columns]
    points = view.rays[rows, columns].astype(np.float64) * depth_m[:, None]
    near = np.linalg.norm(points - center, axis=1) < reach_m + target.model.radius
    near &= ~front.explains(pixels, depth_m, TOLERANCE_M)
    mask = mask_of(view, target)
    if mask is not None:
        near &= _within(view, mask, points)
    chosen: Floats = points[near]
    return chosen


def _lattice(view: TrackingView, middle_px: Floats, reach_px: float) -> Ints:
    """Return pixels ``(P, 2)`` around one, not too many."""
    limits = np.array([view.camera.width, view.camera.height]) - 1
    low = np.clip(middle_px - reach_px, 0, limits).astype(np.intp)
    high = np.clip(middle_px + reach_px, 0, limits).astype(np.intp)
    area = float(np.prod(high - low + 1))
    apart = max(MIN_PLACES_APART_PX, int(np.ceil(np.sqrt(area / NUM_PLACES))))
    axes = [np.arange(low[i] + (apart // 2), high[i] + 1, apart) for i in (0, 1)]
    columns, rows = np.meshgrid(*axes)
    return np.stack((columns.ravel(), rows.ravel()), axis=1)


def _within(view: TrackingView, mask: Bools, points: Floats) -> Bools:
    """Tell which points ``(P, 3)`` of the depth camera a mask of the colour camera covers."""
    pixels = project(view.color, view.color_from_depth.apply(points))
    inside, columns, rows = rounded(pixels, view.color)
    within: Bools = inside & mask[rows, columns]
    return within


def _sketch(view: TrackingView, target: Target, angle_rad: float) -> _Sketch | None:
    """Look at the object where it is expected, turned about its upright axis; None out of view."""
    center = target.depth_from_object.apply(target.model.center)
    rotation = target.depth_from_object.rotation @ rotation_from_axis_angle(UP, angle_rad)
    pose = Similarity(rotation, center - rotation @ target.model.center)
    near, poses = [replace(target, depth_from_object=pose, sigma_m=0.0)], Poses.of([pose])
    readings = readings_about(view, near, poses).thinned(SKETCH_SHARE)
    seen = shown(near, poses, readings)
    hit = seen.hit[0]
    if hit.sum() < MIN_SHOWN:
        return None
    surface = (seen.depth_m[..., None] * readings.rays)[0, hit]
    pixels = readings.pixels[0, hit]
    middle = np.abs(pixels - pixels.mean(axis=0)).sum(axis=1).argmin()
    return _Sketch(
        rotation,
        surface[:NUM_SURFACE] - center,
        _beside(view, near, poses) - center,
        surface[middle] - center,
    )


def _beside(view: TrackingView, target: list[Target], poses: Poses) -> Floats:
    """Return points ``(B, 3)`` just beside the outline, at its depth."""
    found = rims(target, poses, view.camera)
    depth_m = found.points[0, :, 2:]
    shift = found.normals[0] * (BESIDE_PX * depth_m / view.focal_px)
    beside = found.points[0] + np.concatenate((shift, np.zeros_like(depth_m)), axis=1)
    step = max(1, int(found.exist[0].sum()) // NUM_BESIDE)
    chosen: Floats = beside[found.exist[0]][::step]
    return chosen


def _scores(view: TrackingView, sketch: _Sketch, centers: Floats) -> Floats:
    """Say how well a sketch fits with its centre at each of ``(P, 3)``, at most 1.5."""
    gap_m = _gaps_m(view, centers[:, None] + sketch.surface)
    on, behind = np.abs(gap_m) < TOLERANCE_M, gap_m >= TOLERANCE_M
    beside_m = _gaps_m(view, centers[:, None] + sketch.beside)
    steps = (beside_m >= TOLERANCE_M).mean(axis=1) if beside_m.shape[1] else 0.0
    scores: Floats = on.mean(axis=1) - 0.5 * behind.mean(axis=1) + 0.5 * steps
    return scores


def _gaps_m(view: TrackingView, points: Floats) -> Floats:
    """Return how far behind points ``(..., 3)`` their pixels measure, NaN where unknown."""
    points = points.astype(np.float32)
    gaps_m: Floats = view.measured_m(project(view.camera, points)) - points[..., 2]
    return gaps_m


def _best(scores: Floats, points: Floats, apart_m: float) -> list[int]:
    """Return the places of the best scores that are not beside a better one."""
    left = scores.copy()
    chosen = []
    for _ in range(NUM_STARTS):
        place = int(left.argmax())
        if not left[place] > 0:
            break
        chosen.append(place)
        left[np.linalg.norm(points - points[place], axis=1) < apart_m] = -np.inf
    return chosen
