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


"""Moving objects to what was measured of them, from coarse to fine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.terms import Rows, joined_rows
from sam3d_ros.geometry.tracking.outlines import mask_rows
from sam3d_ros.geometry.tracking.rendering import Front, Shown, shown
from sam3d_ros.geometry.tracking.rims import Steps, depth_steps, rims, step_rows
from sam3d_ros.geometry.tracking.solving import Expectation, stepped
from sam3d_ros.geometry.tracking.targets import Readings, Target
from sam3d_ros.geometry.tracking.views import TrackingView, noise_m
from sam3d_ros.structures import Bools, Floats, Ints

LATERAL_PX = 0.7  # a reading may belong to a place this far beside its pixel
COARSE_SHARE = 2  # of the readings one in so many leads the first steps
COARSE = (1.0, 0.4)  # widths of the kernels, as share of how far off objects may be
NUM_FINE = 3  # steps at most
COARSE_SETTLED, FINE_SETTLED = 3e-3, 1e-3  # m, of a step after which no further one is needed
FINE_KERNEL_M = 0.004
MAX_KERNEL_M = 0.03
GATHERING_M, GATHERING_SHARE = (0.03, 0.03, 0.02, 0.01), 4
WIDE_M, WIDE_RAD = 0.03, 0.35  # a steps' reach; objects that may be farther are searched for
COARSE_KERNEL_PX, FINE_KERNEL_PX = 6.0, 3.0  # of rims


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Objects, or several hypotheses of one, that are moved together."""

    targets: Sequence[Target]
    numbers: Ints  # (K,) of the objects; hypotheses of one object share its number
    expectation: Expectation
    readings: Readings
    front: Front  # what may hide them

    @property
    def is_wide(self) -> Bools:
        """Which objects may be far from where they are expected, ``(K,)``."""
        return is_wide(self.targets)

    def thinned(self, share: int) -> "Group":
        """Return the same objects with one in ``share`` readings."""
        return replace(self, readings=self.readings.thinned(share))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What objects show at their poses, compared with what was measured."""

    seen: Shown
    hidden: Bools  # (K, G), kept from them by another object
    steps: Steps  # at their rims
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """Widths beyond which readings are taken for something else's."""

    depth_m: Floats  # (K,)
    outline_px: float


def is_wide(targets: Sequence[Target]) -> Bools:
    """Tell which objects may be far from where they are expected, ``(K,)``."""
    return np.array([t.sigma_m > WIDE_M or t.sigma_rad > WIDE_RAD for t in targets], dtype=bool)


def looked(
    view: TrackingView, group: Group, poses: Poses, kernels: Kernels, seen: Shown | None = None
) -> Look:
    """Compare objects with the image, given what they show if that is known."""
    seen = seen or shown(group.targets, poses, group.readings)
    hidden = group.front.hides(seen, group.readings, group.numbers)
    found = rims(group.targets, poses, view.camera)
    steps = depth_steps(view, found, group.expectation.radii_m)
    kernels_px = np.full(len(poses), kernels.outline_px)
    rows = joined_rows(
        depth_rows(view, group.readings, seen, hidden, kernels.depth_m),
        step_rows(found, steps, view.focal_px, kernels_px),
        *mask_rows(view, group.targets, poses, kernels_px),
    )
    return Look(seen=seen, hidden=hidden, steps=steps, rows=rows)


def approached(view: TrackingView, group: Group, seen: Shown) -> tuple[Poses, Look]:
    """Move objects from where they are expected, of which is known what they show there."""
    spreads_m = [t.sigma_m + 0.5 * t.model.radius * t.sigma_rad for t in group.targets]
    start_m = np.clip(2.0 * np.array(spreads_m), FINE_KERNEL_M, MAX_KERNEL_M)
    coarse, poses = group.thinned(COARSE_SHARE), group.expectation.poses
    known: Shown | None = seen.thinned(COARSE_SHARE)
    for share in COARSE:
        kernels = Kernels(
            depth_m=np.maximum(share * start_m, FINE_KERNEL_M), outline_px=COARSE_KERNEL_PX
        )
        look = looked(view, coarse, poses, kernels, known)
        before, poses = poses, stepped(group.expectation, poses, look.rows)
        if _is_settled(group, before, poses, COARSE_SETTLED):
            break
        known = None
    return finished(view, group, poses)


def roughly(num: int, kernel_m: float) -> Kernels:
    """Return wide kernels, the same for all."""
    return Kernels(depth_m=np.full(num, kernel_m), outline_px=COARSE_KERNEL_PX)


def gathered(view: TrackingView, group: Group, poses: Poses) -> Poses:
    """Move hypotheses roughly."""
    for kernel_m in GATHERING_M:
        kernels = roughly(len(poses), kernel_m)
        poses = stepped(group.expectation, poses, looked(view, group, poses, kernels).rows)
    return poses


def finished(view: TrackingView, group: Group, poses: Poses) -> tuple[Poses, Look]:
    """Move objects by the last millimetres; the look is from less than a step away."""
    kernels = Kernels(depth_m=np.full(len(poses), FINE_KERNEL_M), outline_px=FINE_KERNEL_PX)
    for _ in range(NUM_FINE):
        look = looked(view, group, poses, kernels)
        before, poses = poses, stepped(group.expectation, poses, look.rows)
        if _is_settled(group, before, poses, FINE_SETTLED):
            return poses, look
    return poses, looked(view, group, poses, kernels)


def depth_rows(
    view: TrackingView, readings: Readings, seen: Shown, hidden: Bools, kernel_m: Floats
) -> Rows:
    """Compare readings with the surface along the same rays (projective point to plane)."""
    known = seen.hit & ~hidden & readings.mine & np.isfinite(readings.measured_m)
    depth_m = np.where(known, seen.depth_m, 1.0)
    measured_m = np.where(known, readings.measured_m, 1.0)
    cosine = np.einsum("kgi,kgi->kg", seen.normals, readings.rays)
    residuals_m = cosine * (depth_m - measured_m)
    sideways_m = LATERAL_PX / view.focal_px * measured_m
    # Along the ray as well: across a face that is seen at a low angle the front of a neighbour is
    # near, and where it goes on as the object's own does, objects would slide towards it.
    sigma_m = noise_m(measured_m)
    variance = np.square(cosine * sigma_m) + np.square(sideways_m)
    weights = _kernel(residuals_m, variance, kernel_m) / variance
    weights *= _kernel(depth_m - measured_m, np.square(sigma_m), kernel_m)
    points = depth_m[..., None] * readings.rays
    return Rows(points, seen.normals, residuals_m, np.where(known, weights, 0.0))


def _kernel(residuals_m: Floats, variance: Floats, kernel_m: Floats) -> Floats:
    """Weigh down what exceeds kernel and noise (Geman and McClure 1985), ``(K, N)``, at most 1."""
    width = np.square(kernel_m)[:, None] + 4.0 * variance
    weights: Floats = np.square(width / (width + np.square(residuals_m)))
    return weights


def _is_settled(group: Group, before: Poses, after: Poses, limit_m: float) -> bool:
    """Tell whether no part of any object moved by more than the limit.

    Objects that may be anywhere are not waited for, unless there are no others.
    """
    expectation = group.expectation
    shifts = np.linalg.norm(expectation.pivots(after) - expectation.pivots(before), axis=1)
    turns = np.linalg.norm(after.rotation - before.rotation, axis=(1, 2)) / np.sqrt(2.0)
    near = ~group.is_wide
    awaited = near if near.any() else ~near
    return bool((shifts + turns * expectation.radii_m < limit_m)[awaited].all())
