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


"""Objects over time: identity, state, revision. The only state of the core."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.config import RegistryConfig, TrackingConfig
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.scene.association import Sighting, associate
from sam3d_ros.scene.compose import size_m
from sam3d_ros.scene.following import Expected, Followed, FollowStatus
from sam3d_ros.scene.identity import are_same, description_of, description_of_new, recognised
from sam3d_ros.scene.motion import HISTORY_S
from sam3d_ros.scene.reconstructor import KnownObject, MeasuredInstance, RememberedView
from sam3d_ros.scene.tracks import Detection, Track
from sam3d_ros.scene.whereabouts import Moment
from sam3d_ros.structures import NS_PER_S, DepthFrame, Frame, SceneObject

JUMP_S = 1.0  # images come in order: one that is older by more is from a time that began anew


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChange:
    """Track ids that one update touched, in the order of its detections."""

    updated: tuple[int, ...]
    removed: tuple[int, ...]


class Registry:
    """Gives every detection a track id that lasts; forgets what was not seen for long.

    Time is the stamps of the frames, so a replay gives the same ids at any speed.
    """

    def __init__(self, config: RegistryConfig, tracking: TrackingConfig | None = None) -> None:
        self._config = config
        self._tracking = tracking or TrackingConfig()
        self._next_id = 1
        self._tracks: dict[int, Track] = {}
        self._newest: Moment | None = None
        self._masked_ns: int | None = None  # of the last frame with masks
        self._followed_ns: int | None = None  # of the last image without

    def retune(self, config: RegistryConfig, tracking: TrackingConfig) -> None:
        """Take other settings from now on."""
        self._config, self._tracking = config, tracking

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not self._tracks

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newest frame or image that was taken in; 0 before the first."""
        return self._newest.stamp_ns if self._newest else 0

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """All known objects by track id."""
        return tuple(self._tracks[key].known for key in sorted(self._tracks))

    def knows_only(self, track_ids: Collection[int]) -> bool:
        """Tell whether nothing is known but some objects."""
        return all(key in track_ids for key in self._tracks)

    def clear(self) -> tuple[int, ...]:
        """Forget all objects and return their ids; later ids go on counting."""
        removed = tuple(sorted(self._tracks))
        self._tracks.clear()
        self._newest = self._masked_ns = self._followed_ns = None
        return removed

    def start_over(self) -> tuple[int, ...]:
        """Forget all objects and return their ids; later ones begin at 1 again."""
        removed = self.clear()
        self._next_id = 1
        return removed

    def lock(self, track_id: int, locked: bool) -> bool:
        """Keep the mesh of an object, or no longer; return whether the object is known."""
        if track_id not in self._tracks:
            return False
        self._tracks[track_id].lock(locked)
        return True

    def views(self, track_id: int) -> tuple[RememberedView, ...]:
        """Return the views of an object that are remembered; none of one that is not known."""
        return self._tracks[track_id].views if track_id in self._tracks else ()

    def remove(self, track_id: int) -> bool:
        """Forget an object; return whether it was known."""
        return self._tracks.pop(track_id, None) is not None

    def known(self, frame: Frame) -> list[KnownObject]:
        """Return what a reconstructor must know before a frame."""
        self._notice_jump(frame.stamp_ns, self._masked_ns, HISTORY_S)
        moment = Moment.of(frame)
        return [self._tracks[key].to_measure(moment) for key in sorted(self._tracks)]

    def expected(self, frame: DepthFrame) -> list[Expected]:
        """Return what a follower must know before an image; nothing unless it is the newest."""
        self._notice_jump(frame.stamp_ns, self._followed_ns, JUMP_S)
        if self._followed_ns is not None and frame.stamp_ns <= self._followed_ns:
            return []
        moment = Moment.of(frame)
        return [self._tracks[key].to_follow(moment) for key in sorted(self._tracks)]

    def follow(
        self, frame: DepthFrame, expected: Sequence[Expected], followed: Sequence[Followed]
    ) -> RegistryChange:
        """Take in where objects are in an image; what has another mesh by now is left out."""
        if not expected:
            return RegistryChange(updated=(), removed=())
        moment, shown = Moment.of(frame), self._advance_to(Moment.of(frame))
        self._followed_ns = frame.stamp_ns
        updated = []
        for before, now in zip(expected, followed, strict=True):
            track = self._tracks.get(now.track_id)
            if track is None or track.known.revision != before.revision:
                continue
            if now.status is FollowStatus.FOLLOWED:
                track.follow(now, moment, shown)
                updated.append(now.track_id)
            elif now.status is FollowStatus.LOST:
                track.miss()
        return RegistryChange(updated=tuple(updated), removed=self.advance(frame.stamp_ns))

    def update(
        self,
        frame: Frame,
        detections: Sequence[Detection],
        measured: Sequence[MeasuredInstance] = (),
        standing: Sequence[int] = (),
    ) -> RegistryChange:
        """Take in what the masks of one frame show: known meshes, and reconstructions.

        Args:
            frame: Of the masks.
            detections: What was reconstructed.
            measured: Known objects whose mesh stays.
            standing: Known objects that the frame shows where they were expected.
        """
        self._notice_jump(frame.stamp_ns, self._masked_ns, HISTORY_S)
        self._masked_ns = frame.stamp_ns
        moment, shown = Moment.of(frame), self._advance_to(Moment.of(frame))
        removed = self.advance(frame.stamp_ns)
        updated = self._measure(frame, measured, moment, shown)
        ids = self._identities(detections, moment, {*updated, *standing})
        for detection, track_id in zip(detections, ids, strict=True):
            updated.append(self._take_in(detection, track_id, moment, shown))
        removed += self._merge(updated, moment, shown)
        removed += self._remove(self._surplus())
        kept = dict.fromkeys(key for key in updated if key in self._tracks)
        return RegistryChange(updated=tuple(kept), removed=removed)

    def advance(self, stamp_ns: int) -> tuple[int, ...]:
        """Let time pass: drop the long unseen, mark the unseen LOST; return dropped ids."""
        return self._remove(
            [
                key
                for key, track in self._tracks.items()
                if 0 < self._config.remove_after < track.age(stamp_ns, self._config.lost_after)
            ]
        )

    def _advance_to(self, moment: Moment) -> Moment:
        """Return the moment whose camera poses are shown in: the newest, if it is known where."""
        if self._newest is None or moment.stamp_ns >= self._newest.stamp_ns:
            self._newest = moment
        is_placed = self._newest.fixed_from_camera is not None
        return self._newest if is_placed or moment.fixed_from_camera is None else moment

    def _notice_jump(self, stamp_ns: int, last_ns: int | None, tolerance_s: float) -> None:
        """Begin anew at a stamp that is too old to be only late; all was last seen then."""
        if last_ns is None or stamp_ns >= last_ns - tolerance_s * NS_PER_S:
            return
        self._newest = self._masked_ns = self._followed_ns = None
        for track in self._tracks.values():
            track.go_back(stamp_ns)

    def _measure(
        self, frame: Frame, measured: Sequence[MeasuredInstance], moment: Moment, shown: Moment
    ) -> list[int]:
        """Take in the poses of meshes that stay."""
        masks = {mask.instance_id: mask for mask in frame.masks}
        updated = []
        for each in measured:
            track = self._tracks.get(each.track_id)
            if track is not None and track.known.revision == each.revision:
                track.measure(each, masks[each.instance_id], moment, shown)
                track.remember(each.view, self._tracking.max_views)
                updated.append(each.track_id)
        return updated

    def _identities(
        self, detections: Sequence[Detection], moment: Moment, taken: set[int]
    ) -> list[int | None]:
        """Return the track id of each detection, None of those that nothing is known of.

        What a mesh improves was found by its outline already; others are found by place or mask,
        and those that are missing by their looks.
        """
        ids = [each.track_id if each.track_id in self._tracks else None for each in detections]
        for found in (self._by_place, self._by_looks):
            unknown = [index for index, track_id in enumerate(ids) if track_id is None]
            free = [key for key in sorted(self._tracks) if key not in taken and key not in ids]
            matches = found([detections[index] for index in unknown], free, moment)
            for place, track_id in matches.items():
                ids[unknown[place]] = track_id
        return ids

    def _by_place(
        self, detections: Sequence[Detection], free: Sequence[int], moment: Moment
    ) -> dict[int, int]:
        seen = [_sighting(detection, moment) for detection in detections]
        known = [self._tracks[key].sighting_at(moment) for key in free]
        matches = associate(known, seen, self._config)
        return {new: free[old] for new, old in matches.items()}

    def _by_looks(
        self, detections: Sequence[Detection], free: Sequence[int], moment: Moment
    ) -> dict[int, int]:
        lost = [key for key in free if self._tracks[key].is_missing(self._followed_ns)]
        if not lost or not detections:
            return {}
        matches = recognised(
            [description_of(self._tracks[key]) for key in lost],
            [description_of_new(detection) for detection in detections],
        )
        return {new: lost[old] for new, old in matches.items()}

    def _take_in(
        self, detection: Detection, track_id: int | None, moment: Moment, shown: Moment
    ) -> int:
        if track_id is not None:
            track = self._tracks[track_id]
            if self._tracking.enabled and track.is_better_than(detection):
                track.refuse(detection, moment, shown)
            else:
                track.remake(detection, moment, shown, self._tracking.max_views)
            return track_id
        track_id = self._next_id
        self._next_id += 1
        self._tracks[track_id] = Track(track_id, detection, _sighting(detection, moment), moment)
        self._tracks[track_id].show(shown)
        return track_id

    def _merge(self, updated: list[int], moment: Moment, shown: Moment) -> tuple[int, ...]:
        """Let the older of two objects that are one take over what is seen of the younger."""
        gone: list[int] = []
        for younger in sorted(set(updated), reverse=True):
            older = next((key for key in sorted(self._tracks) if self._is_same(key, younger)), None)
            if older is None:
                continue
            self._tracks[older].take_over(self._tracks[younger], moment, shown)
            updated.append(older)
            gone.append(younger)
        return self._remove(gone)

    def _is_same(self, older: int, younger: int) -> bool:
        return older < younger and are_same(
            self._tracks[older], self._tracks[younger], self._config.match_iou
        )

    def _surplus(self) -> list[int]:
        """Ids beyond ``max_objects``: the longest unseen, of these the newest."""
        order = sorted(self.objects, key=lambda known: (-known.last_seen_ns, known.track_id))
        return [known.track_id for known in order[self._config.max_objects :]]

    def _remove(self, track_ids: Sequence[int]) -> tuple[int, ...]:
        for track_id in track_ids:
            del self._tracks[track_id]
        return tuple(sorted(track_ids))


def _sighting(detection: Detection, moment: Moment) -> Sighting:
    """Describe a detection by the middle of its bounding box, its size and its mask."""
    reconstruction = detection.reconstruction
    middle = bounds(reconstruction.mesh_object).mean(axis=0)
    return Sighting(
        instance_id=detection.instance.instance_id,
        class_id=detection.instance.class_id,
        mask=detection.instance.mask,
        center=moment.in_frame(reconstruction.camera_from_object).apply(middle),
        diameter_m=float(np.linalg.norm(size_m(reconstruction))),
    )
