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

"""Part what overlaps, lift what sinks, set down what floats; the surest places change least.

Every pair that overlaps and the support ask for a distance along one direction. The shortest moves
that give them all, measured in standard deviations of each place, are found by Gauss-Seidel on the
multipliers of these inequalities (position based dynamics: Mueller et al., J. Vis. Commun. 2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.settling.body import Body, Placed
from sam3d_ros.geometry.settling.contacts import (
    TOUCHING_M,
    Contact,
    contact,
    contacts,
    contacts_anew,
)
from sam3d_ros.geometry.settling.resting import at_rest, balance_m, height_m
from sam3d_ros.structures import Floats, Settling, Similarity, SupportPlane

STANDING_M = 5e-4  # heights over the support that need no change
MAX_ROUNDS = 6  # overlap is measured anew
LEFT_SHARE = 0.5  # of an overlap; with more of it left nobody is moved for it
MAX_SWEEPS = 100
SOLVED_M = 1e-6
HALVINGS = 6  # of the share of a step that is too long


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlingLimits:
    """How far bodies may be moved."""

    max_shift_m: float = 0.02
    max_turn_rad: float = 0.05
    max_departure_m: float = 0.002  # of the visible surface from its measured depth


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Where a body has come to rest, and what was done to it."""

    now_from_start: Similarity  # the identity, exactly, where nothing was wrong
    report: Settling


def settle(
    bodies: Sequence[Body], support: SupportPlane | None, limits: SettlingLimits
) -> list[Settled]:
    """Move bodies until they neither overlap nor float nor sink, within the limits.

    The result does not depend on their order.
    """
    order = sorted(range(len(bodies)), key=lambda index: tuple(bodies[index].middle))
    start = [Placed(bodies[index], Similarity.identity()) for index in order]
    up = None if support is None else support.normal_camera
    before = contacts(start, up)
    placed = _parted(start, before, support, limits)
    if before:
        placed = _worthwhile(start, placed, before, up)
    if support is not None:
        placed = _set_down(placed, support, limits)
        placed = _rolled(placed, support, limits)
    moved = any(now is not then for now, then in zip(placed, start, strict=True))
    after = contacts(placed, up) if moved else before
    found: list[Settled | None] = [None] * len(bodies)
    for number, index in enumerate(order):
        report = _report(number, (start, placed), (before, after), support)
        found[index] = Settled(placed[number].now_from_start, report)
    return [each for each in found if each is not None]


def _parted(
    placed: list[Placed],
    found: Sequence[Contact],
    support: SupportPlane | None,
    limits: SettlingLimits,
) -> list[Placed]:
    """Part bodies, and lift those that sink, until that is done or nothing may move on."""
    up = None if support is None else support.normal_camera
    give = np.ones(len(placed))  # 0: is where its limits allow
    for _ in range(MAX_ROUNDS):
        asked = _asked(placed, found, support, limits)
        steps = _steps(asked, [each.body.variance_m2 for each in placed], give)
        moving = np.flatnonzero(np.linalg.norm(steps, axis=1) > SOLVED_M).tolist()
        if not moving:
            break
        placed = list(placed)
        for index in moving:
            share = _allowed_share(placed[index], steps[index], limits)
            give[index] = float(share == 1.0)
            placed[index] = placed[index].shifted(share * steps[index])
        found = contacts_anew(found, moving, placed, up)
    return placed


def _worthwhile(
    start: Sequence[Placed], placed: Sequence[Placed], before: Sequence[Contact], up: Floats | None
) -> list[Placed]:
    """Put bodies back whose overlap is still there: moves that do not part them help nobody."""
    after = contacts(placed, up)
    result = list(placed)
    for group in _groups(len(placed), [*before, *after]):
        then_m, now_m = (
            max((each.depth_m for each in found if each.first in group), default=0.0)
            for found in (before, after)
        )
        if now_m > max(TOUCHING_M, LEFT_SHARE * then_m):
            for index in group:
                result[index] = start[index]
    return result


