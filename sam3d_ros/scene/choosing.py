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

"""The best of several reconstructions of one object, by how well they agree with all views.

A generative backend makes another object with every seed, and no single backend is the best for
every object; what the camera measured tells which of them to keep.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.config import RefineConfig
from sam3d_ros.errors import CancelledError, Sam3dError
from sam3d_ros.geometry.registration.agreement import agreement
from sam3d_ros.geometry.registration.model import RegistrationModel, prepared
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.terms import rendered
from sam3d_ros.geometry.registration.view import RegistrationView, Seen, prepared_view
from sam3d_ros.protocols import (
    Cancelled,
    CandidateBackend,
    ObjectBackend,
    ObjectOutcome,
    SeededBackend,
    never,
    portion_of,
)
from sam3d_ros.scene.around import Around
from sam3d_ros.scene.refining import refined, refining
from sam3d_ros.structures import Choice, Floats, ObjectReconstruction, Observation, Similarity

# By less than this, agreement does not tell candidates apart: what they differ in is out of sight.
# What their makers know of that side counts from the start (``Provenance.prior``); where that does
# not tell them apart either, the order does in which they are preferred.
CLEAR = 0.03


def agreeing(backend: ObjectBackend, config: RefineConfig) -> ObjectBackend:
    """Return a backend whose results are fitted, if that is wanted, and chosen, if there is any."""
    if isinstance(backend, CandidateBackend):
        return BestOf(backend, config)
    return refining(backend, config)


class BestOf(Around[CandidateBackend]):
    """An ``ObjectBackend`` that keeps the best of what another one has to choose from."""

    def __init__(self, backend: CandidateBackend, config: RefineConfig) -> None:
        super().__init__(backend)
        self._config = config

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Reconstruct, fit and choose; see ``ObjectBackend``."""
        candidates = self._backend.candidates(observations, cancelled)
        outcomes = []
        for number, (observation, several) in enumerate(zip(observations, candidates, strict=True)):
            if cancelled():
                raise CancelledError(f"chose {number} of {len(observations)} objects")
            outcomes.append(chosen(several, observation, self._config))
        return outcomes


class SeedCandidates(Around[SeededBackend]):
    """A ``CandidateBackend`` that tries several seeds of a backend."""

    def __init__(self, backend: SeededBackend, seeds: Sequence[int]) -> None:
        super().__init__(backend)
        self._seeds = tuple(seeds)

    def candidates(
        self, observations: Sequence[Observation], cancelled: Cancelled
    ) -> list[list[ObjectOutcome]]:
        """Reconstruct the objects with every seed; see ``CandidateBackend``."""
        return self._backend.reconstruct_seeds(observations, self._seeds, cancelled)

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Reconstruct the objects with the first seed; see ``ObjectBackend``."""
        each = self._backend.reconstruct_seeds(observations, self._seeds[:1], cancelled)
        return [outcome for (outcome,) in each]


class BackendCandidates:
    """A ``CandidateBackend`` that asks several backends, the preferred one first."""

    def __init__(self, backends: Sequence[ObjectBackend]) -> None:
        self._backends = tuple(backends)

    @property
    def name(self) -> str:
        """Names of all of them."""
        return "+".join(backend.name for backend in self._backends)

    @property
    def wants_warmup(self) -> bool:
        """Whether all of them want it: one alone may take minutes."""
        return all(backend.wants_warmup for backend in self._backends)

    @property
    def portion(self) -> int:
        """How many objects suit all of them at once; 0 where one wants all of a frame."""
        portions = [portion_of(backend) for backend in self._backends]
        return max(portions) if all(portions) else 0

    def candidates(
        self, observations: Sequence[Observation], cancelled: Cancelled
    ) -> list[list[ObjectOutcome]]:
        """Reconstruct the objects with every backend; see ``CandidateBackend``.

        Those that have candidates of their own add all of these.
        """
        all_candidates: list[list[ObjectOutcome]] = [[] for _ in observations]
        for backend in self._backends:
            for several, more in zip(
                all_candidates, _candidates_of(backend, observations, cancelled), strict=True
            ):
                several.extend(more)
        return all_candidates

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Reconstruct the objects with the preferred backend; see ``ObjectBackend``."""
        return self._backends[0].reconstruct(observations, cancelled)


