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

"""The best of several reconstructions: which is kept, what is said of it, what does not stop it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scenes import camera_from_world, drill, placed, scene

from sam3d_ros.config import RefineConfig, SceneConfig
from sam3d_ros.errors import CancelledError, ReconstructionError, Sam3dError
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.protocols import Cancelled, ObjectOutcome, OneByOne, never
from sam3d_ros.scene.choosing import (
    CLEAR,
    BackendCandidates,
    BestOf,
    SeedCandidates,
    agreeing,
    chosen,
    likelihood,
)
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.refining import RefiningBackend
from sam3d_ros.structures import (
    EarlierView,
    Mesh,
    ObjectReconstruction,
    Observation,
    Provenance,
    Quality,
    RefinementStatus,
    Similarity,
)

OFF, ON = RefineConfig(enabled=False), RefineConfig(enabled=True)
RIGHT = Similarity.identity()
SMALL = Similarity(np.eye(3), np.zeros(3), 0.8)
TURNED = Similarity(rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), 0.5), np.zeros(3))
NEAR = Similarity(np.eye(3), np.array([0.0, 0.0, 0.006]))  # refinement puts this right


class Knows:
    """A backend that knows the mesh, and its pose up to an error; one error per seed."""

    name = "knows"
    wants_warmup = True

    def __init__(self, mesh_camera: Mesh, errors: Sequence[Similarity | Sam3dError]) -> None:
        self._middle = Similarity(np.eye(3), mesh_camera.vertices.mean(axis=0).astype(np.float64))
        self._mesh = mesh_camera.transformed(self._middle.inverse())
        self._errors = errors
        self.num_calls = 0
        self.priors: dict[int, float] = {}  # by seed

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        return [outcome for (outcome,) in self.reconstruct_seeds(observations, [0], cancelled)]

    def reconstruct_seeds(
        self, observations: Sequence[Observation], seeds: Sequence[int], cancelled: Cancelled
    ) -> list[list[ObjectOutcome]]:
        self.num_calls += 1
        return [[self._outcome(seed) for seed in seeds] for _ in observations]

    def _outcome(self, seed: int) -> ObjectOutcome:
        error, prior = self._errors[seed], self.priors.get(seed, 0.0)
        if isinstance(error, Sam3dError):
            return error
        return ObjectReconstruction(
            mesh_object=self._mesh,
            camera_from_object=self._middle @ error,
            quality=Quality(),
            provenance=Provenance(backend=self.name, seed=seed, prior=prior),
        )


class Broken:
    """A backend of which nothing works."""

    name = "broken"
    wants_warmup = False

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        raise ReconstructionError("nothing works")


@pytest.fixture(scope="module")
def views() -> tuple[tuple[Observation, Mesh], tuple[Observation, Mesh]]:
    """Return two views of one object, from the left and from the right, with the truth."""
    seen = []
    for azimuth in (0.0, 1.6):
        view = camera_from_world(0.7, 0.6, azimuth)
        rendered = scene([placed(drill(), 0.6, (0, 0, 0))], view, noise=1.0)
        (observation,) = observe(rendered.frame, SceneConfig()).observations
        seen.append((observation, rendered.truth_camera[0]))
    return seen[0], seen[1]


@pytest.fixture
def observation(views: tuple[tuple[Observation, Mesh], ...]) -> Observation:
    return views[0][0]


@pytest.fixture
def truth_camera(views: tuple[tuple[Observation, Mesh], ...]) -> Mesh:
    return views[0][1]


def best_of(backend: Knows, seeds: Sequence[int], config: RefineConfig = OFF) -> BestOf:
    return BestOf(SeedCandidates(backend, seeds), config)


def success(outcome: ObjectOutcome) -> ObjectReconstruction:
    assert isinstance(outcome, ObjectReconstruction)
    return outcome


def test_the_right_one_is_kept_whichever_seed_made_it(
    observation: Observation, truth_camera: Mesh
) -> None:
    backend = Knows(truth_camera, [SMALL, RIGHT, TURNED])
    for seeds in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        (outcome,) = best_of(backend, seeds).reconstruct([observation])
        assert success(outcome).provenance.seed == 1


def test_what_is_known_of_the_unseen_side_makes_up_for_some_disagreement(
    observation: Observation, truth_camera: Mesh
) -> None:
    backend = Knows(truth_camera, [SMALL, RIGHT])
    (outcome,) = best_of(backend, [0, 1]).reconstruct([observation])
    lead = success(outcome).provenance.choice.margin
    assert lead > 2 * CLEAR
    for prior, kept in ((lead + 2 * CLEAR, 0), (lead - 2 * CLEAR, 1)):
        backend.priors = {0: prior}
        (outcome,) = best_of(backend, [1, 0]).reconstruct([observation])
        assert success(outcome).provenance.seed == kept
    assert success(outcome).provenance.choice.margin == pytest.approx(lead)


def test_all_seeds_of_all_objects_are_made_in_one_call(
    observation: Observation, truth_camera: Mesh
) -> None:
    backend = Knows(truth_camera, [SMALL, RIGHT, TURNED])
    outcomes = best_of(backend, [0, 1, 2]).reconstruct([observation] * 3)
    assert len(outcomes) == 3
    assert backend.num_calls == 1


def test_score_and_margin_say_how_clear_the_choice_was(
    observation: Observation, truth_camera: Mesh
) -> None:
    backend = Knows(truth_camera, [SMALL, RIGHT, TURNED])
    (outcome,) = best_of(backend, [0, 1, 2]).reconstruct([observation])
    scores = [
        likelihood(success(each), observation)
        for each in backend.reconstruct_seeds([observation], [0, 1, 2], never)[0]
    ]
    choice = success(outcome).provenance.choice
    assert choice.num_candidates == 3
    assert choice.score == scores[1] > 0.9
    assert choice.margin == scores[1] - max(scores[0], scores[2]) > 0.05
    assert success(outcome).stage_s["choose"] > 0


def test_of_equal_ones_the_first_is_kept(observation: Observation, truth_camera: Mesh) -> None:
    backend = Knows(truth_camera, [RIGHT, RIGHT, RIGHT])
    (outcome,) = best_of(backend, [2, 0, 1]).reconstruct([observation])
    assert success(outcome).provenance.seed == 2
    assert success(outcome).provenance.choice.margin == 0.0


def test_where_agreement_hardly_differs_the_preferred_one_is_kept(
    observation: Observation, truth_camera: Mesh
) -> None:
    hardly = Similarity(np.eye(3), np.array([0.0, 0.0, 0.0002]))
    backend = Knows(truth_camera, [hardly, RIGHT, SMALL])
    outcomes = backend.reconstruct_seeds([observation], [0, 1], never)[0]
    scores = [likelihood(success(each), observation) for each in outcomes]
    assert scores[1] - CLEAR < scores[0] != scores[1]
    for seeds in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        (outcome,) = best_of(backend, seeds).reconstruct([observation])
        kept = success(outcome).provenance.seed
        assert kept == next(seed for seed in seeds if seed != 2)
        assert success(outcome).provenance.choice.margin == scores[kept] - scores[1 - kept]


def test_one_that_fails_stops_none_of_the_others(
    observation: Observation, truth_camera: Mesh
) -> None:
    backend = Knows(truth_camera, [ReconstructionError("none"), SMALL, RIGHT])
    (outcome,) = best_of(backend, [0, 1, 2]).reconstruct([observation])
    assert success(outcome).provenance.seed == 2
    assert success(outcome).provenance.choice.num_candidates == 2


def test_one_without_a_surface_is_passed_over(observation: Observation, truth_camera: Mesh) -> None:
    (right,) = Knows(truth_camera, [RIGHT]).reconstruct([observation])
    flat = replace(
        success(right),
        mesh_object=replace(
            success(right).mesh_object,
            vertices=np.zeros_like(success(right).mesh_object.vertices),
        ),
    )
    for config in (OFF, ON):
        outcome = chosen([flat, right], observation, config)
        assert success(outcome).provenance.choice.num_candidates == 1
        assert np.isnan(success(outcome).provenance.choice.margin)


def test_where_all_fail_the_first_says_why(observation: Observation, truth_camera: Mesh) -> None:
    errors = [ReconstructionError("first"), ReconstructionError("second")]
    (outcome,) = best_of(Knows(truth_camera, errors), [0, 1]).reconstruct([observation])
    assert outcome is errors[0]


def test_candidates_are_fitted_before_they_are_compared(
    observation: Observation, truth_camera: Mesh
) -> None:
    backend = Knows(truth_camera, [SMALL, NEAR])
    before = best_of(backend, [0, 1]).reconstruct([observation])[0]
    after = best_of(backend, [0, 1], ON).reconstruct([observation])[0]
    assert success(after).refinement.status is RefinementStatus.ACCEPTED
    assert success(after).provenance.choice.score > success(before).provenance.choice.score
    assert success(after).stage_s["refine"] > 0


def test_an_earlier_view_decides_what_this_one_cannot_see(
    views: tuple[tuple[Observation, Mesh], tuple[Observation, Mesh]],
) -> None:
    (observation, truth_camera), (other, other_camera) = views
    camera_from_other = (
        camera_from_world(0.7, 0.6, 0.0) @ camera_from_world(0.7, 0.6, 1.6).inverse()
    )
    np.testing.assert_allclose(
        camera_from_other.apply(other_camera.vertices), truth_camera.vertices, atol=1e-5
    )
    (right,) = Knows(truth_camera, [RIGHT]).reconstruct([observation])
    # The same seen side with nothing behind it.
    cut = truth_camera.vertices.copy()
    behind_m = np.quantile(cut[:, 2], 0.5)
    hides = cut[:, 2] > behind_m
    cut[hides] = cut[hides] * (behind_m / cut[hides, 2])[:, None]
    (half,) = Knows(replace(truth_camera, vertices=cut), [RIGHT]).reconstruct([observation])

    earlier = EarlierView(observation=other.cropped(40), camera_from_earlier=camera_from_other)
    both = replace(observation, earlier=(earlier,))

    alone = likelihood(success(right), observation) - likelihood(success(half), observation)
    together = likelihood(success(right), both) - likelihood(success(half), both)
    assert together > alone + 0.05
    assert likelihood(success(right), both) > 0.9


def test_several_backends_are_compared_and_a_broken_one_is_passed_over(
    observation: Observation, truth_camera: Mesh
) -> None:
    right = Knows(truth_camera, [RIGHT])
    seeds = SeedCandidates(Knows(truth_camera, [SMALL, TURNED]), [0, 1])
    several = BackendCandidates([Broken(), seeds, right])
    (outcome,) = BestOf(several, OFF).reconstruct([observation])
    assert success(outcome).provenance.choice.num_candidates == 3
    assert success(outcome).provenance.choice.score > 0.9
    assert several.name == "broken+knows+knows"
    assert not several.wants_warmup


def test_without_a_choice_the_preferred_one_is_made(
    observation: Observation, truth_camera: Mesh
) -> None:
    backend = Knows(truth_camera, [SMALL, RIGHT])
    for candidates in (
        SeedCandidates(backend, [1, 0]),
        BackendCandidates([SeedCandidates(backend, [1, 0]), Broken()]),
    ):
        (outcome,) = candidates.reconstruct([observation])
        assert success(outcome).provenance.seed == 1


def test_a_cancelled_choice_stops(observation: Observation, truth_camera: Mesh) -> None:
    backend = Knows(truth_camera, [SMALL, RIGHT])
    with pytest.raises(CancelledError, match="chose 0 of 1 objects"):
        best_of(backend, [0, 1]).reconstruct([observation], lambda: True)

    class Stops(Broken):
        def reconstruct(
            self, observations: Sequence[Observation], cancelled: Cancelled = never
        ) -> list[ObjectOutcome]:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError, match="stopped"):
        BestOf(BackendCandidates([Stops(), backend]), OFF).reconstruct([observation])


def test_only_what_has_several_is_chosen_from(truth_camera: Mesh) -> None:
    backend = Knows(truth_camera, [RIGHT])
    assert agreeing(backend, OFF) is backend
    assert isinstance(agreeing(backend, ON), RefiningBackend)
    assert isinstance(agreeing(OneByOne(Broken()), ON), RefiningBackend)  # type: ignore[arg-type]
    assert isinstance(agreeing(SeedCandidates(backend, [0]), OFF), BestOf)
