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

"""A person's motion without the jitter of the model, and without letting go of what it touches.

Every point of a body goes through a filter whose cut-off grows with the point's speed (Casiez,
Roussel and Vogel, "1 EUR filter", CHI 2012), in the frame that stands still where that is known.
A keypoint that was measured to touch something stays at that place while it does, and takes the
skin around it along: a hand laid on a table neither trails behind nor sinks in, a foot that stands
does not slide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from sam3d_ros.geometry.cameras import project
from sam3d_ros.structures import (
    NS_PER_S,
    BodyReconstruction,
    Bools,
    Camera,
    Floats,
    Similarity,
)

HZ_PER_SPEED = 3.0  # of a point's cut-off, per metre per second
SPEED_HZ = 1.0  # cut-off of the speeds themselves
STAYS_M = 0.04  # a touching keypoint that is seen farther away than this has let go, or slides
REACH_M = 0.25  # how far around a touching keypoint the body is taken along
RIDGE = 1e-3  # keypoints beside each other may be seen to touch a little apart
MAX_PAUSE_S = 1.5  # longer: what was before says nothing about now


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Filtered:
    """What is kept of a body from one image to the next, in the frame that stands still."""

    stamp_ns: int
    points: Floats  # (P, 3) vertices, keypoints, joints
    velocities: Floats  # (P, 3) m/s
    rotations: Floats  # (127, 3, 3)
    anchors: Floats  # (70, 3) where keypoints touch, NaN where they do not
    is_fixed: bool


class Smoother:
    """Smooths one person; ``cutoff_hz`` 0 changes nothing."""

    def __init__(self, cutoff_hz: float) -> None:
        self._cutoff_hz = cutoff_hz
        self._before: _Filtered | None = None

    def reset(self) -> None:
        """Begin anew with the next body, as it is."""
        self._before = None

    def smoothed(
        self,
        body: BodyReconstruction,
        contacts: Bools,
        camera: Camera,
        stamp_ns: int,
        fixed_from_camera: Similarity | None,
    ) -> BodyReconstruction:
        """Return a body between where it was seen and where it was before.

        Args:
            body: As reconstructed, where it was measured.
            contacts: ``(70,)`` which keypoints touch something.
            camera: Of the image, without distortion.
            stamp_ns: Of the image.
            fixed_from_camera: Of the image; None where the camera is taken to stand still.
        """
        if not self._cutoff_hz:
            return body
        still_from_camera = fixed_from_camera or Similarity.identity()
        now = _begun(body, contacts, stamp_ns, still_from_camera, fixed_from_camera is not None)
        before = self._before
        if before is not None and _follows(now, before):
            now = self._filtered(before, now, contacts, len(body.vertices_camera))
        else:
            before = None
        self._before = now
        if before is None:
            return body
        return _with_points(body, now, still_from_camera.inverse(), camera)

    def _filtered(
        self, before: _Filtered, now: _Filtered, contacts: Bools, num_vertices: int
    ) -> _Filtered:
        pause_s = (now.stamp_ns - before.stamp_ns) / NS_PER_S
        steps = now.points - before.points
        # Velocities are averaged, not speeds: jitter adds up to nothing, motion does not.
        change = steps / pause_s - before.velocities
        velocities = before.velocities + _weight(SPEED_HZ, pause_s) * change
        speeds = np.linalg.norm(velocities, axis=1)
        weights = _weight(self._cutoff_hz + HZ_PER_SPEED * speeds, pause_s)
        points: Floats = before.points + weights[:, None] * steps
        keypoints = slice(num_vertices, num_vertices + len(contacts))
        anchors = _anchors(before.anchors, now.points[keypoints], contacts)
        points = _taken_along(points, points[keypoints], anchors)
        joint_weights = weights[keypoints.stop :, None, None]
        blended = before.rotations + joint_weights * (now.rotations - before.rotations)
        return replace(
            now,
            points=points,
            velocities=velocities,
            rotations=_nearest_rotations(blended),
            anchors=anchors,
        )


def _begun(
    body: BodyReconstruction,
    contacts: Bools,
    stamp_ns: int,
    still_from_camera: Similarity,
    is_fixed: bool,
) -> _Filtered:
    """Return a body of which nothing is known from before."""
    parts = (body.vertices_camera, body.keypoints_camera, body.joints_camera)
    points = still_from_camera.apply(np.concatenate(parts).astype(np.float64))
    keypoints = still_from_camera.apply(body.keypoints_camera.astype(np.float64))
    return _Filtered(
        stamp_ns=stamp_ns,
        points=points,
        velocities=np.zeros_like(points),
        rotations=still_from_camera.rotation @ body.camera_from_joint.astype(np.float64),
        anchors=np.where(contacts[:, None], keypoints, np.nan),
        is_fixed=is_fixed,
    )


def _follows(now: _Filtered, before: _Filtered) -> bool:
    """Tell whether a body can be compared with the one before."""
    pause_s = (now.stamp_ns - before.stamp_ns) / NS_PER_S
    same = now.is_fixed == before.is_fixed and now.points.shape == before.points.shape
    return same and 0.0 < pause_s <= MAX_PAUSE_S


def _weight(cutoff_hz: Floats | float, pause_s: float) -> Floats:
    """Return the weight of what is seen now in a low pass of first order."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2.0 * np.pi * np.asarray(cutoff_hz) * pause_s)))


