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


"""Registration: from a start pose to the pose that agrees best with a view, or to a refusal."""

from dataclasses import dataclass, field, replace

import numpy as np

from sam3d_ros.geometry.registration.agreement import Agreement, agreement
from sam3d_ros.geometry.registration.expecting import Expectation
from sam3d_ros.geometry.registration.model import RegistrationModel
from sam3d_ros.geometry.registration.poses import Poses, joined
from sam3d_ros.geometry.registration.solving import Upright, normal_equations, pivots_m, stepped
from sam3d_ros.geometry.registration.starts import StartsConfig, starts
from sam3d_ros.geometry.registration.stretching import StretchConfig, proportioned
from sam3d_ros.geometry.registration.terms import (
    Outlining,
    Rendered,
    Rows,
    depth_rows,
    joined_rows,
    nearest_rows,
    outline_rows,
    rendered,
    support_rows,
)
from sam3d_ros.geometry.registration.view import RegistrationView
from sam3d_ros.structures import Floats, Refinement, RefinementStatus, Similarity


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationConfig:
    """How far to search, and what to accept."""

    starts: StartsConfig = field(default_factory=StartsConfig)
    # Tried where nothing that those lead to is accepted: most objects do not need the time.
    wider: StartsConfig | None = field(default_factory=lambda: StartsConfig(rings=2, num_moved=13))
    num_fine: int = 2  # hypotheses that are moved to the end
    max_iterations: int = 7  # fine steps
    with_scale: bool = True
    # Standard deviation of the start's tilt, where what is up is known; 0 is of any tilt.
    upright_sigma_rad: float = 0.0
    min_points: int = 30  # measured; fewer say nothing
    min_shown: float = 0.1  # share of the object that nothing else hides
    min_score: float = 0.7
    min_iou: float = 0.8
    min_inliers: float = 0.8
    max_growth: float = 0.3  # of the logarithm of the scale, from the start
    max_shift_m: float = 0.1  # of the centre, from the start
    stretch: StretchConfig | None = None  # for meshes whose shape is a guess
    expectation: Expectation | None = None  # where the start is more than a guess
    # A start that agrees as well as this is moved on, and nothing is searched around it.
    clear_score: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registration:
    """A pose and how much to trust it."""

    camera_from_object: Similarity  # refined where accepted, else the start
    refinement: Refinement
    silhouette_iou: float  # of ``camera_from_object``, as all that follow; NaN is "not measured"
    residual_m: float  # median |rendered - measured| on the visible surface
    inlier_fraction: float
    # (3, 3) what to multiply vertices by before they are posed; all but the identity is of guesses.
    stretch_object: Floats = field(default_factory=lambda: np.eye(3))

    @property
    def status(self) -> RefinementStatus:
        """Whether the pose was refined, and why not."""
        return self.refinement.status


# Of meshes that were made from one side: seen again they reach it, other objects' masks seldom do.
MIN_SCORE_OF_GUESSES = 0.6
PRIOR_SIGMA = np.array([0.05] * 3 + [0.5] * 3 + [0.15])  # of a pose that nothing is known of
# Coarse steps: widths of the kernels of depth (m) and of outlines, which weigh less than they will.
COARSE = (
    (0.03, Outlining(3.0, 40.0)),
    (0.03, Outlining(3.0, 25.0)),
    (0.02, Outlining(3.0, 15.0)),
    (0.015, Outlining(3.0, 8.0)),
)
FINE = (0.004, Outlining(1.0, 3.0))
AT_REST = 5e-4  # gain in merit over two steps, below which a pose is at rest
ROUGH_STRIDE = 4  # of the pixels in which starts are compared


