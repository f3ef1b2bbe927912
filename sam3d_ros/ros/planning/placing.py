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

"""Where objects stand in the frame of the planner, at the times of their images."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

from sam3d_ros.errors import TransformError
from sam3d_ros.structures import ObjectFlag, ObjectState, SceneObject, SceneSnapshot, Similarity

# Of a target frame, a source frame and a time; never at another one.
Lookup: TypeAlias = Callable[[str, str, int], Similarity]
NUM_REMEMBERED = 8  # snapshots; transforms may come later than the newest of them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """One object in the frame of the planner."""

    known: SceneObject
    planning_from_object: Similarity
    stamp_ns: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """A snapshot, and the frame in which it has poses."""

    snapshot: SceneSnapshot
    stamp_ns: int
    frame_id: str


class Placing:
    """Turns snapshots into poses in one frame.

    Args:
        frame_id: That frame.
        fixed_frame_id: Frame of ``fixed_from_object``, empty where poses are those in a camera.
        remove_when_lost: Whether objects that are LOST count as gone.
    """

    def __init__(self, frame_id: str, fixed_frame_id: str, remove_when_lost: bool) -> None:
        self._frame_id = frame_id
        self._fixed_frame_id = fixed_frame_id
        self._remove_when_lost = remove_when_lost
        self._seen: deque[Seen] = deque(maxlen=NUM_REMEMBERED)  # newest last
        self._placed: dict[int, Placed] = {}
        self._lock = Lock()
        self.error = ""  # why an object could not be placed at the last time
        self.uncalibrated: tuple[int, ...] = ()  # without intrinsics: their size is a guess

    def see(self, snapshot: SceneSnapshot, stamp_ns: int) -> None:
        """Take in a snapshot, whose objects hold at a time; may be called from any thread."""
        frame_id = self._fixed_frame_id or snapshot.frame_id
        seen = Seen(snapshot=snapshot, stamp_ns=stamp_ns, frame_id=frame_id)
        with self._lock:
            self._seen.append(seen)

    @property
    def knows_anything(self) -> bool:
        """Whether a snapshot came since the beginning, be it one without objects."""
        return bool(self._seen)

    def present(self) -> list[SceneObject]:
        """Return what a planner should know of, placed or not."""
        with self._lock:
            return self._present()

    def _present(self) -> list[SceneObject]:
        """Return the same; the lock is held."""
        if not self._seen:
            return []
        objects = self._seen[-1].snapshot.objects
        self.uncalibrated = tuple(
            known.track_id for known in objects if known.flags & ObjectFlag.UNCALIBRATED
        )
        return [
            known
            for known in objects
            if not (known.flags & ObjectFlag.UNCALIBRATED)
            and not (self._remove_when_lost and known.state == ObjectState.LOST)
        ]

    def place(self, lookup: Lookup) -> dict[int, Placed]:
        """Return where everything stands that is present, by track id, as late as is known."""
        with self._lock:
            return self._place_all({known.track_id: known for known in self._present()}, lookup)

    def start_over(self) -> None:
        """Forget everything: time went back."""
        with self._lock:
            self._seen.clear()
            self._placed.clear()

    def _place_all(self, present: dict[int, SceneObject], lookup: Lookup) -> dict[int, Placed]:
        placed = {key: each for key, each in self._placed.items() if key in present}
        self.error = ""
        missing = set(present)
        for seen in reversed(list(self._seen)):
            for known in seen.snapshot.objects:
                if known.track_id in missing and self._place(known, seen, lookup, placed):
                    missing.discard(known.track_id)
            if not missing:
                break
        self._placed = placed
        return placed

    def _place(
        self, known: SceneObject, seen: Seen, lookup: Lookup, placed: dict[int, Placed]
    ) -> bool:
        """Place one object as a snapshot shows it; return whether no earlier one is needed."""
        stamp_ns = seen.stamp_ns if self._fixed_frame_id else known.last_seen_ns
        before = placed.get(known.track_id)
        if before is not None and before.stamp_ns >= stamp_ns:
            return True
        try:
            planning_from_frame = self._planning_from(seen.frame_id, stamp_ns, lookup)
        except TransformError as error:
            self.error = self.error or str(error)
            return False
        pose = known.fixed_from_object if self._fixed_frame_id else None
        pose = pose or known.reconstruction.camera_from_object
        placed[known.track_id] = Placed(
            known=known, planning_from_object=planning_from_frame @ pose, stamp_ns=stamp_ns
        )
        return True

    def _planning_from(self, frame_id: str, stamp_ns: int, lookup: Lookup) -> Similarity:
        if frame_id == self._frame_id:
            return Similarity.identity()
        return lookup(self._frame_id, frame_id, stamp_ns)