def _groups(num: int, found: Sequence[Contact]) -> list[set[int]]:
    """Return the bodies of each heap of overlapping bodies, those alone by themselves."""
    group_of = [{index} for index in range(num)]
    for each in found:
        joined = group_of[each.first] | group_of[each.second]
        for index in joined:
            group_of[index] = joined
    return [group for index, group in enumerate(group_of) if index == min(group)]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One body, or two, that should part along a direction; the support is no body."""

    first: int
    second: int | None
    direction: Floats
    apart_m: float  # negative: that much room is left


def _asked(
    placed: Sequence[Placed],
    found: Sequence[Contact],
    support: SupportPlane | None,
    limits: SettlingLimits,
) -> list[_Asked]:
    """Return what pairs and the support ask for; what is beyond the limits is left as it is."""
    asked = [
        _Asked(each.first, each.second, each.direction, each.apart_m)
        for each in found
        if each.inside is None and each.apart_m <= 2 * limits.max_shift_m
    ]
    if support is None:
        return asked
    for index, each in enumerate(placed):
        height = height_m(each, support)
        sinks = -limits.max_shift_m <= height < -STANDING_M
        asked.append(
            _Asked(index, None, support.normal_camera, -height if sinks or height > 0 else 0.0)
        )
    return asked


def _steps(asked: Sequence[_Asked], variances_m2: Sequence[Floats], give: Floats) -> Floats:
    """Return the shortest moves that give what is asked, ``(B, 3)``."""
    steps = np.zeros((len(give), 3))
    forces = np.zeros(len(asked))
    easy = np.array([_ease(each, variances_m2, give) for each in asked]).reshape(-1, 2)
    for _ in range(MAX_SWEEPS):
        largest_m = 0.0
        for number, each in enumerate(asked):
            total = easy[number].sum()
            if not total > 0:
                continue
            there = (
                steps[each.first] if each.second is None else steps[each.first] - steps[each.second]
            )
            force = max(0.0, forces[number] + (each.apart_m - each.direction @ there) / total)
            change, forces[number] = force - forces[number], force
            steps[each.first] += change * easy[number, 0] * each.direction
            if each.second is not None:
                steps[each.second] -= change * easy[number, 1] * each.direction
            largest_m = max(largest_m, abs(change) * total)
        if largest_m < SOLVED_M:
            break
    return steps


def _ease(asked: _Asked, variances_m2: Sequence[Floats], give: Floats) -> tuple[float, float]:
    """Return how easily the two bodies move along the direction: the variance of their places."""

    def along(index: int) -> float:
        variance = asked.direction @ variances_m2[index] @ asked.direction
        return float(give[index] * variance)

    return along(asked.first), 0.0 if asked.second is None else along(asked.second)


def _allowed_share(placed: Placed, step_m: Floats, limits: SettlingLimits) -> float:
    """Return the largest share of a step after which a body is within its limits."""
    if _is_allowed(placed.shifted(step_m), limits):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        share = (low + high) / 2
        low, high = (
            (share, high) if _is_allowed(placed.shifted(share * step_m), limits) else (low, share)
        )
    return low


def _is_allowed(placed: Placed, limits: SettlingLimits) -> bool:
    return bool(
        np.linalg.norm(placed.shift_m) <= limits.max_shift_m
        and _turn_rad(placed) <= limits.max_turn_rad
        and placed.departure_m <= limits.max_departure_m
    )


def _turn_rad(placed: Placed) -> float:
    cosine = (np.trace(placed.now_from_start.rotation) - 1.0) / 2.0
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _set_down(
    placed: Sequence[Placed], support: SupportPlane, limits: SettlingLimits
) -> list[Placed]:
    """Set down what floats, if nothing measured and nobody else is against it."""
    result = list(placed)
    heights_m = [height_m(each, support) for each in placed]
    for index in np.argsort(heights_m, kind="stable"):
        if STANDING_M < heights_m[index] <= limits.max_shift_m:
            lower = result[index].shifted(-heights_m[index] * support.normal_camera)
            _take(result, index, lower, limits)
    return result


def _rolled(
    placed: Sequence[Placed], support: SupportPlane, limits: SettlingLimits
) -> list[Placed]:
    """Roll what stands on an edge or a corner onto the face beside it."""
    result = list(placed)
    for index, each in enumerate(placed):
        if balance_m(each, support) < -STANDING_M:
            _take(result, index, at_rest(each, support), limits)
    return result


def _take(placed: list[Placed], index: int, there: Placed, limits: SettlingLimits) -> None:
    """Put a body elsewhere if its limits allow that and it overlaps with nobody more than here."""
    if there.body.is_fixed or not _is_allowed(there, limits):
        return
    for number, other in enumerate(placed):
        if number == index:
            continue
        overlap = contact((index, number), there, other, None)
        if overlap is not None and overlap.depth_m > TOUCHING_M + _depth_m(placed, index, number):
            return
    placed[index] = there


def _depth_m(placed: Sequence[Placed], first: int, second: int) -> float:
    overlap = contact((first, second), placed[first], placed[second], None)
    return 0.0 if overlap is None else overlap.depth_m


def _report(
    number: int,
    placed: tuple[Sequence[Placed], Sequence[Placed]],
    found: tuple[Sequence[Contact], Sequence[Contact]],
    support: SupportPlane | None,
) -> Settling:
    """Say what was done to one body; pairs are before and after."""
    start, end = (each[number] for each in placed)
    before_m, after_m = (
        max((c.depth_m for c in each if number in (c.first, c.second)), default=0.0)
        for each in found
    )
    return Settling(
        shift_m=float(np.linalg.norm(end.shift_m)),
        turn_rad=_turn_rad(end) if end is not start else 0.0,
        overlap_before_m=before_m,
        overlap_m=after_m,
        height_before_m=height_m(start, support),
        height_m=height_m(end, support),
        balance_m=balance_m(end, support),
        inside=any(each.inside == number for each in found[1]),
    )