def register(
    model: RegistrationModel,
    view: RegistrationView,
    start: Similarity,
    config: RegistrationConfig | None = None,
) -> Registration:
    """Find the pose near a start that agrees best with a view."""
    config = config or RegistrationConfig()
    given = Poses.of([start])
    if pivots_m(model, given)[0, 2] <= 0:
        return _unmoved(start, RefinementStatus.NOT_RUN, None)
    before = _agreement(model, given, view)
    if view.num_measured < config.min_points:
        return _unmoved(start, RefinementStatus.OCCLUDED, before)
    found, after, accepted = given, before, False
    for around in _searches(before, config):
        found, after = _searched(model, view, start, config, around)
        accepted = _agrees(after, config) and _is_near(model, found, given, config)
        if accepted:
            break
    if after.shown_fraction[0] < config.min_shown:
        return _unmoved(start, RefinementStatus.OCCLUDED, before)
    if not accepted:
        return _unmoved(start, RefinementStatus.REJECTED, before, float(after.score[0]))
    if config.stretch is not None:
        model, found, after = _stretched(model, found, view, after, config.stretch)
    refinement = Refinement(
        status=RefinementStatus.ACCEPTED,
        score_before=float(before.score[0]),
        score_after=float(after.score[0]),
        covariance=_covariance(model, found, view),
    )
    judged = _judged(found.similarity(0), refinement, after)
    return replace(judged, stretch_object=model.stretch)


def _stretched(
    model: RegistrationModel,
    poses: Poses,
    view: RegistrationView,
    fit: Agreement,
    config: StretchConfig,
) -> tuple[RegistrationModel, Poses, Agreement]:
    """Change the proportions, too, if the view agrees better, or its outline at little cost."""
    longer, placed = proportioned(model, poses, view, config)
    after = _agreement(longer, placed, view)
    loss = config.max_loss if after.silhouette_iou[0] > fit.silhouette_iou[0] else 0.0
    if after.score[0] > fit.score[0] - loss:
        return longer, placed, after
    return model, poses, fit


def _searches(before: Agreement, config: RegistrationConfig) -> list[StartsConfig | None]:
    """Return how to search, one after the other; None is to move the start on alone."""
    tries: list[StartsConfig | None] = [config.starts]
    if before.score[0] >= config.clear_score:
        tries.insert(0, None)
    if config.wider is not None:
        tries.append(config.wider)
    return tries


def _searched(
    model: RegistrationModel,
    view: RegistrationView,
    start: Similarity,
    config: RegistrationConfig,
    around: StartsConfig | None,
) -> tuple[Poses, Agreement]:
    """Return the best pose found, and how it agrees; the start itself is a candidate."""
    given = Poses.of([start])
    upright = _upright(given, view, config)
    if around is None:
        return _refined(model, view, given, upright, config)
    poses = starts(model, view, start, around)
    rough = view.thinned(ROUGH_STRIDE)
    scores = _agreement(model, poses, rough).score
    poses = poses[np.argsort(-scores, kind="stable")[: around.num_moved]]
    for kernel_m, outlining in COARSE:
        rows = joined_rows(
            nearest_rows(model, poses, view, kernel_m),
            outline_rows(model, poses, view, outlining),
            support_rows(model, poses, view),
        )
        poses = stepped(model, poses, rows, upright, with_scale=config.with_scale)
    return _refined(model, view, joined(given, poses), upright, config)


def _upright(given: Poses, view: RegistrationView, config: RegistrationConfig) -> Upright | None:
    if view.up_camera is None or not config.upright_sigma_rad > 0:
        return None
    return Upright.of(given, view.up_camera, config.upright_sigma_rad)


def _refined(
    model: RegistrationModel,
    view: RegistrationView,
    poses: Poses,
    upright: Upright | None,
    config: RegistrationConfig,
) -> tuple[Poses, Agreement]:
    """Move the best hypotheses on with what is visible at each step; return the best pose met.

    The first of the hypotheses is the given pose. If it is the only one, it may come to rest.
    """
    given, is_alone = poses[np.array([0])], len(poses) == 1
    seen = rendered(model, poses, view.pixels.rays)
    merits = _merits(model, poses, view, seen, given, config.expectation)
    met, met_merits = [poses], [merits]
    for number in range(config.max_iterations):
        # Halfway it is clear which hypothesis wins.
        num = config.num_fine if 2 * number < config.max_iterations else 1
        chosen = np.argsort(-merits, kind="stable")[:num]
        rows = _fine_rows(model, poses[chosen], view, seen[chosen])
        poses = stepped(model, poses[chosen], rows, upright, with_scale=config.with_scale)
        seen = rendered(model, poses, view.pixels.rays)
        merits = _merits(model, poses, view, seen, given, config.expectation)
        met.append(poses)
        met_merits.append(merits)
        if is_alone and number and merits[0] < met_merits[-3][0] + AT_REST:
            break
    best = np.array([np.concatenate(met_merits).argmax()])
    found = joined(*met)[best]
    return found, _agreement(model, found, view)


