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

"""Who is who over time: ids of people, apart from those of objects."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from sam3d_ros.config import BodyConfig
from sam3d_ros.geometry.cameras import rectified
from sam3d_ros.scene.people.smoothing import Smoother
from sam3d_ros.scene.reconstructor import SeenPeople, SeenPerson
from sam3d_ros.structures import (
    NS_PER_S,
    Floats,
    Frame,
    PeopleSnapshot,
    ScenePerson,
    Similarity,
)

SAME_NUMBER_M = 0.1  # a mask that keeps its number is as likely as one nearer by this
SPEED_WEIGHT = 0.5  # of the last step in a person's velocity
MAX_SPEED = 3.0  # m/s; what is faster is no walk but an error


@dataclass(slots=True, kw_only=True)
class _Track:
    person_id: int
    first_seen_ns: int
    last_seen_ns: int
    instance_id: int
    place_m: Floats  # (3,) of the hips, in the frame that stands still
    velocity: Floats  # (3,) m/s
    is_fixed: bool  # that frame is the fixed one, else the camera's
    smoother: Smoother
    is_seen: bool = True  # in the last frame

    def expected_m(self, stamp_ns: int) -> Floats:
        """Return where the hips should be."""
        return self.place_m + self.velocity * (stamp_ns - self.last_seen_ns) / NS_PER_S

    def move(self, place_m: Floats, stamp_ns: int) -> None:
        """Note where the hips were seen."""
        pause_s = (stamp_ns - self.last_seen_ns) / NS_PER_S
        if pause_s > 0:
            velocity = _limited((place_m - self.place_m) / pause_s)
            self.velocity = self.velocity + SPEED_WEIGHT * (velocity - self.velocity)
        self.place_m, self.last_seen_ns, self.is_seen = place_m, stamp_ns, True


class People:
    """Gives everybody an id that lasts while they are seen; forgets who was unseen for long.

    Who is back within ``BodyConfig.lost_after`` keeps the id; smoothing begins anew all the same,
    since nobody saw the motion between. Time is the stamps of the frames.
    """

    def __init__(self, config: BodyConfig) -> None:
        self._config = config
        self._next_id = 1
        self._tracks: list[_Track] = []
        self._newest_ns = 0

    def clear(self) -> tuple[int, ...]:
        """Forget everybody and return the ids of those that were in view; ids go on counting."""
        gone = tuple(track.person_id for track in self._tracks if track.is_seen)
        self._tracks.clear()
        self._newest_ns = 0
        return gone

    def start_over(self) -> tuple[int, ...]:
        """Forget everybody and return who was in view; later ids begin at 1 again."""
        gone = self.clear()
        self._next_id = 1
        return gone

    def update(self, frame: Frame, seen: SeenPeople) -> PeopleSnapshot:
        """Take in the people of a frame.

        Who is not among them is gone, unless only some were asked for, or the frame is late: it
        changes nothing of who was seen since.
        """
        gone = self._forget(frame)
        is_late = frame.stamp_ns < self._newest_ns
        self._newest_ns = max(self._newest_ns, frame.stamp_ns)
        places = [_place_m(each, frame) for each in seen.people]
        pairs = self._matched(seen.people, places, frame)
        people = []
        for index, (each, place_m) in enumerate(zip(seen.people, places, strict=True)):
            track = pairs.get(index) or self._begin(each, place_m, frame)
            people.append(self._take_in(track, each, place_m, frame))
        if not (is_late or frame.chosen):
            gone = (*gone, *self._miss({person.person_id for person in people}))
        return PeopleSnapshot(
            stamp_ns=frame.stamp_ns,
            people=tuple(sorted(people, key=lambda person: person.person_id)),
            gone=tuple(sorted(gone)),
            num_left_out=seen.num_left_out,
            image_size=(frame.camera.width, frame.camera.height),
        )

    def _miss(self, person_ids: Collection[int]) -> list[int]:
        """Note who is in view; return who was and is no more."""
        gone = []
        for track in self._tracks:
            if track.person_id in person_ids:
                continue
            track.smoother.reset()
            if track.is_seen:
                gone.append(track.person_id)
            track.is_seen = False
        return gone

    def _forget(self, frame: Frame) -> tuple[int, ...]:
        """Drop who was unseen for long, all where time went back; return who was in view then."""
        lasting = self._config.lost_after * NS_PER_S
        if frame.stamp_ns < self._newest_ns - lasting:
            return self.clear()
        kept = [each for each in self._tracks if frame.stamp_ns - each.last_seen_ns <= lasting]
        gone = tuple(each.person_id for each in self._tracks if each.is_seen and each not in kept)
        self._tracks = kept
        return gone

    def _matched(
        self, people: Sequence[SeenPerson], places: Sequence[Floats], frame: Frame
    ) -> dict[int, _Track]:
        """Match people one to one with those known, so that they have moved least in all."""
        is_fixed = frame.fixed_from_camera is not None
        known = [track for track in self._tracks if track.is_fixed == is_fixed]
        if not known or not people:
            return {}
        cost = np.empty((len(people), len(known)))
        for row, (each, place_m) in enumerate(zip(people, places, strict=True)):
            for column, track in enumerate(known):
                step_m = float(np.linalg.norm(place_m - track.expected_m(frame.stamp_ns)))
                bonus_m = SAME_NUMBER_M if track.instance_id == each.body.instance_id else 0.0
                allowed = step_m <= self._config.match_distance
                cost[row, column] = step_m - bonus_m if allowed else 1e6
        rows, columns = linear_sum_assignment(cost)
        return {
            int(row): known[column]
            for row, column in zip(rows, columns, strict=True)
            if cost[row, column] < 1e6
        }

    def _begin(self, person: SeenPerson, place_m: Floats, frame: Frame) -> _Track:
        track = _Track(
            person_id=self._next_id,
            first_seen_ns=frame.stamp_ns,
            last_seen_ns=frame.stamp_ns,
            instance_id=person.body.instance_id,
            place_m=place_m,
            velocity=np.zeros(3),
            is_fixed=frame.fixed_from_camera is not None,
            smoother=Smoother(self._config.smoothing_hz),
        )
        self._next_id += 1
        self._tracks.append(track)
        return track

    def _take_in(
        self, track: _Track, person: SeenPerson, place_m: Floats, frame: Frame
    ) -> ScenePerson:
        body = person.body
        if frame.stamp_ns >= track.last_seen_ns:
            track.move(place_m, frame.stamp_ns)
            track.instance_id = body.instance_id
            body = track.smoother.smoothed(
                body,
                person.contacts,
                rectified(frame.camera),
                frame.stamp_ns,
                frame.fixed_from_camera,
            )
        return ScenePerson(
            person_id=track.person_id,
            body=body,
            contacts=person.contacts,
            first_seen_ns=track.first_seen_ns,
            last_seen_ns=frame.stamp_ns,
            fixed_from_camera=frame.fixed_from_camera,
        )


def _place_m(person: SeenPerson, frame: Frame) -> Floats:
    still_from_camera = frame.fixed_from_camera or Similarity.identity()
    return still_from_camera.apply(person.body.origin_camera.astype(np.float64))


def _limited(velocity: Floats) -> Floats:
    speed = float(np.linalg.norm(velocity))
    return velocity * min(1.0, MAX_SPEED / speed) if speed > 0 else velocity
