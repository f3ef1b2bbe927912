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

"""The surface that the objects of a scene stand on, found in what surrounds them.

Candidates come from triples of nearby background points (RANSAC with a fixed seed); the best one
*as a support* wins: the plane on which most of what surrounds the objects lies, that is below them
and faces up. The winner is refined by reweighted least squares.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bools, Floats, SupportPlane

NUM_POINTS = 4000  # background points that vote
NUM_OBJECT_POINTS = 2000
NUM_CANDIDATES = 600
MIN_NEAR_POINTS = 40  # fewer voters around the objects decide nothing
REACHES_M = (0.15, 0.30, 0.60)  # "around the objects": the first of these that has voters
FAR_WEIGHT = 0.1  # the rest of the scene only decides between equals
TOLERANCE_SIGMAS = 4.0  # a voter within so many standard deviations of depth lies on the plane
MIN_TILT_COSINE = 0.07  # a plane seen at less than 4 degrees says nothing about its height
MAX_UP_ANGLE_COSINE = 0.87  # 30 degrees: tables and floors are level, trays and ramps nearly so
MAX_ROLL_COSINE = 0.75  # planes whose normal points sideways in the image are walls
BELOW_M = -0.012  # objects' lowest points may sink so far below it (noise, mask errors) ...
ABOVE_M = 0.060  # ... or stay so far above (their feet are hidden)
ABOVE_FROM_TOP_M = 0.30  # seen steeply from above, sides and feet are always hidden
STEEP_COSINE = 0.80  # 37 degrees off the normal
MAX_UNDERNEATH = 0.35  # share of near voters that may lie under a support (past a table's edge)
MIN_CONFIDENCE = 0.25  # share of near voters on the plane
# A wall behind objects looks like a table seen from above, but it does not surround them.
MIN_CONFIDENCE_FROM_TOP = 0.70
# Of a camera that may be rolled or upside down, any plane may be level: then only one that is
# everywhere around the objects is a support. Tables reach 0.99, the walls of a shelf 0.5.
MIN_CONFIDENCE_ROLLED = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """What votes for and against a plane."""

    background: Floats  # (N, 3)
    near: Bools  # (N,) around an object
    objects: Floats  # (M, 3)
    up_camera: Floats | None
    rolled: bool = False  # whether up may be anywhere in the image


def fit_support_plane(
    points_camera: Floats, object_masks: Bools, up_camera: Floats | None = None
) -> SupportPlane | None:
    """Find the plane that the masked objects stand on.

    Args:
        points_camera: ``(H, W, 3)``, metres, NaN where unknown.
        object_masks: ``(H, W)``, the pixels of all objects.
        up_camera: Unit vector against gravity, where it is known; planes that are not level are
            then left out. Otherwise the camera is taken to be upright or to look down, and to be
            rolled only where that shows no support.

    Returns:
        The plane, its normal towards the camera's side; None when no plane is sure enough.
    """
    size = check_shape(points_camera, "H W 3", "points_camera")
    check_shape(object_masks, f"{size['H']} {size['W']}", "object_masks")
    evidence = _evidence(points_camera, object_masks, up_camera)
    if evidence is None:
        return None
    candidates = _candidates(evidence, np.random.default_rng(0))
    plane = _best(candidates, evidence)
    if plane is None and up_camera is None:
        plane = _best(candidates, replace(evidence, rolled=True))
    return plane


def _best(candidates: Floats, evidence: _Evidence) -> SupportPlane | None:
    candidates = _plausible(candidates, evidence)
    for candidate in candidates[np.argsort(-_scores(candidates, evidence), kind="stable")[:3]]:
        refined = _refined(candidate, evidence)
        confidence = _confidence(refined, evidence)
        needed = MIN_CONFIDENCE_ROLLED if evidence.rolled else _needed_confidence(refined)
        if confidence >= needed and len(_plausible(refined[None], evidence)):
            return SupportPlane(
                normal_camera=refined[:3], offset_m=float(refined[3]), confidence=confidence
            )
    return None


def _evidence(
    points_camera: Floats, object_masks: Bools, up_camera: Floats | None
) -> _Evidence | None:
    known = np.isfinite(points_camera).all(axis=-1)
    objects = _thinned(points_camera[known & object_masks], NUM_OBJECT_POINTS)
    background = _thinned(points_camera[known & ~object_masks], 4 * NUM_POINTS)
    if len(objects) < MIN_NEAR_POINTS or len(background) < MIN_NEAR_POINTS:
        return None
    tree = cKDTree(objects)  # a short reach is soon looked through, and mostly enough
    reaches = (np.isfinite(tree.query(background, distance_upper_bound=d)[0]) for d in REACHES_M)
    near = next((near for near in reaches if near.sum() >= MIN_NEAR_POINTS), None)
    if near is None:
        return None
    # Half of the votes around the objects, half from all over the scene.
    chosen = np.concatenate(
        (
            np.flatnonzero(near)[_every(int(near.sum()), NUM_POINTS // 2)],
            np.flatnonzero(~near)[_every(int((~near).sum()), NUM_POINTS // 2)],
        )
    )
    return _Evidence(background[chosen], near[chosen], objects, up_camera)


def _candidates(evidence: _Evidence, rng: np.random.Generator) -> Floats:
    """Return planes through triples of near points, ``(K, 4)`` as (normal, offset), facing us."""
    near = evidence.background[evidence.near]
    a, b, c = near[rng.integers(0, len(near), (3, NUM_CANDIDATES))]
    normals = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1)
    # Triangles under 2 cm on a side carry more noise than direction.
    usable = lengths > 4e-4
    normals = normals[usable] / lengths[usable, None]
    offsets = -np.einsum("ki,ki->k", normals, a[usable])
    # The camera is at the origin and sees a support from its free side: the offset is positive.
    return np.column_stack((normals, offsets)) * np.where(offsets < 0, -1.0, 1.0)[:, None]


def _plausible(planes: Floats, evidence: _Evidence) -> Floats:
    """Keep the planes that may carry these objects: orientation and contact."""
    planes = planes[_orientation(planes, evidence) > 0]
    if not len(planes):
        return planes
    centre = np.median(evidence.objects, axis=0)
    lowest_m = np.percentile(_heights_m(planes, evidence.objects), 5, axis=1)
    cosine = -planes[:, :3] @ (centre / np.linalg.norm(centre))
    steep = cosine > STEEP_COSINE
    above_m = np.where(steep, ABOVE_FROM_TOP_M, ABOVE_M)
    # A camera that looks down at a wall sees it as one that is upside down sees a table.
    seen = (cosine > MIN_TILT_COSINE) & ~(steep & evidence.rolled)
    return planes[(lowest_m > BELOW_M) & (lowest_m < above_m) & seen]


def _orientation(planes: Floats, evidence: _Evidence) -> Floats:
    """Return how much a plane faces up, ``(K,)`` in [0, 1]; 0 rules it out."""
    if evidence.rolled:
        return np.ones(len(planes))
    if evidence.up_camera is not None:
        cosine = planes[:, :3] @ evidence.up_camera
        return np.where(cosine > MAX_UP_ANGLE_COSINE, cosine, 0.0)
    # Without gravity an upright camera is assumed (up is -y in the image). A plane that faces it
    # squarely is a wall, or a table seen from right above: allowed, but a level one is preferred.
    upward = np.clip(-planes[:, 1], 0.0, 1.0)
    sideways = np.abs(planes[:, 0]) > MAX_ROLL_COSINE
    downward = planes[:, 1] > 0.35  # 20 degrees: a camera looking down never sees it
    return np.where(sideways | downward, 0.0, 0.2 + 0.8 * np.minimum(1.0, 2.0 * upward))


def _scores(planes: Floats, evidence: _Evidence) -> Floats:
    """Return how well the background lies on each plane, and how level it is, ``(K,)``."""
    points = evidence.background
    ratio = _heights_m(planes, points)
    ratio /= _tolerance_m(points)
    np.clip(ratio, -1.0, 1.0, out=ratio)  # in place: the array is too large for the caches
    np.square(ratio, out=ratio)
    weights = np.where(evidence.near, 1.0, FAR_WEIGHT)
    votes: Floats = np.subtract(1.0, ratio, out=ratio) @ weights
    return _orientation(planes, evidence) * votes


def _refined(plane: Floats, evidence: _Evidence) -> Floats:
    """Fit the plane to the voters near it: Tukey weights, shrinking scale, objects' side first."""
    points = evidence.background
    locality = np.where(evidence.near, 1.0, FAR_WEIGHT)
    scale_m = _tolerance_m(points)
    for shrink in (1.0, 0.75, 0.5, 0.5):
        ratio = np.clip(np.abs(_heights_m(plane[None], points)[0]) / (shrink * scale_m), 0.0, 1.0)
        weights = locality * np.square(1.0 - ratio**2)
        centre = np.average(points, axis=0, weights=weights)
        centred = points - centre
        _, vectors = np.linalg.eigh((centred * weights[:, None]).T @ centred)
        normal = vectors[:, 0] * np.sign(vectors[:, 0] @ plane[:3])
        plane = np.append(normal, -normal @ centre)
    return plane