def _merits(
    model: RegistrationModel,
    poses: Poses,
    view: RegistrationView,
    seen: Rendered,
    given: Poses,
    expectation: Expectation | None,
) -> Floats:
    """Return what hypotheses are chosen by, ``(K,)``."""
    scores = _compared(model, poses, view, seen).score
    return scores if expectation is None else scores - expectation.gains_due(model, poses, given)


def _fine_rows(
    model: RegistrationModel, poses: Poses, view: RegistrationView, seen: Rendered
) -> Rows:
    return joined_rows(
        depth_rows(view, seen, FINE[0]),
        outline_rows(model, poses, view, FINE[1]),
        support_rows(model, poses, view),
    )


def _agreement(model: RegistrationModel, poses: Poses, view: RegistrationView) -> Agreement:
    return _compared(model, poses, view, rendered(model, poses, view.pixels.rays))


def _compared(
    model: RegistrationModel, poses: Poses, view: RegistrationView, seen: Rendered
) -> Agreement:
    return agreement(view, seen, model.radius * poses.scale)


def _agrees(after: Agreement, config: RegistrationConfig) -> bool:
    """Tell whether a pose explains the view: another object's mask is never explained."""
    return bool(
        after.score[0] >= config.min_score
        and after.silhouette_iou[0] >= config.min_iou
        and after.inlier_fraction[0] >= config.min_inliers
    )


def _is_near(
    model: RegistrationModel, found: Poses, given: Poses, config: RegistrationConfig
) -> bool:
    """Tell whether a pose is as near to the start as a start may be wrong."""
    shift_m = np.linalg.norm(pivots_m(model, found) - pivots_m(model, given), axis=1)
    growth = np.abs(np.log(found.scale / given.scale))
    return bool(shift_m[0] <= config.max_shift_m and growth[0] <= config.max_growth)


def _unmoved(
    start: Similarity,
    status: RefinementStatus,
    before: Agreement | None,
    score_after: float = float("nan"),
) -> Registration:
    """Return the start with what is known of it, and the uncertainty of one not confirmed."""
    refinement = Refinement(
        status=status,
        score_before=float(before.score[0]) if before else float("nan"),
        score_after=score_after,
        covariance=np.diag(np.square(PRIOR_SIGMA)),
    )
    return _judged(start, refinement, before)


def _judged(pose: Similarity, refinement: Refinement, fit: Agreement | None) -> Registration:
    nan = float("nan")
    return Registration(
        camera_from_object=pose,
        refinement=refinement,
        silhouette_iou=float(fit.silhouette_iou[0]) if fit else nan,
        residual_m=fit.residual_m(0) if fit else nan,
        inlier_fraction=float(fit.inlier_fraction[0]) if fit else nan,
    )


def _covariance(model: RegistrationModel, poses: Poses, view: RegistrationView) -> Floats:
    """Return the inverse Hessian, with the prior's where nothing was observed.

    Steps are about the centre of the object, the covariance is that of its frame's origin.
    """
    rows = _fine_rows(model, poses, view, rendered(model, poses, view.pixels.rays))
    pivots = pivots_m(model, poses)
    hessian, _ = normal_equations(rows, pivots)
    free = np.linalg.inv(hessian[0] + np.diag(1.0 / np.square(PRIOR_SIGMA)))
    about_pivot = Refinement(covariance=free)
    return about_pivot.with_origin_moved(poses.translation_m[0] - pivots[0]).covariance
