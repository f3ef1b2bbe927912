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
from sam3d_ros.geometry.registration.model import RegistrationModel, prepared
from sam3d_ros.geometry.registration.register import Registration, RegistrationConfig, register
from sam3d_ros.geometry.registration.starts import StartsConfig
from sam3d_ros.geometry.registration.view import Seen, prepared_view
from sam3d_ros.scene.association import outlined, reach_m
from sam3d_ros.scene.outlines import Grid, outlines, seen_samples, unexplained_share
from sam3d_ros.scene.reconstructor import KnownObject, RememberedView
from sam3d_ros.scene.views import earlier_views, is_repeated, remembered
from sam3d_ros.structures import Bools, Frame, Mesh, Observation, RefinementStatus

# Meshes are made of few views and closed by guesses; what was seen of them must fit.
MIN_SCORE, MIN_INLIERS = 0.4, 0.5
# Of what is not where it was expected: another object may be where it is looked for.
MOVED_SCORE, MOVED_IOU, MOVED_INLIERS = 0.65, 0.8, 0.7
SHIFT_M = 0.04  # that an object may be off where it stands as expected
MIN_TILT_RAD, MAX_TILT_RAD = 0.12, 0.38  # by which starts are tilted
NUM_MOVED = 3  # of the starts, where the pose is almost known
MIN_UNEXPLAINED = 0.25  # share of the readings beside the mesh from which it lacks something


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
    def wants_mesh(self) -> bool:
        """Whether a backend is asked."""
        return self.verdict in (Verdict.MAKE, Verdict.IMPROVE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """What a frame shows of what is known."""

    findings: list[Finding]  # one of each mask
    standing: list[int]  # track ids of objects that are where they were expected


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A known mesh, and which samples of it were seen when it was made."""

    model: RegistrationModel
    observed: Bools  # (M,)


class KnownMeshes:
    """Compares views with known meshes; keeps nothing but what it made of these."""

    def __init__(self, config: SceneConfig) -> None:
        self._config = config
        self._prepared: dict[tuple[int, int], _Prepared] = {}  # by track id and revision

    def compare(
        self, frame: Frame, observations: Sequence[Observation], known: Sequence[KnownObject]
    ) -> Comparison:
        """Return what each mask of a frame shows, and which known objects stand in it."""
        if not known or not observations:
            made = [Finding(verdict=Verdict.MAKE, observation=each) for each in observations]
            return Comparison(findings=made, standing=[])
        each_prepared = self._prepare(known)
        grid = Grid.of(observations[0])
        models = [each.model for each in each_prepared]
        expected = outlines(models, [each.camera_from_object for each in known], grid)
        pairs = outlined(observations, known, expected, grid, self._config.registry)
        findings = []
        for index, observation in enumerate(observations):
            finding = Finding(verdict=Verdict.MAKE, observation=observation)
            if index in pairs:
                place = pairs[index]
                one, mesh, stands = known[place], each_prepared[place], expected[place].stands
                finding = self._compared(frame, observation, one, mesh, stands=stands)
            findings.append(finding)
        return Comparison(
            findings=findings,
            standing=[
                one.track_id for one, outline in zip(known, expected, strict=True) if outline.stands
            ],
        )

    def _prepare(self, known: Sequence[KnownObject]) -> list[_Prepared]:
        """Prepare meshes that are new, forget those that are known no more."""
        kept: dict[tuple[int, int], _Prepared] = {}
        for each in known:
            key = each.track_id, each.revision
            kept[key] = self._prepared.get(key) or _prepared(each.mesh_object)
        self._prepared = kept
        return list(kept.values())

    def _compared(
        self,
        frame: Frame,
        observation: Observation,
        known: KnownObject,
        mesh: _Prepared,
        *,
        stands: bool,
    ) -> Finding:
        registration = self._registered(observation, known, mesh.model, stands=stands)
        if registration.status is RefinementStatus.ACCEPTED:
            return self._measured(frame, observation, known, mesh, registration)
        if registration.status is RefinementStatus.OCCLUDED:
            verdict = Verdict.KEEP
        elif stands:
            verdict = Verdict.REJECT
        elif known.is_locked:
            verdict = Verdict.MISS
        else:
            return Finding(verdict=Verdict.MAKE, observation=observation)
        return Finding(
            verdict=verdict, observation=observation, known=known, registration=registration
        )

    def _registered(
        self,
        observation: Observation,
        known: KnownObject,
        model: RegistrationModel,
        *,
        stands: bool,
    ) -> Registration:
        """Fit a mesh to a mask; the size of a known object does not change."""
        tilt_rad = float(np.clip(2.0 * known.sigma_rad, MIN_TILT_RAD, MAX_TILT_RAD))
        least_iou = self._config.tracking.reconstruct_if_iou_below
        near = StartsConfig(tilt_rad=tilt_rad, num_moved=NUM_MOVED)
        config = RegistrationConfig(
            starts=near,
            wider=None if stands else StartsConfig(rings=2, num_moved=13),
            with_scale=False,
            min_score=MIN_SCORE if stands else MOVED_SCORE,
            min_iou=least_iou if stands else max(MOVED_IOU, least_iou),
            min_inliers=MIN_INLIERS if stands else MOVED_INLIERS,
            max_shift_m=SHIFT_M if stands else reach_m(known, self._config.registry),
        )
        view = prepared_view(Seen.of(observation))
        return register(model, view, known.camera_from_object, config)

    def _measured(
        self,
        frame: Frame,
        observation: Observation,
        known: KnownObject,
        mesh: _Prepared,
        registration: Registration,
    ) -> Finding:
        """Tell whether a view of an object, whose pose is measured, adds to its mesh."""
        pose = registration.camera_from_object
        view = remembered(observation, pose, frame.fixed_from_camera)
        is_better = not known.is_locked and self._adds(mesh, known, view)
        if is_better:
            earlier = earlier_views(known.views, pose, frame.fixed_from_camera)
            observation = replace(observation, earlier=earlier)
        is_worth_keeping = is_better or not is_repeated(known.views, view)
        return Finding(
            verdict=Verdict.IMPROVE if is_better else Verdict.KEEP,
            observation=observation,
            known=known,
            registration=registration,
            view=replace(view, is_used=is_better) if is_worth_keeping else None,
        )

    def _adds(self, mesh: _Prepared, known: KnownObject, view: RememberedView) -> bool:
        """Tell whether a view shows what neither the mesh nor a view that it has used shows."""
        views = [each for each in known.views if each.is_used]
        if is_repeated(views, view):
            return False
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


def _prepared(mesh_object: Mesh) -> _Prepared:
    model = prepared(mesh_object)
    _, nearest = cKDTree(mesh_object.vertices).query(model.samples)
    return _Prepared(model, mesh_object.observed[nearest] >= 0.5)
