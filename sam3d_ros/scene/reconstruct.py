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

"""The reconstructor of this process: observe, run the backend on all masks."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import CancelledError
from sam3d_ros.protocols import (
    Cancelled,
    ObjectBackend,
    PointEstimator,
    Step,
    never,
    portion_of,
    tell,
)
from sam3d_ros.scene.choosing import agreeing
from sam3d_ros.scene.estimated import Estimate, View
from sam3d_ros.scene.finishing import add_known, add_made
from sam3d_ros.scene.knowing import Finding, KnownMeshes
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.people.reconstruct import PeopleReconstructor
from sam3d_ros.scene.people.who import people_in
from sam3d_ros.scene.portions import PartOf, Portion, portions
from sam3d_ros.scene.reconstructor import KnownObject, ReconstructedFrame
from sam3d_ros.scene.settling import settle_frame
from sam3d_ros.scene.warmup import ball_on_table
from sam3d_ros.structures import BackendInUse, Frame, Observation

NO_MODEL = "this reconstructor was made without a body model"


class FrameReconstructor:
    """The reconstructor of this process.

    Args:
        config: Of everything between a frame and its objects.
        backend: Makes the meshes.
        estimator: Of points where none were measured.
        why: No better backend does; see ``scene.backends``.
        people: Makes bodies of the masks that are people.
    """

    def __init__(
        self,
        config: SceneConfig,
        backend: ObjectBackend,
        estimator: PointEstimator | None = None,
        why: str = "",
        people: PeopleReconstructor | None = None,
    ) -> None:
        self._config = config
        self._estimator = estimator
        self._in_use = BackendInUse(backend.name, why)
        self._backends = {
            fit: agreeing(backend, replace(config.refine, enabled=enabled))
            for fit, enabled in ((None, config.refine.enabled), (False, False), (True, True))
        }
        self._known = KnownMeshes(config)
        self._people = people or PeopleReconstructor(config, None, NO_MODEL)

    @property
    def is_ready(self) -> bool:
        """Always: what it needs, it was given."""
        return True

    def start(self) -> None:
        """Be ready already."""

    def retune(self, config: SceneConfig) -> None:
        """Take other values of the settings that are dynamic; the backend keeps its own."""
        self._config = config
        self._known.retune(config)

    def warm_up(self) -> None:
        """Reconstruct what nobody waits for, where models are faster after it."""
        if self._backends[None].wants_warmup:
            self.reconstruct(ball_on_table())
        self._people.warm_up()

    def reconstruct(
        self, frame: Frame, cancelled: Cancelled = never, known: Sequence[KnownObject] = ()
    ) -> ReconstructedFrame:
        """Reconstruct or measure every mask that is asked for; one that fails stops no other."""
        tell(cancelled, Step(stage="observe"))
        started = time.perf_counter()
        people = {mask.instance_id for mask in people_in(frame.masks, self._config.body)}
        observed = observe(frame, self._config, self._estimate(cancelled), people)
        result = ReconstructedFrame(
            failures=list(observed.failures), support=observed.support, backend=self._in_use
        )
        result.stage_s["observe"] = time.perf_counter() - started
        result.failures = [each for each in result.failures if frame.wants(each.instance_id)]
        self._see_people(frame, observed.view, cancelled, result)
        tell(cancelled, Step(stage="measure"))
        started = time.perf_counter()
        comparison = self._known.compare(frame, observed.observations, known)
        result.standing = comparison.standing
        findings = [each for each in comparison.findings if frame.wants(each.instance_id)]
        if known:
            result.stage_s["measure"] = time.perf_counter() - started
        self._make([each for each in findings if each.wants_mesh], frame, cancelled, result)
        for finding in findings:
            if not finding.wants_mesh:
                add_known(finding, result)
        settle_frame(result, observed.observations, known, self._config.settle)
        return result

    def _see_people(
        self, frame: Frame, view: View, cancelled: Cancelled, result: ReconstructedFrame
    ) -> None:
        """Add the people of a frame, and hand them on: they do not wait, as objects do."""
        found = self._people.reconstruct(frame, view, cancelled)
        if found.seen is None:
            return
        result.people, result.body_backend = found.seen, self._people.in_use
        result.failures += found.failures
        result.stage_s.update(found.stage_s)
        portion = Portion(stage="people", instances=(), standing=(), people=found.seen)
        tell(cancelled, portion)

    def _make(
        self,
        findings: Sequence[Finding],
        frame: Frame,
        cancelled: Cancelled,
        result: ReconstructedFrame,
    ) -> None:
        """Let the backend make meshes.

        Where nothing better came of all views and the known mesh does not fit, this view alone may
        give one that agrees better with all of them.
        """
        observations = [each.observation for each in findings]
        refused = self._made(findings, observations, frame, cancelled, result)
        again = [finding for finding, _ in refused if finding.is_misfit]
        alone = [replace(each.observation, earlier=()) for each in again]
        refused = [(finding, note) for finding, note in refused if not finding.is_misfit]
        refused += self._made(again, alone, frame, cancelled, result)
        for finding, note in refused:
            add_known(finding, result, note)

    def _made(
        self,
        findings: Sequence[Finding],
        observations: Sequence[Observation],
        frame: Frame,
        cancelled: Cancelled,
        result: ReconstructedFrame,
    ) -> list[tuple[Finding, str]]:
        """Add what the backend makes of observations; return where a known mesh stays, and why."""
        total, refused, backend = len(findings), [], self._backends[frame.fit]
        for part in portions(total, portion_of(backend)):
            asking, before = PartOf(cancelled, part.start, total), len(result.instances)
            outcomes = backend.reconstruct(observations[part], asking)
            pairs = zip(findings[part], outcomes, strict=True)
            for number, (finding, outcome) in enumerate(pairs, start=part.start):
                if cancelled():
                    raise CancelledError(f"finished {number} of {total} objects")
                tell(cancelled, Step(stage="fit", done=number, total=total))
                if note := add_made(finding, outcome, frame, self._config, result):
                    refused.append((finding, note))
            if part.stop < total and not self._config.settle.enabled:  # that would move them again
                tell(cancelled, _portion(result, before, part.stop, total))
        return refused

    def _estimate(self, cancelled: Cancelled) -> Estimate | None:
        if self._estimator is None:
            return None
        return partial(self._estimator.estimate, cancelled=cancelled)

    def close(self) -> None:
        """Hold nothing, release nothing."""


def _portion(result: ReconstructedFrame, before: int, done: int, total: int) -> Portion:
    """Return the instances of a frame after those that were there before."""
    return Portion(
        stage="fit",
        done=done,
        total=total,
        instances=tuple(result.instances[before:]),
        standing=tuple(result.standing),
    )
