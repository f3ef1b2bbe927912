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


"""Where objects end in an image, and where the image says that they end.

From each point on the rim of a mesh the image is searched along the normal of the outline for the
step from the object to what is behind it, as in edge-based tracking (Harris and Stennett, "RAPID",
BMVC 1990), in depth or in a mask. Where no step is, as at the foot on a table, nothing is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.cameras import project, rounded
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.terms import Rows
from sam3d_ros.geometry.tracking.targets import Target
from sam3d_ros.geometry.tracking.views import TrackingView, noise_m
from sam3d_ros.structures import Bools, Camera, Floats, Ints

NUM_RIM_POINTS = 64  # per object
REACH_PX = 11  # of the search, to either side
MIN_STEP_M = 0.006  # of what is behind, and so many standard deviations
STEP_SIGMAS = 4.0
NEARER_M = 0.03  # what is so much in front of the rim is something else
MIN_INSIDE = 2  # readings on the object before the step
MAX_GAP_PX = 4  # without readings at the step
DEPTH_SIGMA_PX = 1.2
MASK_SIGMA_PX = 1.5
NEAREST_M = 1e-3
OFFSETS_PX = np.arange(-REACH_PX, REACH_PX + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Rims:
    """Points of K objects at which they turn away from a camera, R each."""

    points: Floats  # (K, R, 3) in the camera
    pixels: Floats  # (K, R, 2)
    normals: Floats  # (K, R, 2) unit, outwards in the image
    exist: Bools  # (K, R); False for what only fills up

    def searched(self) -> Floats:
        """Return the pixels along the normals, inside first, ``(K, R, S, 2)``."""
        steps = OFFSETS_PX[:, None] * self.normals[..., None, :]
        searched: Floats = self.pixels[..., None, :] + steps
        return searched


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """What was found at the rims of K objects."""

    offset_px: Floats  # (K, R) of the step from the rim, outwards
    sigma_px: Floats  # (K, R)
    found: Bools  # (K, R)
    covered: Bools  # (K, R), something is in front


def rims(targets: Sequence[Target], poses: Poses, camera: Camera) -> Rims:
    """Find edges of which the camera sees one triangle only."""
    eyes = poses.unapply(np.zeros((1, 3)))[:, 0].astype(np.float32)
    chosen = [_some(target, eye) for target, eye in zip(targets, eyes, strict=True)]
    models = [target.model.rims for target in targets]
    points = np.stack(
        [model.points[index] for model, (index, _) in zip(models, chosen, strict=True)]
    )
    sides = [
        model.first[index] + model.second[index]
        for model, (index, _) in zip(models, chosen, strict=True)
    ]
    exist = np.repeat([[count > 0] for _, count in chosen], NUM_RIM_POINTS, axis=1)
    points, outwards = poses.apply(points), poses.turn(np.stack(sides))
    rays = points / np.maximum(points[..., 2:], NEAREST_M)
    along = (outwards * rays).sum(axis=-1, keepdims=True)
    along /= np.square(rays).sum(axis=-1, keepdims=True)
    normals = (outwards - along * rays)[..., :2]
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    pixels = project(camera, points)
    exist &= (lengths[..., 0] > 1e-6) & np.isfinite(pixels).all(axis=-1)
    return Rims(points, pixels, normals / np.maximum(lengths, 1e-6), exist)


def depth_steps(view: TrackingView, found: Rims, radii_m: Floats) -> Steps:
    """Look for the step in depth at each rim."""
    depth_m = view.measured_m(found.searched())
    rim_m = found.points[..., 2:]
    step_m = MIN_STEP_M + STEP_SIGMAS * noise_m(rim_m)
    reach_m = step_m + np.minimum(radii_m, NEARER_M)[:, None, None]
    behind, nearer = depth_m > rim_m + step_m, depth_m < rim_m - reach_m
    on = np.isfinite(depth_m) & ~behind & ~nearer
    border = _border(on, behind)
    sudden = _jump_m(depth_m, border) > step_m[..., 0]
    return _steps(on, nearer, found.exist & sudden, border, DEPTH_SIGMA_PX)


def mask_steps(masks: Sequence[Bools | None], camera: Camera, found: Rims) -> Steps:
    """Look for the border of its mask at each rim; objects without one have no steps."""
    inside, columns, rows = rounded(found.searched(), camera)
    on = np.zeros(inside.shape, dtype=bool)
    exist = found.exist.copy()
    for index, mask in enumerate(masks):
        if mask is None:
            exist[index] = False
        else:
            on[index] = mask[rows[index], columns[index]]
    on &= inside
    border = _border(on, inside & ~on)
    return _steps(on, np.zeros_like(on), exist, border, MASK_SIGMA_PX)


def step_rows(found: Rims, steps: Steps, focal_px: float, kernel_px: Floats) -> Rows:
    """Turn steps in the image into rows at the depth of the rim.

    With ``u = f x / z``, a motion d of a point moves its pixel along a normal m by
    ``f / z (m_x d_x + m_y d_y - (m_x x + m_y y) / z d_z)``.

    Args:
        found: The rims.
        steps: Where the image has them.
        focal_px: Of the camera.
        kernel_px: ``(K,)``, width beyond which steps are taken for something else's.
    """
    points, normals = found.points, found.normals
    depth_m = np.maximum(points[..., 2], NEAREST_M)
    away = -(normals * points[..., :2]).sum(axis=-1) / depth_m
    directions = np.concatenate((normals, away[..., None]), axis=-1)
    metres_per_px = depth_m / focal_px
    width = np.square(kernel_px)[:, None] + np.square(steps.sigma_px)
    robust = np.square(width / (width + np.square(steps.offset_px)))
    weights = robust / np.square(steps.sigma_px * metres_per_px)
    return Rows(
        points, directions, -steps.offset_px * metres_per_px, np.where(steps.found, weights, 0.0)
    )


def _some(target: Target, eye: Floats) -> tuple[Ints, int]:
    """Return places of rim points that an eye ``(3,)`` sees, repeated, and how many there are."""
    first, second = target.model.rims.planes @ np.append(eye, np.float32(1.0))
    places = np.flatnonzero(first * second <= 0)
    if not len(places):
        return np.zeros(NUM_RIM_POINTS, dtype=np.intp), 0
    if len(places) <= NUM_RIM_POINTS:
        return np.resize(places, NUM_RIM_POINTS), len(places)
    even = np.linspace(0, len(places) - 1, NUM_RIM_POINTS).astype(np.intp)
    return places[even], len(places)


def _border(on: Bools, behind: Bools) -> tuple[Ints, Ints]:
    """Return the places of the last reading on the object and the first behind it, ``(K, R)``.

    Two in a row must not be on the object; the first is beyond the end where none is behind.
    """
    size = on.shape[-1]
    lasting = behind.copy()
    lasting[..., :-1] &= ~on[..., 1:]
    first = np.where(lasting.any(axis=-1), lasting.argmax(axis=-1), size)
    index = np.arange(size)
    last: Ints = np.where(on & (index < first[..., None]), index, -1).max(axis=-1)
    return last, first


def _jump_m(depth_m: Floats, border: tuple[Ints, Ints]) -> Floats:
    """Return how far depth jumps across a border, ``(K, R)``: a table that recedes does not."""
    end = depth_m.shape[-1] - 1
    near, far = (
        [
            np.take_along_axis(depth_m, np.clip(place + reach, 0, end)[..., None], axis=-1)[..., 0]
            for reach in reaches
        ]
        for place, reaches in zip(border, ((0, -1), (0, 1)), strict=True)
    )
    jump_m: Floats = np.fmax(*far) - np.fmin(*near)
    return jump_m


def _steps(
    on: Bools, nearer: Bools, exist: Bools, border: tuple[Ints, Ints], sigma_px: float
) -> Steps:
    """Tell where a border is the object's own, and how far it is from the rim."""
    last, first = border
    before = np.arange(on.shape[-1]) < first[..., None]
    gap_px = first - last - 1
    found = exist & (first < on.shape[-1]) & (gap_px <= MAX_GAP_PX)
    found &= ((on & before).sum(axis=-1) >= MIN_INSIDE) & ~(nearer & before).any(axis=-1)
    # Depth is missing in the shadow of an edge, which lies beside the object.
    offset_px = last + 0.5 + 0.5 * np.minimum(gap_px, 2) - REACH_PX
    covered: Bools = np.asarray(nearer[..., REACH_PX - 1 : REACH_PX + 2].any(axis=-1))
    return Steps(
        np.where(found, offset_px, 0.0), sigma_px + 0.5 * np.maximum(gap_px, 0), found, covered
    )
