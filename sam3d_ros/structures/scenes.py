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

"""Objects over time, and all of them at one time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from sam3d_ros.errors import ReportCode
from sam3d_ros.structures.arrays import Floats
from sam3d_ros.structures.people import PeopleSnapshot
from sam3d_ros.structures.poses import Similarity
from sam3d_ros.structures.results import ObjectReconstruction
from sam3d_ros.structures.sensing import SupportPlane


class ObjectState(IntEnum):
    """Life of an object in the registry; equal to the constants of ``Object.msg``."""

    NEW = 0
    TRACKED = 1
    LOST = 2
    LOCKED = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneObject:
    """One object of the registry: identity, geometry in metres, pose at ``last_seen_ns``."""

    track_id: int
    class_id: str
    score: float
    state: ObjectState
    reconstruction: ObjectReconstruction  # baked
    size_m: Floats  # (3,) extent of the mesh along the axes of the object frame
    middle_m: Floats  # (3,) of that box, in the object frame
    revision: int  # of the mesh; 1 is the first
    first_seen_ns: int
    last_seen_ns: int
    fixed_from_object: Similarity | None = None
    flags: int = 0

    def camera_from_object(self, fixed_from_camera: Similarity | None) -> Similarity:
        """Return where a camera elsewhere sees it; where it was last seen if places are unknown."""
        if self.fixed_from_object is None or fixed_from_camera is None:
            return self.reconstruction.camera_from_object
        return fixed_from_camera.inverse() @ self.fixed_from_object


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFailure:
    """Why one object of a frame has no reconstruction."""

    instance_id: int
    code: ReportCode
    message: str


@dataclass(frozen=True, slots=True)
class BackendInUse:
    """What makes meshes, and why nothing better does."""

    name: str
    why: str = ""  # empty where it was named, or is the best


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneSnapshot:
    """All objects known after one frame, and what happened in it."""

    stamp_ns: int
    frame_id: str
    objects: tuple[SceneObject, ...]
    updated: tuple[int, ...] = ()  # track ids seen in this frame
    removed: tuple[int, ...] = ()  # track ids dropped in this frame
    failures: tuple[ObjectFailure, ...] = ()
    num_ignored: int = 0  # masks of objects that nobody is to look at
    support: SupportPlane | None = None
    stage_s: Mapping[str, float] = field(default_factory=dict)
    gpu_peak_mb: float = float("nan")
    backend: BackendInUse | None = None  # that was asked for this frame
    people: PeopleSnapshot | None = None  # None where the snapshot says nothing about people
    body_backend: BackendInUse | None = None  # without a name where people are not reconstructed
    # Counts up over one pipeline, whichever thread asks: the higher one knows more.
    number: int = 0
