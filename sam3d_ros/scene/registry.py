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

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.config import RegistryConfig
from sam3d_ros.scene.association import Sighting, associate
from sam3d_ros.scene.compose import size_m, with_nearest_yaw
from sam3d_ros.scene.following import Expected, Followed, FollowStatus
from sam3d_ros.structures import (
    NS_PER_S,
    DepthFrame,
    Frame,
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    ObjectState,
    SceneObject,
    Similarity,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """One reconstruction of the present frame, not yet known by a track id."""

    instance: InstanceMask
    reconstruction: ObjectReconstruction  # baked
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChange:
    """Track ids that one update touched, in the order of its detections."""

    updated: tuple[int, ...]
    removed: tuple[int, ...]


class Registry:
    """Gives every detection a track id that lasts; forgets what was not seen for long.

    Time is the stamps of the frames, so a replay gives the same ids at any speed.
    """

    def __init__(self, config: RegistryConfig) -> None:
        self._config = config
        self._next_id = 1
        self._objects: dict[int, SceneObject] = {}
        self._sightings: dict[int, Sighting] = {}
        self._stamp_ns = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not self._objects

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newest frame or image that was taken in."""
        return self._stamp_ns

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """All known objects by track id."""
        return tuple(self._objects[key] for key in sorted(self._objects))

    def clear(self) -> tuple[int, ...]:
        """Forget all objects and return their ids; later ids go on counting."""
        removed = tuple(sorted(self._objects))
        self._objects.clear()
        self._sightings.clear()
        return removed

    def update(self, frame: Frame, detections: Sequence[Detection]) -> RegistryChange:
        """Take in the detections of one frame."""
        removed = self.advance(frame.stamp_ns)
        self._stamp_ns = max(self._stamp_ns, frame.stamp_ns)
        fixed_from_camera = frame.fixed_from_camera or Similarity.identity()
        seen = [_sighting(detection, fixed_from_camera) for detection in detections]
        known_ids = sorted(self._objects)
        matches = associate([self._sightings[key] for key in known_ids], seen, self._config)
        updated = []
        for index, (detection, sighting) in enumerate(zip(detections, seen, strict=True)):
            if index in matches:
                track_id = known_ids[matches[index]]
                self._see_again(track_id, detection, frame)
            else:
                track_id = self._add(detection, frame)
            self._sightings[track_id] = sighting
            updated.append(track_id)
        removed += self._remove(self._surplus())
        return RegistryChange(
            updated=tuple(key for key in updated if key in self._objects), removed=removed
        )

    def expected(self, frame: DepthFrame) -> list[Expected]:
        """Return where the known objects should be in an image to come."""
        return [
            Expected(
                track_id=known.track_id,
                revision=known.revision,
                mesh_object=known.reconstruction.mesh_object,
                camera_from_object=known.reconstruction.camera_from_object,
            )
            for known in self.objects
        ]

    def follow(
        self, frame: DepthFrame, expected: Sequence[Expected], followed: Sequence[Followed]
    ) -> RegistryChange:
        """Take in where objects were found in an image."""
        self._stamp_ns = max(self._stamp_ns, frame.stamp_ns)
        updated = []
        for one in followed:
            if one.status is not FollowStatus.FOLLOWED or one.track_id not in self._objects:
                continue
            known = self._objects[one.track_id]
            pose = one.camera_from_object
            self._objects[one.track_id] = replace(
                known,
                state=ObjectState.TRACKED,
                reconstruction=replace(known.reconstruction, camera_from_object=pose),
                last_seen_ns=frame.stamp_ns,
                fixed_from_object=frame.fixed_from_camera @ pose
                if frame.fixed_from_camera is not None
                else None,
            )
            updated.append(one.track_id)
        return RegistryChange(updated=tuple(updated), removed=())

    def lock(self, track_id: int, locked: bool) -> bool:
        """Keep the mesh of an object, or no longer; return whether the object is known."""
        known = self._objects.get(track_id)
        if known is None:
            return False
        state = ObjectState.LOCKED if locked else ObjectState.TRACKED
        self._objects[track_id] = replace(known, state=state)
        return True

    def advance(self, stamp_ns: int) -> tuple[int, ...]:
        """Let time pass: drop the long unseen, mark the unseen LOST; return dropped ids.

        Where time went back, what was seen later counts as seen now.
        """
        expired = []
        for key, known in self._objects.items():
            last_seen_ns = min(known.last_seen_ns, stamp_ns)
            unseen_s = (stamp_ns - last_seen_ns) / NS_PER_S
            state = known.state
            if 0 < self._config.lost_after < unseen_s and state != ObjectState.LOCKED:
                state = ObjectState.LOST
            if 0 < self._config.remove_after < unseen_s:
                expired.append(key)
            self._objects[key] = replace(known, state=state, last_seen_ns=last_seen_ns)
        return self._remove(expired)

    def _surplus(self) -> list[int]:
        """Ids beyond ``max_objects``: the longest unseen, of these the newest."""
        order = sorted(
            self._objects.values(), key=lambda known: (-known.last_seen_ns, known.track_id)
        )
        return [known.track_id for known in order[self._config.max_objects :]]

    def _remove(self, track_ids: Sequence[int]) -> tuple[int, ...]:
        for track_id in track_ids:
            del self._objects[track_id], self._sightings[track_id]
        return tuple(sorted(track_ids))

    def _add(self, detection: Detection, frame: Frame) -> int:
        track_id = self._next_id
        self._next_id += 1
        self._objects[track_id] = SceneObject(
            track_id=track_id,
            class_id=detection.instance.class_id,
            score=detection.instance.score,
            state=ObjectState.NEW,
            reconstruction=detection.reconstruction,
            size_m=size_m(detection.reconstruction),
            revision=1,
            first_seen_ns=frame.stamp_ns,
            last_seen_ns=frame.stamp_ns,
            fixed_from_object=_in_fixed(detection.reconstruction, frame),
            flags=detection.flags,
        )
        return track_id

    def _see_again(self, track_id: int, detection: Detection, frame: Frame) -> None:
        known = self._objects[track_id]
        reconstruction = _steady(detection.reconstruction, known, frame)
        changed = not _same_geometry(reconstruction.mesh_object, known.reconstruction.mesh_object)
        self._objects[track_id] = replace(
            known,
            score=detection.instance.score,
            state=ObjectState.TRACKED,
            reconstruction=reconstruction,
            size_m=size_m(reconstruction),
            revision=known.revision + int(changed),
            last_seen_ns=frame.stamp_ns,
            fixed_from_object=_in_fixed(reconstruction, frame),
            flags=detection.flags,
        )


def _steady(
    reconstruction: ObjectReconstruction, known: SceneObject, frame: Frame
) -> ObjectReconstruction:
    """Keep the yaw of the object frame, in the fixed frame where both views have one."""
    if frame.fixed_from_camera is not None and known.fixed_from_object is not None:
        return with_nearest_yaw(reconstruction, frame.fixed_from_camera, known.fixed_from_object)
    previous = known.reconstruction.camera_from_object
    return with_nearest_yaw(reconstruction, Similarity.identity(), previous)


def _in_fixed(reconstruction: ObjectReconstruction, frame: Frame) -> Similarity | None:
    if frame.fixed_from_camera is None:
        return None
    return frame.fixed_from_camera @ reconstruction.camera_from_object


def _same_geometry(first: Mesh, second: Mesh) -> bool:
    return np.array_equal(first.vertices, second.vertices) and np.array_equal(
        first.triangles, second.triangles
    )


def _sighting(detection: Detection, fixed_from_camera: Similarity) -> Sighting:
    """Describe a detection by the middle of its bounding box, its size and its mask."""
    reconstruction = detection.reconstruction
    vertices = reconstruction.mesh_object.vertices
    middle = ((vertices.min(axis=0) + vertices.max(axis=0)) / 2).astype(np.float64)
    return Sighting(
        instance_id=detection.instance.instance_id,
        class_id=detection.instance.class_id,
        mask=detection.instance.mask,
        center=(fixed_from_camera @ reconstruction.camera_from_object).apply(middle),
        diameter_m=float(np.linalg.norm(size_m(reconstruction))),
    )
