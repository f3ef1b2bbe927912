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

"""Where something rests in a fixed frame, by all viewpoints from which it was measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.geometry.transforms import interpolate
from sam3d_ros.scene.motion import turn_rad
from sam3d_ros.structures import Floats, Similarity

MAX_VIEWPOINTS = 12  # the newest
# Directions to the camera, seen from the object: within the first the same viewpoint, beyond the
# second another one, whose faults have nothing to do with those of the first.
SAME_RAD, OTHER_RAD = 0.05, 0.26
# What all measurements from one viewpoint may have in common: faults of the mesh, of depth at
# slanted surfaces, of the camera's calibrated place. More of them do not make that any less.
BIAS_M, BIAS_RAD = 0.004, 0.03
# From where on something was moved: by measurements from the same viewpoint, which tell finely,
# and from another; or by so many standard deviations, where that is more.
PUSHED_M, PUSHED_RAD = 0.006, 0.05
CARRIED_M, CARRIED_RAD = 0.015, 0.25
NUM_SIGMAS = 2.0
FAR = 3.0  # as much farther off, it was moved; nearer, one measurement may be what is wrong
SURER = 0.5  # so much more certain, a measurement takes the place of one from the same viewpoint
LEAST_M, LEAST_RAD = 1e-4, 1e-3  # standard deviations of what claims to be more certain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A pose in the fixed frame, and how far it may be off (standard deviations)."""

    pose: Similarity  # fixed_from_object
    sigma_m: float
    sigma_rad: float

    def widened(self, sigma_m: float, sigma_rad: float) -> "Estimate":
        """Return what is off by so much more."""
        return replace(
            self,
            sigma_m=float(np.hypot(self.sigma_m, sigma_m)),
            sigma_rad=float(np.hypot(self.sigma_rad, sigma_rad)),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Viewpoint:
    """What was measured from one side."""

    towards_camera: Floats  # (3,) unit
    estimate: Estimate


class RestingPlace:
    """The pose of something that stands still while a camera goes around it.

    Seen from one side only, or while it moves, it is where it was measured last.
    """

    def __init__(self) -> None:
        self._viewpoints: list[_Viewpoint] = []
        self._since_ns = 0  # since when it rests
        self._doubt: _Viewpoint | None = None  # measured last, and elsewhere

    def take_in(self, measured: Estimate, camera_m: Floats, stamp_ns: int) -> Similarity:
        """Return the pose by this measurement and those before, unless it was moved since.

        Args:
            measured: The pose as it was measured.
            camera_m: From where, (3,), in the fixed frame.
            stamp_ns: When.
        """
        if self._viewpoints and stamp_ns < self._since_ns:  # before it came to rest
            return measured.pose
        ray = camera_m - measured.pose.translation_m
        seen = _Viewpoint(
            towards_camera=ray / max(float(np.linalg.norm(ray)), LEAST_M),
            estimate=measured.widened(LEAST_M, LEAST_RAD),
        )
        if not self._viewpoints or self._was_moved(seen):
            self._viewpoints, self._since_ns = [seen], stamp_ns
        elif self._doubt is None:
            self._join(seen)
        return measured.pose if len(self._viewpoints) == 1 else self._mean().pose

    def reframe(self, object_from_new: Similarity) -> None:
        """Express the object in another frame of its own; nothing moves."""
        for place, each in enumerate(self._viewpoints):
            moved = replace(each.estimate, pose=each.estimate.pose @ object_from_new)
            self._viewpoints[place] = replace(each, estimate=moved)
        self._doubt = None

    def _was_moved(self, seen: _Viewpoint) -> bool:
        """Tell whether this is not where it was: by the nearest viewpoint, and by all.

        A viewpoint alone may be wrong by more than others; the next measurement decides.
        """
        doubt, self._doubt = self._doubt, None
        nearest, angle_rad = self._nearest(seen)
        before = self._viewpoints[nearest].estimate
        off = max(
            _difference(before, seen.estimate, angle_rad),
            _difference(self._mean(), seen.estimate, OTHER_RAD),
        )
        if off <= 1.0:
            return False
        if angle_rad <= SAME_RAD or len(self._viewpoints) == 1 or off > FAR:
            return True
        if doubt is not None and _difference(doubt.estimate, seen.estimate, OTHER_RAD) <= 1.0:
            return True
        self._doubt = seen
        return False

    def _join(self, seen: _Viewpoint) -> None:
        nearest, angle_rad = self._nearest(seen)
        if angle_rad > SAME_RAD:
            self._viewpoints = [*self._viewpoints, seen][-MAX_VIEWPOINTS:]
            return
        # The first that is good, not the mean: what is pushed slowly would take that along.
        if seen.estimate.sigma_m < SURER * self._viewpoints[nearest].estimate.sigma_m:
            self._viewpoints[nearest] = seen

    def _nearest(self, seen: _Viewpoint) -> tuple[int, float]:
        """Return which viewpoint that is, and the angle to it."""
        cosines = [float(each.towards_camera @ seen.towards_camera) for each in self._viewpoints]
        nearest = int(np.argmax(cosines))
        return nearest, float(np.arccos(np.clip(cosines[nearest], -1.0, 1.0)))

    def _mean(self) -> Estimate:
        return _mean([each.estimate.widened(BIAS_M, BIAS_RAD) for each in self._viewpoints])


def _difference(before: Estimate, now: Estimate, angle_rad: float) -> float:
    """Return how far poses measured from viewpoints that far apart differ, 1 as far as they may."""
    share = float(np.clip((angle_rad - SAME_RAD) / (OTHER_RAD - SAME_RAD), 0.0, 1.0))
    least_m = PUSHED_M + share * (CARRIED_M - PUSHED_M)
    least_rad = PUSHED_RAD + share * (CARRIED_RAD - PUSHED_RAD)
    sigma_m = NUM_SIGMAS * float(np.hypot(before.sigma_m, now.sigma_m))
    sigma_rad = NUM_SIGMAS * float(np.hypot(before.sigma_rad, now.sigma_rad))
    shift_m = float(np.linalg.norm(now.pose.translation_m - before.pose.translation_m))
    turned_rad = turn_rad(before.pose, now.pose)
    return max(shift_m / max(least_m, sigma_m), turned_rad / max(least_rad, sigma_rad))


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of poses that are near each other; each weighs as it is certain."""
    shift_weights = np.array([each.sigma_m**-2 for each in estimates])
    turn_weights = np.array([each.sigma_rad**-2 for each in estimates])
    mean = estimates[0].pose
    for each, share in zip(estimates, turn_weights / np.cumsum(turn_weights), strict=True):
        mean = interpolate(mean, each.pose, float(share))
    places_m = [each.pose.translation_m for each in estimates]
    return Estimate(
        pose=replace(mean, translation_m=np.average(places_m, axis=0, weights=shift_weights)),
        sigma_m=float(shift_weights.sum() ** -0.5),
        sigma_rad=float(turn_weights.sum() ** -0.5),
    )