def _anchors(before: Floats, seen: Floats, contacts: Bools) -> Floats:
    """Return where each keypoint touches ``(70, 3)``: where it did, unless it was seen to move."""
    with np.errstate(invalid="ignore"):
        stays = np.linalg.norm(seen - before, axis=1) < STAYS_M
    anchors: Floats = np.where(stays[:, None], before, seen)
    anchors[~contacts] = np.nan
    return anchors


def _taken_along(points: Floats, keypoints: Floats, anchors: Floats) -> Floats:
    """Move points ``(P, 3)`` so that touching keypoints are at their anchors.

    Near one of them everything moves with it, between several with their mean.
    """
    touching = np.isfinite(anchors).all(axis=1)
    if not touching.any():
        return points
    places, offsets = keypoints[touching], (anchors - keypoints)[touching]
    moved: Floats = points + _nearness(points, places) @ _solved(places, offsets)
    return moved


def _solved(places: Floats, offsets: Floats) -> Floats:
    """Return the weights ``(N, 3)`` with which nearness to the places adds up to the offsets."""
    table = _nearness(places, places) + RIDGE * np.eye(len(places))
    solved: Floats = np.linalg.solve(table, offsets)
    return solved


def _nearness(points: Floats, places: Floats) -> Floats:
    """Return 1 at a place, 0 far from it, ``(P, N)``."""
    # |p - q|^2 as products: a hundred thousand differences would take as long as all the rest.
    lengths = np.square(points).sum(axis=1)[:, None] + np.square(places).sum(axis=1)
    squared = np.maximum(lengths - 2.0 * points @ places.T, 0.0)
    return np.asarray(np.exp(-squared / (2.0 * (REACH_M / 2.0) ** 2)))


def _nearest_rotations(matrices: Floats) -> Floats:
    """Return the rotation nearest to each matrix ``(N, 3, 3)``."""
    left, _, right = np.linalg.svd(matrices)
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    rotations: Floats = left @ right
    return rotations


def _with_points(
    body: BodyReconstruction, filtered: _Filtered, camera_from_still: Similarity, camera: Camera
) -> BodyReconstruction:
    ends = np.cumsum([0, len(body.vertices_camera), len(body.keypoints_camera)]).tolist()
    vertices, keypoints, joints = _parts(camera_from_still.apply(filtered.points), ends)
    return replace(
        body,
        vertices_camera=vertices.astype(np.float32),
        keypoints_camera=keypoints,
        keypoints_px=project(camera, keypoints),
        joints_camera=joints,
        camera_from_joint=camera_from_still.rotation @ filtered.rotations,
    )


def _parts(points: Floats, starts: Sequence[int]) -> list[Floats]:
    return [points[first:last] for first, last in pairwise([*starts, len(points)])]