def _candidates_of(
    backend: ObjectBackend, observations: Sequence[Observation], cancelled: Cancelled
) -> list[list[ObjectOutcome]]:
    """Ask one of several backends; if all of it fails, the others go on."""
    try:
        if isinstance(backend, CandidateBackend):
            return backend.candidates(observations, cancelled)
        return [[outcome] for outcome in backend.reconstruct(observations, cancelled)]
    except CancelledError:
        raise
    except Sam3dError as error:
        return [[error] for _ in observations]


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """One view in which candidates are compared."""

    view: RegistrationView
    camera_from_now: Similarity  # of where the object stood then, from where it stands now


def chosen(
    candidates: Sequence[ObjectOutcome], observation: Observation, config: RefineConfig
) -> ObjectOutcome:
    """Return the first of the candidates that agree with all views as well as the best one does.

    Agreement counts with what the maker of a candidate knows of the side that no view shows.

    Candidates are fitted first, if that is wanted. Failed ones, and those that cannot be rendered,
    are passed over; where all are, the first error is the outcome.
    """
    started = time.perf_counter()
    views = _views(observation)
    scored: list[tuple[float, ObjectReconstruction]] = []
    errors: list[Sam3dError] = []
    for candidate in candidates:
        if isinstance(candidate, Sam3dError):
            errors.append(candidate)
            continue
        try:
            scored.append(_scored(candidate, observation, views, config))
        except Sam3dError as error:
            errors.append(error)
    if not scored:
        return errors[0]
    return _best(scored, time.perf_counter() - started)


def likelihood(reconstruction: ObjectReconstruction, observation: Observation) -> float:
    """Return how well a reconstruction agrees with the view and all earlier ones, 0 to 1.

    The mean: each view has seen another side, and none is to be neglected.
    """
    return float(agreements(reconstruction, observation).mean())


def agreements(reconstruction: ObjectReconstruction, observation: Observation) -> Floats:
    """Return how well a reconstruction agrees with the view, then each earlier one, 0 to 1."""
    return _agreements(reconstruction, _views(observation))


def _scored(
    candidate: ObjectReconstruction,
    observation: Observation,
    views: Sequence[_View],
    config: RefineConfig,
) -> tuple[float, ObjectReconstruction]:
    if config.enabled:
        candidate = refined(candidate, observation, config)
    return float(_agreements(candidate, views).mean()), candidate


def _best(scored: Sequence[tuple[float, ObjectReconstruction]], seconds: float) -> ObjectOutcome:
    """Return the best with the margin, and the time that all candidates took."""
    scores = np.array([score for score, _ in scored])
    trusted = scores + np.array([each.provenance.prior for _, each in scored])
    index = int(np.flatnonzero(trusted >= trusted.max() - CLEAR)[0])
    best = scored[index][1]
    others = np.delete(scores, index)
    choice = Choice(
        num_candidates=len(scored),
        score=float(scores[index]),
        margin=float(scores[index] - others.max()) if others.size else float("nan"),
    )
    # Fitting is a part of choosing here, of which ``refine`` keeps the winner's share.
    choosing_s = seconds - best.stage_s.get("refine", 0.0)
    return replace(
        best,
        provenance=replace(best.provenance, choice=choice),
        stage_s={**best.stage_s, "choose": choosing_s},
    )


def _views(observation: Observation) -> list[_View]:
    now = _View(prepared_view(Seen.of(observation)), Similarity.identity())
    earlier = [
        _View(prepared_view(Seen.of(each.observation)), each.camera_from_earlier.inverse())
        for each in observation.earlier
    ]
    return [now, *earlier]


def _agreements(reconstruction: ObjectReconstruction, views: Sequence[_View]) -> Floats:
    model = prepared(reconstruction.mesh_object)
    pose = reconstruction.camera_from_object
    return np.array([_agreement(model, pose, each) for each in views])


def _agreement(model: RegistrationModel, camera_from_object: Similarity, each: _View) -> float:
    poses = Poses.of([each.camera_from_now @ camera_from_object])
    seen = rendered(model, poses, each.view.pixels.rays)
    return float(agreement(each.view, seen, model.radius * poses.scale).score[0])
