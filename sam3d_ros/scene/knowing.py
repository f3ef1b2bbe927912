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


"""What masks show of known objects: a pose, a side that was not seen before, or something else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np
from scipy.spatial import cKDTree

from sam3d_ros.config import SceneConfig
from sam3d_ros.geometry.registration.expecting import Expectation
from sam3d_ros.geometry.registration.model import prepared
from sam3d_ros.geometry.registration.register import Registration, RegistrationConfig, register
from sam3d_ros.geometry.registration.starts import StartsConfig
from sam3d_ros.geometry.registration.view import Seen, prepared_view
from sam3d_ros.scene.association import mask_iou
from sam3d_ros.scene.claiming import claimed, reach_m
from sam3d_ros.scene.motion import LOST_M, LOST_RAD, SIGMA_M, SIGMA_RAD
from sam3d_ros.scene.outlines import (
    Grid,
    Outline,
    Shape,
    outlines,
    seen_samples,
    unexplained_share,
)
from sam3d_ros.scene.reconstructor import KnownObject, RememberedView
from sam3d_ros.scene.views import earlier_views, is_repeated, remembered
from sam3d_ros.structures import Bools, Frame, Mesh, Observation, RefinementStatus, ScaleSource

# Meshes are made of few views and closed by guesses; what was seen of them must fit.
MIN_SCORE, MIN_INLIERS = 0.4, 0.5
# Of what is not where it was expected: another object may be where it is looked for.
MOVED_SCORE, MOVED_IOU, MOVED_INLIERS = 0.65, 0.8, 0.7
# Agreement of what stands where it is expected, from which it is looked for nowhere else.
CLEAR = 0.75
SHIFT_M = 0.04  # that an object may be off where it stands as expected
MIN_TILT_RAD, MAX_TILT_RAD = 0.12, 0.38  # by which starts are tilted
NUM_MOVED = 3  # of the starts, where the pose is almost known
NUM_YAWS = 24  # about the up axis, where the turn is not known
MIN_COVER = 0.65  # of what should be seen of an object, by a mask of it that its mesh does not fit
OUTLINED_IOU = 0.75  # of mask and outline, from which only the mesh can be what is wrong
MIN_POOR_COVER = 0.25  # the same, where the view may not tell what stands there
MIN_DENSITY = 0.5  # of readings, of that of the densest view: less is gaps, edges, things behind
WELL_KNOWN = 0.5  # agreement with a view, below which a mesh that may be improved is
WELL_OUTLINED = 0.75  # overlap of outline and mask, the same
# Share of the readings beside the mesh from which it lacks something: a handle in profile is 3 %,
# and what tells how a mug is turned; of rendered objects whose mesh lacks nothing it is 0.
MIN_UNEXPLAINED = 0.025


class Verdict(Enum):
    """What is done with a mask."""

    MAKE = auto()  # a mesh: nothing known is here, or it looks otherwise now
    KEEP = auto()  # the known mesh
    IMPROVE = auto()  # the known mesh: this view shows more of it
    REJECT = auto()  # the mask: the known object stands here, and looks otherwise
    MISS = auto()  # the mask: the mesh is not to be changed, and is not here


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding:
    """What one mask shows."""

    verdict: Verdict
    observation: Observation  # with earlier views, where the mesh is improved
    known: KnownObject | None = None
    registration: Registration | None = None  # of the known mesh to this view
    view: RememberedView | None = None  # worth keeping; of the known mesh

    @property
    def instance_id(self) -> int:
        """Which mask that is."""
        return self.observation.instance.instance_id

    @property
    def is_misfit(self) -> bool:
        """Whether the known mesh, which earlier views may improve, does not fit this one at all."""
        if self.registration is None or not self.observation.earlier:
            return False
        return self.registration.status is not RefinementStatus.ACCEPTED

    @property
    def wants_mesh(self) -> bool:
        """Whether a backend is asked."""
        return self.verdict in (Verdict.MAKE, Verdict.IMPROVE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """What a frame shows of what is known."""

    findings: list[Finding]  # one of each mask
    standing: list[int]  # track ids of objects that are where they were expected


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    """A known object that a mask may show."""

    known: KnownObject
    shape: Shape
    outline: Outline
    mask: Bools  # in the pixels of the outline

    @property
    def cover(self) -> float:
        """Share of what should be seen of it for certain, that the mask covers."""
        return self.outline.covered_by(self.mask)

    @property
    def is_here(self) -> bool:
        """Whether it is where it is expected, as far as anybody can tell."""
        is_outlined = mask_iou(self.mask, self.outline.shown) >= OUTLINED_IOU
        may_be = self.known.sigma_m < LOST_M and (is_outlined or not self.outline.is_gone)
        return self.outline.stands or may_be

    @property
    def is_guess_wrong(self) -> bool:
        """Whether it is there, though its mesh does not fit: then for what was never seen of it.

        Nothing that was seen before is missing, and most of that is the mask's.
        """
        return self.is_here and self.cover >= MIN_COVER and not self.known.is_locked


class KnownMeshes:
    """Compares views with known meshes; keeps nothing but what it made of these."""

    def __init__(self, config: SceneConfig) -> None:
        self._config = config
        self._prepared: dict[tuple[int, int], Shape] = {}  # by track id and revision

    def retune(self, config: SceneConfig) -> None:
        """Compare by other settings from now on."""
        self._config = config

    def compare(
        self, frame: Frame, observations: Sequence[Observation], known: Sequence[KnownObject]
    ) -> Comparison:
        """Return what each mask of a frame shows, and which known objects stand in it."""
        if not known or not observations:
            made = [Finding(verdict=Verdict.MAKE, observation=each) for each in observations]
            return Comparison(findings=made, standing=[])
        shapes = self._prepare(known)
        grid = Grid.of(observations[0])
        expected = outlines(shapes, [each.camera_from_object for each in known], grid)
        pairs = claimed(observations, known, expected, grid, self._config.registry)
        findings = []
        for index, observation in enumerate(observations):
            finding = Finding(verdict=Verdict.MAKE, observation=observation)
            if index in pairs:
                place = pairs[index]
                candidate = _Candidate(
                    known=known[place],
                    shape=shapes[place],
                    outline=expected[place],
                    mask=grid.thinned(observation.silhouette),
                )
                finding = self._compared(frame, observation, candidate)
            findings.append(finding)
        standing = [one.track_id for one, each in zip(known, expected, strict=True) if each.stands]
        return Comparison(findings=findings, standing=standing)

    def _prepare(self, known: Sequence[KnownObject]) -> list[Shape]:
        """Prepare meshes that are new, forget those that are known no more."""
        kept: dict[tuple[int, int], Shape] = {}
        for each in known:
            key = each.track_id, each.revision
            kept[key] = self._prepared.get(key) or _prepared(each.mesh_object)
        self._prepared = kept
        return list(kept.values())

    def _compared(self, frame: Frame, observation: Observation, candidate: _Candidate) -> Finding:
        known = candidate.known
        registration = self._registered(observation, candidate)
        if registration.status is RefinementStatus.ACCEPTED:
            return self._measured(frame, observation, candidate, registration)
        is_poor = _is_poor(observation, known)
        if registration.status is RefinementStatus.OCCLUDED:
            verdict = Verdict.KEEP
        elif candidate.is_guess_wrong and not is_poor:
            return _improving(frame, observation, known, registration)
        elif candidate.is_here or (is_poor and candidate.cover >= MIN_POOR_COVER):
            verdict = Verdict.REJECT
        elif known.is_locked:
            verdict = Verdict.MISS
        else:
            return Finding(verdict=Verdict.MAKE, observation=observation)
        return Finding(
            verdict=verdict, observation=observation, known=known, registration=registration
        )

    def _registered(self, observation: Observation, candidate: _Candidate) -> Registration:
        """Fit a mesh to a mask; the size of a known object does not change."""
        known, model = candidate.known, candidate.shape.model
        least_iou = self._config.tracking.reconstruct_if_iou_below
        if candidate.outline.stands:
            config = _standing(known, least_iou)
        else:
            reach = reach_m(known, self._config.registry)
            config = _moved(known, max(MOVED_IOU, least_iou), reach)
        view = prepared_view(Seen.of(observation))
        return register(model, view, known.camera_from_object, config)

    def _measured(
        self,
        frame: Frame,
        observation: Observation,
        candidate: _Candidate,
        registration: Registration,
    ) -> Finding:
        """Tell whether a view of an object, whose pose is measured, adds to its mesh."""
        known = candidate.known
        view = remembered(observation, registration.camera_from_object, frame.fixed_from_camera)
        is_poor = _is_poor(observation, known)
        may_change = not known.is_locked and not is_poor
        if may_change and self._adds(candidate.shape, known, view, registration):
            # Kept even if the mesh is not, so that it is not tried again.
            return _improving(frame, observation, known, registration, replace(view, is_used=True))
        is_worth_keeping = not is_poor and not is_repeated(known.views, view)
        return Finding(
            verdict=Verdict.KEEP,
            observation=observation,
            known=known,
            registration=registration,
            view=view if is_worth_keeping else None,
        )

    def _adds(
        self, mesh: Shape, known: KnownObject, view: RememberedView, registration: Registration
    ) -> bool:
        """Tell whether a view shows what neither the mesh nor a view that it has used shows."""
        views = [each for each in known.views if each.is_used]
        if is_repeated(views, view):
            return False
        if registration.refinement.score_after < WELL_KNOWN:
            return True
        if registration.silhouette_iou < WELL_OUTLINED:  # where depth fits, but the guess is wrong
            return True
        seen_before = mesh.observed.copy()
        for earlier in views:
            pose = earlier.camera_from_object
            seen_before |= seen_samples(mesh.model, earlier.observation, pose)
        seen = seen_samples(mesh.model, view.observation, view.camera_from_object)
        new_surface = float((seen & ~seen_before).mean())
        if new_surface >= self._config.tracking.min_new_surface:
            return True
        beside = unexplained_share(mesh.model, view.observation, view.camera_from_object)
        return beside >= MIN_UNEXPLAINED


def _standing(known: KnownObject, min_iou: float) -> RegistrationConfig:
    """Return how to fit what stands where it is expected: that it does bounds how far off it is.

    But for the turn, where that is as unsure as of what was lost: round things stand as well.
    """
    is_turned = known.sigma_rad >= LOST_RAD
    # None is left out before it was moved: at first those that are tilted from the guess agree
    # better, and these are not tried at all here.
    turns = StartsConfig(tilt_rad=0.0, yaws=NUM_YAWS, num_moved=NUM_YAWS + 1)
    return RegistrationConfig(
        starts=turns if is_turned else _near(known),
        wider=None,
        with_scale=False,
        min_score=MIN_SCORE,
        min_iou=min_iou,
        min_inliers=MIN_INLIERS,
        max_shift_m=SHIFT_M,
        clear_score=float("inf") if is_turned else CLEAR,
        expectation=Expectation(
            sigma_m=min(known.sigma_m, SIGMA_M),
            sigma_rad=known.sigma_rad if is_turned else min(known.sigma_rad, SIGMA_RAD),
        ),
    )


def _moved(known: KnownObject, min_iou: float, reach: float) -> RegistrationConfig:
    """Return how to fit what may be anywhere within reach."""
    return RegistrationConfig(
        starts=_near(known),
        wider=StartsConfig(rings=2, num_moved=13),
        with_scale=False,
        min_score=MOVED_SCORE,
        min_iou=min_iou,
        min_inliers=MOVED_INLIERS,
        max_shift_m=reach,
    )


def _near(known: KnownObject) -> StartsConfig:
    """Return starts about a pose that is almost known."""
    tilt_rad = float(np.clip(2.0 * known.sigma_rad, MIN_TILT_RAD, MAX_TILT_RAD))
    return StartsConfig(tilt_rad=tilt_rad, num_moved=NUM_MOVED)


def _improving(
    frame: Frame,
    observation: Observation,
    known: KnownObject,
    registration: Registration,
    view: RememberedView | None = None,
) -> Finding:
    """Have the mesh made of this view and all earlier ones.

    Args:
        frame: In which the mask is.
        observation: Of the mask.
        known: Which it shows.
        registration: Of the known mesh.
        view: What is kept of it; none where the object is only expected to be there.
    """
    pose = registration.camera_from_object
    return Finding(
        verdict=Verdict.IMPROVE,
        observation=replace(
            observation, earlier=earlier_views(known.views, pose, frame.fixed_from_camera)
        ),
        known=known,
        registration=registration,
        view=view,
    )


def _is_poor(observation: Observation, known: KnownObject) -> bool:
    """Tell whether a view has no say in a mesh: others have many more readings, or measured."""
    seen = [view.observation for view in known.views]
    is_measured = any(each.scale_source is not ScaleSource.MONOCULAR for each in seen)
    if observation.scale_source is ScaleSource.MONOCULAR and is_measured:
        return True
    densest = max((_density(each) for each in seen), default=0.0)
    return _density(observation) < MIN_DENSITY * densest


def _density(observation: Observation) -> float:
    """Return the share of a silhouette that has readings of the object."""
    return len(observation.object_points_camera) / max(1, int(observation.silhouette.sum()))


def _prepared(mesh_object: Mesh) -> Shape:
    model = prepared(mesh_object)
    _, nearest = cKDTree(mesh_object.vertices).query(model.samples)
    return Shape(model=model, observed=mesh_object.observed[nearest] >= 0.5)
