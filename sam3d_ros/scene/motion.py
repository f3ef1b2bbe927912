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


"""Where an object was, is, and will be in a moment."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.transforms import interpolate
from sam3d_ros.structures import NS_PER_S, Similarity

HISTORY_S = 20.0  # reconstruction may take that long, and is then compared with its own time
DENSE_S = 1.0  # older poses are kept
SPACING_S = 0.1  # this far apart
# Velocity is measured over this time: long enough for noise, short enough for a hand that turns.
VELOCITY_S = (0.06, 0.4)
SAME_S = 0.02  # images this near show the same
STILL_M, STILL_RAD = 0.004, 0.02  # less than this in that time is noise
DAMPING_S = 0.25  # what nobody sees move comes to rest
# Of an expected pose: at once, per second, and of what is lost.
SIGMA_M, SIGMA_M_PER_S, LOST_M = 0.006, 0.15, 0.12
SIGMA_RAD, SIGMA_RAD_PER_S, LOST_RAD = 0.06, 0.6, 0.5
ANY_RAD = float(np.pi / np.sqrt(3.0))  # of a turn of which nothing is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far off an expected pose may be, standard deviations."""

    sigma_m: float
    sigma_rad: float


def spread_after(unseen_s: float, *, is_lost: bool) -> Spread:
    """Return how far an object may be from where it is expected, so long after it was seen."""
    if is_lost:
        return Spread(sigma_m=LOST_M, sigma_rad=LOST_RAD)
    unseen_s = max(0.0, unseen_s)
    return Spread(
        sigma_m=min(float(np.hypot(SIGMA_M, SIGMA_M_PER_S * unseen_s)), LOST_M),
        sigma_rad=min(float(np.hypot(SIGMA_RAD, SIGMA_RAD_PER_S * unseen_s)), LOST_RAD),
    )


class Trajectory:
    """Measured poses of one object in one frame, a few seconds of them.

    Stamps may come in any order; a pose replaces the one of the same stamp. Poses are rigid.
    """

    def __init__(self, stamp_ns: int, pose: Similarity) -> None:
        self._stamps = [stamp_ns]  # rising
        self._poses = [pose]

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest pose."""
        return self._stamps[-1]

    def __len__(self) -> int:
        return len(self._stamps)

    def add(self, stamp_ns: int, pose: Similarity) -> None:
        """Take in a pose; what is older than all that is remembered is passed over."""
        if stamp_ns < self.newest_ns - HISTORY_S * NS_PER_S:
            return
        place = bisect_left(self._stamps, stamp_ns)
        if place < len(self._stamps) and self._stamps[place] == stamp_ns:
            self._poses[place] = pose
            return
        self._stamps.insert(place, stamp_ns)
        self._poses.insert(place, pose)
        self._thin_out()

    def restart(self, stamp_ns: int, pose: Similarity | None = None) -> None:
        """Forget all but one pose, the newest unless another is given; time begins anew."""
        self._stamps, self._poses = [stamp_ns], [pose or self._poses[-1]]

    def reframe(self, object_from_new: Similarity) -> None:
        """Express the object in another frame of its own; nothing moves."""
        self._poses = [pose @ object_from_new for pose in self._poses]

    def correct(self, stamp_ns: int, pose: Similarity) -> None:
        """Take in a pose that is better than those followed since: these move along with it."""
        correction = self.at(stamp_ns).inverse() @ pose
        place = bisect_left(self._stamps, stamp_ns)
        self._poses[place:] = [later @ correction for later in self._poses[place:]]
        self.add(stamp_ns, pose)

    def is_measured_at(self, stamp_ns: int) -> bool:
        """Tell whether a pose was measured then, within ``SAME_S``."""
        near = bisect_right(self._stamps, stamp_ns)
        gaps_ns = [abs(other - stamp_ns) for other in self._stamps[max(0, near - 1) : near + 1]]
        return min(gaps_ns) <= SAME_S * NS_PER_S

    def at(self, stamp_ns: int) -> Similarity:
        """Return where the object was, or is expected with a velocity that dies away."""
        if stamp_ns <= self._stamps[0]:
            return self._poses[0]
        place = bisect_right(self._stamps, stamp_ns)
        if place < len(self._stamps):
            before, after = self._stamps[place - 1], self._stamps[place]
            share = (stamp_ns - before) / (after - before)
            return interpolate(self._poses[place - 1], self._poses[place], share)
        ahead_s = (stamp_ns - self.newest_ns) / NS_PER_S
        return self._ahead(DAMPING_S * float(-np.expm1(-ahead_s / DAMPING_S)))

    def _ahead(self, damped_s: float) -> Similarity:
        """Go on from the newest pose as it has moved of late."""
        newest = self._poses[-1]
        latest_ns, earliest_ns = (self.newest_ns - int(span * NS_PER_S) for span in VELOCITY_S)
        place = bisect_right(self._stamps, latest_ns) - 1
        if damped_s == 0.0 or place < 0 or self._stamps[place] < earliest_ns:
            return newest
        old = self._poses[place]
        moves = np.linalg.norm(newest.translation_m - old.translation_m) > STILL_M
        turns = turn_rad(old, newest) > STILL_RAD
        if not (moves or turns):
            return newest
        span_s = (self.newest_ns - self._stamps[place]) / NS_PER_S
        ahead = interpolate(old, newest, 1.0 + damped_s / span_s)
        return Similarity(
            ahead.rotation if turns else newest.rotation,
            ahead.translation_m if moves else newest.translation_m,
        )

    def _thin_out(self) -> None:
        """Drop what is too old, or too near to its neighbours for its age."""
        oldest_ns = self.newest_ns - int(HISTORY_S * NS_PER_S)
        dense_ns = self.newest_ns - int(DENSE_S * NS_PER_S)
        kept: list[int] = []
        for place, stamp_ns in enumerate(self._stamps):
            if stamp_ns < oldest_ns:
                continue
            far = not kept or stamp_ns - self._stamps[kept[-1]] >= SPACING_S * NS_PER_S
            if stamp_ns >= dense_ns or far:
                kept.append(place)
        self._stamps = [self._stamps[place] for place in kept]
        self._poses = [self._poses[place] for place in kept]


def turn_rad(first: Similarity, second: Similarity) -> float:
    """Return the angle between two rotations."""
    cosine = (float(np.vdot(first.rotation, second.rotation)) - 1.0) / 2.0
    return math.acos(min(1.0, max(-1.0, cosine)))
