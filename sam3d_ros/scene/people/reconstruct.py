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

"""The people of a frame: asked of the body model all at once, then put where they were measured."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import MaskEmptyError, Sam3dError, WeightsError
from sam3d_ros.geometry.cameras import Rectification, rectification_of
from sam3d_ros.protocols import BodyBackend, BodyOutcome, Cancelled, Step, never, tell
from sam3d_ros.scene.boxes import filled_box
from sam3d_ros.scene.estimated import View
from sam3d_ros.scene.people.seeing import MAX_TRIANGLES, aligned, contacts, sight_of
from sam3d_ros.scene.people.surfaces import Thinner
from sam3d_ros.scene.people.who import people_in
from sam3d_ros.scene.reconstructor import SeenPeople, SeenPerson
from sam3d_ros.scene.warmup import ball_on_table
from sam3d_ros.structures import (
    NUM_KEYPOINTS,
    BackendInUse,
    BodyReconstruction,
    Bools,
    Frame,
    InstanceMask,
    ObjectFailure,
    PeopleView,
    PersonPrompt,
    window_of,
)

NOTHING = np.zeros(NUM_KEYPOINTS, dtype=bool)
RIM_PX = 3  # around people, where readings may be theirs although their mask says otherwise


@dataclass(slots=True, kw_only=True)
class FoundPeople:
    """What became of the people of one frame."""

    seen: SeenPeople | None = None  # None where nobody is looked for
    failures: list[ObjectFailure] = field(default_factory=list)
    stage_s: dict[str, float] = field(default_factory=dict)


class PeopleReconstructor:
    """Makes bodies of the masks that are people.

    Args:
        config: Of everything between a frame and its people.
        backend: Makes the bodies; None where there is none, and ``why`` says why.
        why: There is no backend, or no better one.
    """

    def __init__(
        self, config: SceneConfig, backend: BodyBackend | None = None, why: str = ""
    ) -> None:
        self._config = config
        self._backend = backend
        self._thinner = Thinner(MAX_TRIANGLES)
        self.in_use = BackendInUse(backend.name if backend else "", why)

    def warm_up(self) -> None:
        """Pose somebody whom nobody waits for, where the model is faster after it."""
        if self._backend is None or not self._backend.wants_warmup:
            return
        frame = ball_on_table()  # the model sees a person in whatever it is shown
        people = tuple(_prompt(mask) for mask in frame.masks)
        self._backend.reconstruct(PeopleView(rgb=frame.rgb, camera=frame.camera, people=people))

    def reconstruct(self, frame: Frame, view: View, cancelled: Cancelled = never) -> FoundPeople:
        """Reconstruct the people of a frame that are asked for; one that fails stops no other.

        Args:
            frame: With the masks.
            view: The same in its rectified camera, with what was measured.
            cancelled: Whether the answer is still wanted.

        Raises:
            CancelledError: When ``cancelled`` answered true.
        """
        if not self._config.body.enabled:
            return FoundPeople()
        wanted = [
            mask
            for mask in people_in(frame.masks, self._config.body)
            if frame.wants(mask.instance_id)
        ]
        found = FoundPeople(seen=SeenPeople())
        if self._backend is None:
            found.failures += [_failure(mask, WeightsError(self.in_use.why)) for mask in wanted]
        elif wanted:
            self._ask(self._backend, frame, wanted, view, cancelled, found)
        return found

    def _ask(
        self,
        backend: BodyBackend,
        frame: Frame,
        wanted: Sequence[InstanceMask],
        view: View,
        cancelled: Cancelled,
        found: FoundPeople,
    ) -> None:
        """Let the backend make bodies of the largest masks, and place them."""
        tell(cancelled, Step(stage="people"))
        started = time.perf_counter()
        rectification = rectification_of(frame.camera)
        people = [
            _rectified(mask, rectification) for mask in people_in(frame.masks, self._config.body)
        ]
        asked = {mask.instance_id for mask in wanted}
        chosen, num_left_out = self._chosen(
            [mask for mask in people if mask.instance_id in asked], found
        )
        outcomes: list[BodyOutcome] = []
        if chosen:
            rgb = rectification.image(frame.rgb)
            prompts = tuple(_prompt(mask) for mask in chosen)
            question = PeopleView(rgb=rgb, camera=view.camera, people=prompts)
            outcomes = backend.reconstruct(question, cancelled)
        found.stage_s["bodies"] = time.perf_counter() - started
        elsewhere = _elsewhere(people, view)
        seen = []
        for mask, outcome in zip(chosen, outcomes, strict=True):
            if isinstance(outcome, Sam3dError):
                found.failures.append(_failure(mask, outcome))
            else:
                seen.append(self._placed(outcome, mask, view, elsewhere))
        found.seen = SeenPeople(people=tuple(seen), num_left_out=num_left_out)
        found.stage_s["people"] = time.perf_counter() - started

    def _chosen(
        self, people: Iterable[InstanceMask], found: FoundPeople
    ) -> tuple[list[InstanceMask], int]:
        """Return the largest masks in their order, and how many are left out."""
        min_pixels, usable = self._config.masks.min_pixels, []
        for mask in people:
            num_pixels = int(mask.mask.sum())
            if num_pixels >= min_pixels:
                usable.append((num_pixels, mask))
                continue
            error = MaskEmptyError(
                f"mask {mask.instance_id} of a person must have at least {min_pixels} pixels, has "
                f"{num_pixels}; check the mask provider or lower masks.min_pixels"
            )
            found.failures.append(_failure(mask, error))
        largest = sorted(usable, key=lambda each: (-each[0], each[1].instance_id))
        kept = {mask.instance_id for _, mask in largest[: self._config.body.max_people]}
        return [mask for _, mask in usable if mask.instance_id in kept], len(usable) - len(kept)

    def _placed(
        self, body: BodyReconstruction, mask: InstanceMask, view: View, elsewhere: Bools
    ) -> SeenPerson:
        body = replace(body, instance_id=mask.instance_id, score=mask.score)
        sight = sight_of(mask.mask, view, elsewhere, self._config)
        if self._config.body.align:
            body = aligned(body, sight, self._thinner)
        # What a body touches is known only where the body was measured.
        touching = contacts(body, sight) if body.fit.is_measured else NOTHING
        return SeenPerson(body=body, contacts=touching)


def _prompt(mask: InstanceMask) -> PersonPrompt:
    """Ask about a person by box and outline; a filled box is no outline that a model should see."""
    return PersonPrompt(
        instance_id=mask.instance_id,
        box_px=mask.box_px,
        mask=None if mask.is_box else mask.mask,
        score=mask.score,
    )


def _rectified(mask: InstanceMask, rectification: Rectification) -> InstanceMask:
    """Return a mask, and the box around it, in the rectified image."""
    seen = rectification.image(mask.mask, "nearest")
    if mask.box_px is None or rectification.source_px is None:
        return replace(mask, mask=seen)
    # Edges of a box are bent by the lens: what the box covers says where they come to lie.
    height, width = mask.mask.shape
    covered = rectification.image(filled_box(mask.box_px, (height, width)), "nearest")
    if not covered.any():
        return replace(mask, mask=seen, box_px=None)
    rows, columns = window_of(covered)
    box_px = np.array([columns.start, rows.start, columns.stop, rows.stop], dtype=np.float64)
    return replace(mask, mask=seen, box_px=box_px)


def _failure(mask: InstanceMask, error: Sam3dError) -> ObjectFailure:
    return ObjectFailure(instance_id=mask.instance_id, code=error.code, message=str(error))


def _elsewhere(people: Sequence[InstanceMask], view: View) -> Bools:
    """Return the pixels ``(H, W)`` that show nobody."""
    anybody = np.zeros((view.camera.height, view.camera.width), dtype=np.uint8)
    for mask in people:
        anybody |= mask.mask.astype(np.uint8)
    nobody: Bools = cv2.dilate(anybody, np.ones((2 * RIM_PX + 1,) * 2, dtype=np.uint8)) == 0
    return nobody
