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

"""From a frame to a scene: reconstruct its objects, keep their identities, follow them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from threading import Lock
from typing import TypeAlias

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import CancelledError
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.scene.following import Follower
from sam3d_ros.scene.people.tracks import People
from sam3d_ros.scene.people.who import people_in
from sam3d_ros.scene.portions import Portion, TakingPortions
from sam3d_ros.scene.reconstructor import (
    ReconstructedFrame,
    Reconstructor,
    RememberedView,
    SeenPeople,
)
from sam3d_ros.scene.registry import Registry
from sam3d_ros.scene.tracks import Detection
from sam3d_ros.structures import DepthFrame, Frame, PeopleSnapshot, SceneSnapshot

Show: TypeAlias = Callable[[SceneSnapshot], None]


class ScenePipeline:
    """Frames in, snapshots out; the node, ``sam3d offline`` and the tests share it.

    Identities live here, so they outlive a reconstructor in a process of its own
    (``ReconstructorProcess``); ``local_pipeline`` makes one that needs no other process.

    ``process`` and ``follow`` may run at the same time in two threads, each in one only.
    """

    def __init__(
        self, config: SceneConfig, reconstructor: Reconstructor, follower: Follower | None = None
    ) -> None:
        self.config = config
        self._reconstructor = reconstructor
        follows = config.tracking.enabled and config.objects.enabled
        self._follower = follower if follows else None
        self._registry = Registry(config.registry, config.tracking)
        self._people = People(config.body)
        self._lock = Lock()  # of the registry; never held while anything is measured
        self._numbers = count(1)  # of snapshots; drawn under the lock
        self._num_resets = 0

    def start(self) -> None:
        """Let reconstructor and follower get ready before the first frame; returns at once."""
        self._reconstructor.start()
        if self._follower is not None:
            self._follower.start()

    def retune(self, config: SceneConfig) -> None:
        """Take other values of the settings that are dynamic, from the next frame on."""
        with self._lock:
            self.config = config
            self._registry.retune(config.registry, config.tracking)
        self._reconstructor.retune(config)

    @property
    def is_ready(self) -> bool:
        """Whether the first frame would be looked at at once; not while weights are loaded."""
        return self._reconstructor.is_ready

    @property
    def can_follow(self) -> bool:
        """Whether an image would be looked at: something is known, and wanted to be followed."""
        return self._follower is not None and not self._registry.is_empty

    def follow(self, frame: DepthFrame) -> SceneSnapshot:
        """Move all known objects to where an image shows them; returns at once if none is known.

        ``updated`` are those whose pose was measured in this image; the poses of all others are
        as old as their ``last_seen_ns``. An image that is not newer than the last changes nothing.

        Raises:
            CancelledError: When all was forgotten meanwhile: the image is of a time that is over.
            Sam3dError: When nothing of the image can be used.
        """
        with self._lock:
            expected = self._registry.expected(frame) if self._follower is not None else []
            num_resets = self._num_resets
        followed = self._follower.follow(frame, expected) if self._follower and expected else []
        with self._lock:
            if num_resets != self._num_resets:
                raise CancelledError("all objects were forgotten while the image was looked at")
            change = self._registry.follow(frame, expected, followed)
            objects, number = self._registry.objects, next(self._numbers)
        return SceneSnapshot(
            number=number,
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            objects=objects,
            updated=change.updated,
            removed=change.removed,
        )

    def snapshot(self, frame_id: str = "") -> SceneSnapshot:
        """Return all objects as they are known now."""
        return self.advance(0, frame_id)

    def views(self, track_id: int) -> tuple[RememberedView, ...]:
        """Return the views of an object that are remembered; none of one that is not known."""
        with self._lock:
            return self._registry.views(track_id)

    def remove(self, track_id: int) -> bool:
        """Forget an object; return whether it was known."""
        with self._lock:
            return self._registry.remove(track_id)

    def lock(self, track_id: int, locked: bool) -> bool:
        """Keep the mesh of an object as it is, or no longer; return whether it is known."""
        with self._lock:
            return self._registry.lock(track_id, locked)

    def process(
        self,
        frame: Frame,
        cancelled: Cancelled = never,
        *,
        anew: bool = False,
        show: Show | None = None,
    ) -> SceneSnapshot:
        """Reconstruct or measure what every mask shows and return all objects known then.

        Known objects keep their mesh where it explains what is seen and the view adds little; see
        ``TrackingConfig``. An object that fails becomes an ``ObjectFailure`` and stops no other.

        While objects were reconstructed, later images may have been followed. The snapshot is then
        that of the latest of them, in poses and in ``stamp_ns``: what was once published never
        goes back.

        Args:
            frame: With the masks.
            cancelled: Whether the answer is still wanted.
            anew: Make meshes also of what is known, and fits; which object is which is found out
                afterwards, and a mesh that is locked or better stays.
            show: Gets a snapshot as often as new objects are finished before others of the frame;
                ``updated`` are all that are. Called in this thread.

        Raises:
            CancelledError: When ``cancelled`` answered true, or all was forgotten meanwhile;
                nothing has changed then but for what was shown.
            Sam3dError: When nothing of the frame can be used.
        """
        given, frame = frame, self._looked_at(frame)
        num_ignored = len(given.masks) - len(frame.masks)
        if not frame.masks:
            return replace(self._empty(frame), num_ignored=num_ignored)
        with self._lock:
            known = self._registry.known(frame) if self.config.tracking.enabled else []
            shown = _Shown(frame=frame, num_resets=self._num_resets)
        asking = cancelled
        if show is not None:
            asking = TakingPortions(cancelled, partial(self._take_portion, shown, show))
        result = self._reconstructor.reconstruct(frame, asking, [] if anew else known)
        with self._lock:
            if shown.num_resets != self._num_resets:
                raise CancelledError("all objects were forgotten while the frame was looked at")
            snapshot = self._update(shown, result)
        return replace(
            snapshot,
            failures=tuple(result.failures),
            num_ignored=num_ignored,
            support=result.support,
            stage_s=result.stage_s,
            gpu_peak_mb=result.gpu_peak_mb,
            backend=result.backend,
            body_backend=result.body_backend,
        )

    def _looked_at(self, frame: Frame) -> Frame:
        """Return a frame without the masks that nobody is to look at."""
        if self.config.objects.enabled:
            return frame
        return replace(frame, masks=tuple(people_in(frame.masks, self.config.body)))

    def _empty(self, frame: Frame) -> SceneSnapshot:
        """Take in a frame that shows nothing and nobody."""
        snapshot = self.advance(frame.stamp_ns, frame.frame_id)
        if not self.config.body.enabled:
            return snapshot
        with self._lock:
            return replace(snapshot, people=self._people.update(frame, SeenPeople()))

    def _take_portion(self, shown: "_Shown", show: Show, portion: Portion) -> None:
        """Take in and show what is finished of a frame, unless it may be what else is known.

        Which of several objects something is, only the whole frame can tell.
        """
        with self._lock:
            is_new = self._registry.knows_only({*portion.standing, *shown.track_ids})
            if shown.num_resets != self._num_resets:
                return
            if portion.people is not None:
                snapshot = self._update_people(shown, portion.people)
            elif is_new and portion.instances:
                result = ReconstructedFrame(
                    instances=list(portion.instances), standing=list(portion.standing)
                )
                snapshot = self._update(shown, result)
            else:
                return
        show(snapshot)

    def _update_people(self, shown: "_Shown", seen: SeenPeople) -> SceneSnapshot:
        """Take in the people of a frame, whose objects are still to come; the lock is held."""
        shown.people = self._people.update(shown.frame, seen)
        return SceneSnapshot(
            number=next(self._numbers),
            stamp_ns=max(self._registry.stamp_ns, shown.frame.stamp_ns),
            frame_id=shown.frame.frame_id,
            objects=self._registry.objects,
            people=shown.people,
        )

    def _update(self, shown: "_Shown", result: ReconstructedFrame) -> SceneSnapshot:
        """Take in what of a frame was not yet; the lock is held."""
        detections = _detections(shown.frame, result, shown.instance_ids)
        change = self._registry.update(
            shown.frame, detections, result.measured, [*result.standing, *shown.track_ids]
        )
        shown.instance_ids += [detection.instance.instance_id for detection in detections]
        shown.track_ids += change.updated
        objects = self._registry.objects
        known = {each.track_id for each in objects}
        if result.people is not None and shown.people is None:
            shown.people = self._people.update(shown.frame, result.people)
        return SceneSnapshot(
            number=next(self._numbers),
            stamp_ns=self._registry.stamp_ns,
            frame_id=shown.frame.frame_id,
            objects=objects,
            updated=tuple(key for key in dict.fromkeys(shown.track_ids) if key in known),
            removed=change.removed,
            people=shown.people,
        )

    def advance(self, stamp_ns: int, frame_id: str = "") -> SceneSnapshot:
        """Let time pass without a frame: objects become LOST, old ones are removed."""
        with self._lock:
            removed, objects = self._registry.advance(stamp_ns), self._registry.objects
            number = next(self._numbers)
        return SceneSnapshot(
            number=number, stamp_ns=stamp_ns, frame_id=frame_id, objects=objects, removed=removed
        )

    def reset(self) -> tuple[int, ...]:
        """Forget all objects and return their track ids."""
        with self._lock:
            self._num_resets += 1
            self._people.clear()
            return self._registry.clear()

    def start_over(self) -> tuple[int, ...]:
        """Forget all objects as before the first frame, so that a recording gives the same again.

        Returns:
            Their track ids, which new objects get again.
        """
        with self._lock:
            self._num_resets += 1
            self._people.start_over()
            return self._registry.start_over()

    def close(self) -> None:
        """Release what reconstructor and follower hold."""
        self._reconstructor.close()
        if self._follower is not None:
            self._follower.close()


@dataclass(slots=True, kw_only=True)
class _Shown:
    """What of a frame was taken in already."""

    frame: Frame
    num_resets: int  # when it began
    instance_ids: list[int] = field(default_factory=list)
    track_ids: list[int] = field(default_factory=list)
    people: PeopleSnapshot | None = None


def _detections(
    frame: Frame, result: ReconstructedFrame, without: Sequence[int]
) -> list[Detection]:
    """Join reconstructions with the masks they come from."""
    masks = {mask.instance_id: mask for mask in frame.masks}
    return [
        Detection(
            instance=masks[instance.instance_id],
            reconstruction=instance.reconstruction,
            flags=instance.flags,
            track_id=instance.track_id,
            camera_from_known=instance.camera_from_known,
            view=instance.view,
        )
        for instance in result.instances
        if instance.instance_id not in without
    ]
