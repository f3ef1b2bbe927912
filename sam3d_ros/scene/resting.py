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

import math
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.scene.motion import turn_rad
from sam3d_ros.structures import NS_PER_S, Floats, Similarity

MAX_VIEWPOINTS = 12  # the newest
# Directions to the camera, seen from the object: within the first the same viewpoint, beyond the
# second another one, whose faults have nothing to do with those of the first.
SAME_RAD, OTHER_RAD = 0.05, 0.26
# What all measurements from one viewpoint may have in common: faults of the mesh, of depth at
# slanted surfaces, of the camera's calibrated place. More of them do not make that any less.
BIAS_M, BIAS_RAD = 0.004, 0.03
# What nobody has looked at from there since may have been touched.
TOUCHED_M_PER_S, TOUCHED_RAD_PER_S = 1e-4, 8e-4
# From where on something was moved: by measurements from the same viewpoint, which tell finely,
# and from another; or by so many standard deviations, where that is more.
PUSHED_M, PUSHED_RAD = 0.006, 0.05
CARRIED_M, CARRIED_RAD = 0.012, 0.15
NUM_SIGMAS = 2.0
FAR = 3.0  # as much farther off, it was moved; nearer, one measurement may be what is wrong
REPEATED = 0.5  # of how far it is off, by which two measurements that say the same may differ
CONFIRMED_S = 0.5  # after which a new viewpoint that says the same again is believed against all
MOVING_S = 0.5  # a motion is told from faults by so much of the past
BETWEEN = 0.2  # of its way, that measurements between its ends are from both
SURER = 0.5  # so much more certain, a measurement takes the place of one from the same viewpoint
LATELY_S = 1.0  # what was seen so lately counts as much as if it were seen now
LEAST_M = 1e-4  # of the way to a camera


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A rigid pose in the fixed frame, and how far it may be off (standard deviations)."""

    pose: Similarity  # fixed_from_object
    sigma_m: float
    sigma_rad: float

    def widened(self, sigma_m: float, sigma_rad: float) -> "Estimate":
        """Return what may be off by so much besides."""
        return replace(
            self,
            sigma_m=math.hypot(self.sigma_m, sigma_m),
            sigma_rad=math.hypot(self.sigma_rad, sigma_rad),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Viewpoint:
    """What was measured from one side."""

    towards_camera: tuple[float, ...]  # (3,) unit, from the object's origin
    estimate: Estimate
    stamp_ns: int  # when it was seen so last

    @classmethod
    def of(cls, measured: Estimate, camera_m: Floats, stamp_ns: int) -> "_Viewpoint":
        ray = camera_m - measured.pose.translation_m
        return cls(
            towards_camera=tuple((ray / max(math.hypot(*ray), LEAST_M)).tolist()),
            estimate=measured,
            stamp_ns=stamp_ns,
        )

    def angle_to(self, other: "_Viewpoint") -> float:
        """Return the angle between two viewpoints, radians."""
        ours, theirs = self.towards_camera, other.towards_camera
        cosine = sum(a * b for a, b in zip(ours, theirs, strict=True))
        return math.acos(min(1.0, max(-1.0, cosine)))

    def believed_at(self, stamp_ns: int) -> Estimate:
        """Return how far this tells then where something is."""
        unseen_s = max(0, stamp_ns - self.stamp_ns) / NS_PER_S
        touched_m, touched_rad = TOUCHED_M_PER_S * unseen_s, TOUCHED_RAD_PER_S * unseen_s
        return self.estimate.widened(
            math.hypot(BIAS_M, touched_m), math.hypot(BIAS_RAD, touched_rad)
        )


class RestingPlace:
    """The pose of something that stands still while a camera goes around it.

    Seen from one side only, or while it moves, it is where it was measured last.
    """

    def __init__(self) -> None:
        self._viewpoints: list[_Viewpoint] = []
        self._since_ns = 0  # since when it rests
        self._doubt: _Viewpoint | None = None  # what said first that it is elsewhere, and was alone
        self._recent: list[_Viewpoint] = []  # measurements of the last ``MOVING_S``

    @property
    def is_mean(self) -> bool:
        """Whether several viewpoints say together where it is."""
        return len(self._viewpoints) > 1

    def take_in(
        self, measured: Estimate, camera_m: Floats, stamp_ns: int, *, is_guess: bool = False
    ) -> Similarity:
        """Return the pose by this measurement and those before, unless it was moved since.

        Args:
            measured: The pose as it was measured.
            camera_m: From where, (3,), in the fixed frame.
            stamp_ns: When.
            is_guess: It may be another thing, or turned otherwise: it says where something is as
                long as nothing else does, and changes nothing of what is known.
        """
        if self._viewpoints and stamp_ns < self._since_ns:  # before it came to rest
            return measured.pose
        seen = _Viewpoint.of(measured, camera_m, stamp_ns)
        if not self._viewpoints:
            if not is_guess:
                self._begin(seen)
            return measured.pose
        mean = self._mean(stamp_ns)
        off = self._off_by(seen, mean)
        if not is_guess and self._moves(seen):
            self._begin(seen)
        elif off <= 1.0:
            self._doubt = None
            if not is_guess and self._join(seen):
                mean = self._mean(stamp_ns)
        elif not is_guess and (off > FAR or self._is_confirmed(seen, off)):
            self._begin(seen)
        else:
            self._doubt_by(seen, off)
            if is_guess or self._was_pushed(seen):
                return measured.pose
        return mean.pose if self.is_mean else measured.pose

    def _begin(self, seen: _Viewpoint) -> None:
        """Let this alone say where it is."""
        self._viewpoints, self._since_ns, self._doubt = [seen], seen.stamp_ns, None

    def _off_by(self, seen: _Viewpoint, mean: Estimate) -> float:
        """Return how far this is from where it was, 1 as far as faults of viewpoints may be."""
        nearest, angle_rad = self._nearest(seen)
        return max(
            _difference(nearest.estimate, seen.estimate, angle_rad),
            _difference(mean, seen.estimate, OTHER_RAD),
        )

    def _is_confirmed(self, seen: _Viewpoint, off: float) -> bool:
        """Tell whether this is believed against what was measured before.

        At once where that is one viewpoint only. Else something must have said the same already:
        from the same side where that is known, from another, or a while ago. A viewpoint alone
        may be wrong by more than others, and one image by more than others.
        """
        if not self.is_mean:
            return True
        doubt = self._doubt
        if doubt is None or not _repeats(doubt, seen, off):
            return False
        is_other_side = doubt.angle_to(seen) > SAME_RAD
        is_later = seen.stamp_ns - doubt.stamp_ns >= CONFIRMED_S * NS_PER_S
        return self._knows_side_of(seen) or is_other_side or is_later

    def _knows_side_of(self, seen: _Viewpoint) -> bool:
        """Tell whether it was seen from there before."""
        _, angle_rad = self._nearest(seen)
        return angle_rad <= SAME_RAD

    def _was_pushed(self, seen: _Viewpoint) -> bool:
        """Tell whether it was seen from there before, elsewhere: that is no fault of viewpoints."""
        nearest, angle_rad = self._nearest(seen)
        is_elsewhere = _difference(nearest.estimate, seen.estimate, angle_rad) > 1.0
        return angle_rad <= SAME_RAD and is_elsewhere

    def _moves(self, seen: _Viewpoint) -> bool:
        """Tell whether the last measurements show it on its way, and remember this one.

        By more than the way of the camera explains, and past a place between: one image that is
        wrong is not passed through, and viewpoints do not err so suddenly.
        """
        earliest_ns = seen.stamp_ns - int(MOVING_S * NS_PER_S)
        self._recent = [
            each for each in self._recent if earliest_ns <= each.stamp_ns < seen.stamp_ns
        ]
        before, self._recent = self._recent, [*self._recent, seen]
        # By how far first: most things rest, and that costs least.
        return any(
            _apart_m(first.estimate, seen.estimate) >= PUSHED_M
            and first.angle_to(seen) < OTHER_RAD
            and _difference(first.estimate, seen.estimate, first.angle_to(seen)) > 1.0
            and any(_is_between(first, middle, seen) for middle in before[place + 1 :])
            for place, first in enumerate(before)
        )

    def _doubt_by(self, seen: _Viewpoint, off: float) -> None:
        """Remember what says that it is elsewhere, unless that was said already."""
        doubt = self._doubt
        if doubt is None or not _repeats(doubt, seen, off):
            self._doubt = seen

    def _join(self, seen: _Viewpoint) -> bool:
        """Let this say where it is, too; return whether that is news."""
        nearest, angle_rad = self._nearest(seen)
        if angle_rad > SAME_RAD:
            self._viewpoints = [*self._viewpoints, seen][-MAX_VIEWPOINTS:]
            return True
        # The first that is good, not the mean: what is pushed slowly would take that along.
        is_surer = seen.estimate.sigma_m < SURER * nearest.estimate.sigma_m
        stays = replace(nearest, stamp_ns=max(seen.stamp_ns, nearest.stamp_ns))
        self._viewpoints[self._viewpoints.index(nearest)] = seen if is_surer else stays
        return is_surer or seen.stamp_ns - nearest.stamp_ns > LATELY_S * NS_PER_S

    def _nearest(self, seen: _Viewpoint) -> tuple[_Viewpoint, float]:
        """Return the viewpoint that is nearest, and the angle to it in radians."""
        angles_rad = [each.angle_to(seen) for each in self._viewpoints]
        angle_rad = min(angles_rad)
        return self._viewpoints[angles_rad.index(angle_rad)], angle_rad

    def _mean(self, stamp_ns: int) -> Estimate:
        """Return the mean of all viewpoints; each weighs as it is certain at that time."""
        believed = [each.believed_at(stamp_ns) for each in self._viewpoints]
        if len(believed) == 1:
            return believed[0]
        shift_weights = np.array([each.sigma_m**-2 for each in believed])
        turn_weights = np.array([each.sigma_rad**-2 for each in believed])
        places_m = np.stack([each.pose.translation_m for each in believed])
        rotations = np.stack([each.pose.rotation for each in believed])
        return Estimate(
            pose=Similarity(
                _mean_rotation(rotations, turn_weights),
                shift_weights @ places_m / shift_weights.sum(),
            ),
            sigma_m=float(shift_weights.sum() ** -0.5),
            sigma_rad=float(turn_weights.sum() ** -0.5),
        )


def _repeats(doubt: _Viewpoint, seen: _Viewpoint, off: float) -> bool:
    """Tell whether two measurements that are off say the same: far nearer each other than that.

    Faults of several millimetres differ from side to side; where something was put does not.
    """
    difference = _difference(doubt.estimate, seen.estimate, doubt.angle_to(seen))
    return difference <= REPEATED * off


def _difference(before: Estimate, now: Estimate, angle_rad: float) -> float:
    """Return how far poses measured from viewpoints that far apart differ, 1 as far as they may."""
    share = min(1.0, max(0.0, (angle_rad - SAME_RAD) / (OTHER_RAD - SAME_RAD)))
    least_m = PUSHED_M + share * (CARRIED_M - PUSHED_M)
    least_rad = PUSHED_RAD + share * (CARRIED_RAD - PUSHED_RAD)
    sigma_m = NUM_SIGMAS * math.hypot(before.sigma_m, now.sigma_m)
    sigma_rad = NUM_SIGMAS * math.hypot(before.sigma_rad, now.sigma_rad)
    shift_m = _apart_m(before, now)
    turned_rad = turn_rad(before.pose, now.pose)
    return max(shift_m / max(least_m, sigma_m), turned_rad / max(least_rad, sigma_rad))


def _apart_m(first: Estimate, second: Estimate) -> float:
    return math.dist(first.pose.translation_m, second.pose.translation_m)


def _is_between(first: _Viewpoint, middle: _Viewpoint, last: _Viewpoint) -> bool:
    """Tell whether something that went from one place to another passed the middle one.

    Only what was seen from about the same side as the last tells.
    """
    if middle.angle_to(last) >= OTHER_RAD:
        return False
    start_m, passed_m, end_m = (each.estimate.pose.translation_m for each in (first, middle, last))
    way_m = end_m - start_m
    share = float((passed_m - start_m) @ way_m) / float(way_m @ way_m)
    return BETWEEN <= share <= 1.0 - BETWEEN


def _mean_rotation(rotations: Floats, weights: Floats) -> Floats:
    """Return the rotation nearest to all ``(N, 3, 3)`` in the least squares of their entries.

    The projection of their weighted sum (Moakher, Means and averaging in the group of rotations,
    SIAM J. Matrix Anal. Appl. 24(1), 2002).
    """
    left, _, right = np.linalg.svd(np.einsum("n,nij->ij", weights, rotations))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    mean: Floats = (left * signs) @ right
    return mean
