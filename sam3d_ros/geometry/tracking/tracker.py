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


"""From where objects are expected to where an image shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.geometry.registration.poses import Poses, joined
from sam3d_ros.geometry.registration.terms import Rows
from sam3d_ros.geometry.tracking.approach import (
    GATHERING_M,
    GATHERING_SHARE,
    WIDE_M,
    Group,
    Look,
    approached,
    finished,
    gathered,
    is_wide,
    looked,
    roughly,
)
from sam3d_ros.geometry.tracking.judging import (
    EXPECTED,
    MOVED,
    SEARCHED,
    Demands,
    Finding,
    Judgement,
    findings,
    judged,
)
from sam3d_ros.geometry.tracking.outlines import mask_of, silhouette_ious
from sam3d_ros.geometry.tracking.rendering import (
    Front,
    Shown,
    front_of,
    nothing_in_front,
    shown,
)
from sam3d_ros.geometry.tracking.searching import ANY_RAD, APART, all_turns, starts
from sam3d_ros.geometry.tracking.solving import Expectation, evidence, expectation_of
from sam3d_ros.geometry.tracking.targets import Target, poses_of, readings_about
from sam3d_ros.geometry.tracking.views import TrackingView
from sam3d_ros.structures import Bools, Floats, Similarity

FAR_M = 0.008  # beyond which a motion wants an outline to confirm it
MAX_SIGMAS = 4.0  # from where an object was expected; farther it is another one
NUM_FINISHED = 5  # hypotheses of an object that was searched for
TAKEN_M = 0.006  # readings this near to an object that was found show no other
PROMISING = 0.3  # agreement of a place that is worth more time; 1.3 is perfect
SEARCH_EVERY = 3  # images
NUM_TURNED = 2  # places in which it is turned all round
APART_RAD = 0.9  # between them, or apart in place
SLACK = np.array([0.01] * 3 + [0.1] * 3)  # m, rad; expectations may be too sure of themselves


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracked:
    """Where one object is in the depth camera."""

    finding: Finding
    depth_from_object: Similarity  # rigid; the expected one unless confirmed
    # Of the pose that fits best, confirmed or not; NaN where no reading tells.
    residual_m: float
    inlier_fraction: float
    silhouette_iou: float  # NaN without a mask, or unless confirmed
    # (6, 6) of the centre (m) and a turn (rad) in the depth camera; never more than was expected.
    covariance: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Sought:
    """One object that may be anywhere, and what may hide it."""

    target: Target
    number: int
    front: Front


def track(view: TrackingView, targets: Sequence[Target], turn: int = 0) -> list[Tracked]:
    """Find objects near where they are expected, all at once; they hide one another.

    Args:
        view: The image.
        targets: Where objects should be.
        turn: Rises by one from image to image: of objects that may be anywhere and have no mask
            one is searched for now and then, as searching takes time.
    """
    if not targets:
        return []
    group, seen = _expected(view, targets)
    poses, look = approached(view, group, seen)
    group = replace(group, front=_front(view, group, look.seen, ~group.is_wide))
    hidden = group.front.hides(look.seen, group.readings, group.numbers)
    demands = _demands(group, poses, [SEARCHED if wide else MOVED for wide in group.is_wide])
    found = _concluded(view, group, poses, (replace(look, hidden=hidden), demands))
    found = _reconsidered(group, found, replace(look, seen=seen))
    confirmed = np.array([each.finding == Finding.CONFIRMED for each in found])
    missing = _missing(view, targets, confirmed, turn)
    if not missing:
        return found
    refuted = np.array([each.finding == Finding.CONTRADICTED for each in found])
    front = _front(view, group, look.seen, ~refuted)
    for index in missing:
        again = _searched(view, targets[index], index, front)
        found[index] = again if again is not None else found[index]
    return found


def _expected(view: TrackingView, targets: Sequence[Target]) -> tuple[Group, Shown]:
    """Gather what there is to know of objects, which hide one another as expected."""
    poses = poses_of(targets)
    group = Group(
        targets=targets,
        numbers=np.arange(len(targets)),
        expectation=expectation_of(targets),
        readings=readings_about(view, targets, poses),
        front=nothing_in_front(view.camera),
    )
    seen = shown(targets, poses, group.readings)
    return replace(group, front=_front(view, group, seen, ~group.is_wide)), seen


def _demands(group: Group, poses: Poses, moved: Sequence[Demands]) -> list[Demands]:
    """Return what it takes to believe poses, given what it takes for those that moved."""
    shifts = group.expectation.offsets(poses)[:, :3]
    is_far = np.linalg.norm(shifts, axis=1) > FAR_M
    return [each if far else EXPECTED for each, far in zip(moved, is_far, strict=True)]


def _reconsidered(group: Group, found: list[Tracked], expected: Look) -> list[Tracked]:
    """Tell what was moved to where nothing confirms it, but is not where it was expected, either.

    Without this the table under a box that was taken away hides that it was.
    """
    if all(each.finding != Finding.UNSEEN for each in found):
        return found
    judgement = _judged(group, expected)
    demands = [EXPECTED] * len(found)
    return [
        replace(each, finding=before)
        if each.finding == Finding.UNSEEN and before == Finding.CONTRADICTED
        else each
        for each, before in zip(found, findings(judgement, demands), strict=True)
    ]


def _front(view: TrackingView, group: Group, seen: Shown, chosen: Bools) -> Front:
    """Draw some of the objects."""
    places = np.flatnonzero(chosen)
    if not len(places):
        return nothing_in_front(view.camera)
    return front_of(seen[places], group.readings[places], group.numbers[places], view.camera)


def _missing(
    view: TrackingView, targets: Sequence[Target], confirmed: Bools, turn: int
) -> list[int]:
    """Choose whom to search for: all with masks, and one of the others."""
    missing = [int(k) for k in np.flatnonzero(is_wide(targets) & ~confirmed)]
    masked = [k for k in missing if mask_of(view, targets[k]) is not None]
    others = [k for k in missing if k not in masked]
    if not others or turn % SEARCH_EVERY:
        return masked
    return [*masked, others[turn // SEARCH_EVERY % len(others)]]


def _searched(view: TrackingView, target: Target, number: int, front: Front) -> Tracked | None:
    """Find an object that may be anywhere; None where no place is good enough."""
    poses = starts(view, target, front)
    if poses is None:
        return None
    sought = _Sought(target, number, front)
    poses = _gathered(view, sought, poses)
    poses, values = _best(view, sought, poses, lambda judgement: judgement.agreement)
    if values[0] < PROMISING:
        return None
    if target.sigma_rad >= ANY_RAD:
        turned = joined(
            *(all_turns(target, poses.similarity(k)) for k in range(min(NUM_TURNED, len(poses))))
        )
        poses, _ = _best(view, sought, turned, lambda judgement: judgement.merit)
    poses = _gathered(view, sought, poses)
    group = _hypotheses(view, sought, poses)
    poses, look = finished(view, group, poses)
    found = _concluded(view, group, poses, (look, [SEARCHED] * len(poses)))
    scores = _judged(group, look).merit
    confirmed = [k for k, each in enumerate(found) if each.finding == Finding.CONFIRMED]
    return found[max(confirmed, key=lambda k: float(scores[k]))] if confirmed else None


def _gathered(view: TrackingView, sought: _Sought, poses: Poses) -> Poses:
    rough = _hypotheses(view, sought, poses).thinned(GATHERING_SHARE)
    return gathered(view, rough, poses)


def _best(
    view: TrackingView, sought: _Sought, poses: Poses, value: Callable[[Judgement], Floats]
) -> tuple[Poses, Floats]:
    """Return the best poses and their values, no two nearly the same."""
    rough = _hypotheses(view, sought, poses).thinned(GATHERING_SHARE)
    look = looked(view, rough, poses, roughly(len(poses), GATHERING_M[-1]))
    scores = value(_judged(rough, look))
    centers = rough.expectation.pivots(poses)
    chosen: list[int] = []
    for k in np.argsort(-scores, kind="stable"):
        turns = poses.rotation[chosen].transpose(0, 2, 1) @ poses.rotation[k]
        is_turned = np.trace(turns, axis1=1, axis2=2) < 1.0 + 2.0 * np.cos(APART_RAD)
        shifts = np.linalg.norm(centers[chosen] - centers[k], axis=1)
        if (is_turned | (shifts > APART * sought.target.model.radius)).all():
            chosen.append(int(k))
    best = np.array(chosen[:NUM_FINISHED])
    return poses[best], scores[best]


def _hypotheses(view: TrackingView, sought: _Sought, poses: Poses) -> Group:
    """Gather what there is to know around several poses of one object.

    Readings of objects that were found are theirs.
    """
    target, num = sought.target, len(poses)
    near = [replace(target, sigma_m=min(target.sigma_m, WIDE_M / 2))] * num
    readings = readings_about(view, near, poses)
    taken = sought.front.explains(readings.pixels, readings.measured_m, TAKEN_M)
    return Group(
        targets=[target] * num,
        numbers=np.full(num, sought.number),
        expectation=expectation_of([target] * num),
        readings=replace(readings, mine=readings.mine & ~taken),
        front=sought.front,
    )


def _judged(group: Group, look: Look) -> Judgement:
    return judged(group.targets, group.readings, look.seen, look.hidden, look.steps)


def _concluded(
    view: TrackingView, group: Group, poses: Poses, judging: tuple[Look, Sequence[Demands]]
) -> list[Tracked]:
    """Judge poses, and say how sure they are."""
    look, demands = judging
    expectation, judgement = group.expectation, _judged(group, look)
    limits = MAX_SIGMAS / np.sqrt(expectation.information) + SLACK
    limits[:, 3:][limits[:, 3:] > MAX_SIGMAS * ANY_RAD] = np.inf
    astray = (np.abs(expectation.offsets(poses)) > limits).any(axis=1)
    decided = findings(judgement, demands)
    decided = [
        Finding.CONTRADICTED if lost else each for lost, each in zip(astray, decided, strict=True)
    ]
    confirmed = np.array([each == Finding.CONFIRMED for each in decided])
    covariances = _covariances(expectation, poses, look.rows, judgement)
    covariances[~confirmed] = np.linalg.inv(np.eye(6) * expectation.information[~confirmed, None])
    ious = silhouette_ious(view, group.targets, poses)
    return [
        Tracked(
            finding=decided[k],
            depth_from_object=(poses if confirmed[k] else expectation.poses).similarity(k),
            residual_m=float(judgement.residual_m[k]),
            inlier_fraction=float(judgement.support[k]) if judgement.seen[k] else float("nan"),
            silhouette_iou=float(ious[k]) if confirmed[k] else float("nan"),
            covariance=covariances[k],
        )
        for k in range(len(poses))
    ]


def _covariances(
    expectation: Expectation, poses: Poses, rows: Rows, judgement: Judgement
) -> Floats:
    """Return the inverse of what is known, never more than what was expected."""
    information = evidence(rows, expectation.pivots(poses)).information
    noise = np.square(np.fmax(judgement.chi, 1.0))
    known = information / noise[:, None, None] + np.eye(6) * expectation.information[:, None]
    return np.linalg.inv(known)