def _confidence(plane: Floats, evidence: _Evidence) -> float:
    """Share of the near voters on the plane; 0 where too many lie underneath."""
    near = evidence.background[evidence.near]
    heights_m, tolerance_m = _heights_m(plane[None], near)[0], _tolerance_m(near)
    if np.mean(heights_m < -2 * tolerance_m) > MAX_UNDERNEATH:
        return 0.0
    return float(np.mean(np.abs(heights_m) < tolerance_m))


def _needed_confidence(plane: Floats) -> float:
    """Return how sure a plane must be; ``plane[2]`` is minus the cosine to the optical axis."""
    return MIN_CONFIDENCE_FROM_TOP if -plane[2] > STEEP_COSINE else MIN_CONFIDENCE


def _heights_m(planes: Floats, points: Floats) -> Floats:
    """Heights of points ``(N, 3)`` above planes ``(K, 4)``, ``(K, N)``."""
    heights: Floats = planes[:, :3] @ points.T + planes[:, 3:]
    return heights


def _tolerance_m(points: Floats) -> Floats:
    return TOLERANCE_SIGMAS * depth_noise_m(points[:, 2])


def _thinned(points: Floats, num: int) -> Floats:
    """Keep about ``num`` evenly spaced points, as float64."""
    return points[_every(len(points), num)].astype(np.float64)


def _every(length: int, num: int) -> slice:
    return slice(None, None, max(1, length // num))
