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


"""What turns a frame into objects, whether here or in another process.

Imports no backend: the node's own process needs only this side of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sam3d_ros.config import SceneConfig
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.structures import (
    BackendInUse,
    BodyReconstruction,
    Bools,
    Frame,
    Mesh,
    ObjectFailure,
    ObjectReconstruction,
    Observation,
    Quality,
    Refinement,
    Similarity,
    SupportPlane,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RememberedView:
    """One view of an object, kept for when its mesh is made again."""

    observation: Observation  # cropped, without earlier views
    camera_from_object: Similarity  # rigid, of that camera
    fixed_from_camera: Similarity | None = None  # of that camera, in the frame's fixed frame
    is_used: bool = False  # the mesh was made with it, or was not the better for it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownObject:
    """What is known of an object before a frame."""

    track_id: int
    revision: int  # of the mesh
    class_id: str
    mesh_object: Mesh  # baked: metres
    camera_from_object: Similarity  # rigid; where it should be in the frame
    # How far off that may be, standard deviations: metres, radians.
    sigma_m: float
    sigma_rad: float
    is_locked: bool = False  # the mesh stays as it is
    views: tuple[RememberedView, ...] = ()

    @property
    def lasting(self) -> list[object]:
        """What stays the same from frame to frame and is large."""
        return [self.mesh_object, *(view.observation for view in self.views)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReconstructedInstance:
    """One mask of the frame and the object that it became."""

    instance_id: int
    reconstruction: ObjectReconstruction  # baked, with preview
    flags: int = 0
    track_id: int | None = None  # of the known object whose mesh this improves
    # Where that object's own frame stands in this view; its mesh is the old one.
    camera_from_known: Similarity | None = None
    view: RememberedView | None = None  # worth keeping


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredInstance:
    """One mask of the frame and the known object that it shows, whose mesh stays."""

    instance_id: int
    track_id: int
    revision: int  # of the mesh that was measured
    camera_from_object: Similarity  # rigid; the expected one unless ``refinement`` is ACCEPTED
    refinement: Refinement
    quality: Quality
    flags: int = 0
    note: str = ""  # a sentence for a person
    view: RememberedView | None = None  # worth keeping


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenPerson:
    """One person of the frame: the body where it was measured."""

    body: BodyReconstruction
    contacts: Bools  # (70,) keypoints that touch something that is nobody


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenPeople:
    """The people of the frame."""

    people: tuple[SeenPerson, ...] = ()
    num_left_out: int = 0  # beyond ``BodyConfig.max_people``


@dataclass(slots=True, kw_only=True)
class ReconstructedFrame:
    """What came out of the backend for one frame."""

    instances: list[ReconstructedInstance] = field(default_factory=list)
    measured: list[MeasuredInstance] = field(default_factory=list)
    # Track ids of known objects that are where they were expected, with a mask or without: what
    # else is seen near them is something else.
    standing: list[int] = field(default_factory=list)
    failures: list[ObjectFailure] = field(default_factory=list)
    support: SupportPlane | None = None
    stage_s: dict[str, float] = field(default_factory=dict)
    gpu_peak_mb: float = float("nan")  # NaN where no GPU was used
    backend: BackendInUse | None = None  # that makes meshes, whether this frame needed any or not
    people: SeenPeople | None = None  # None where nobody is looked for
    body_backend: BackendInUse | None = None  # without a name where there is none


class Reconstructor(Protocol):
    """Turns a frame into objects and keeps nothing from one frame to the next."""

    @property
    def is_ready(self) -> bool:
        """Whether a frame would be looked at at once; not while weights are being loaded."""
        ...

    def start(self) -> None:
        """Get ready before the first frame; returns at once."""
        ...

    def retune(self, config: SceneConfig) -> None:
        """Take other values of the settings that are dynamic, from the next frame on."""
        ...

    def reconstruct(
        self, frame: Frame, cancelled: Cancelled = never, known: Sequence[KnownObject] = ()
    ) -> ReconstructedFrame:
        """Reconstruct every mask of a frame that shows nothing known, measure the others.

        Raises:
            CancelledError: When ``cancelled`` answered true.
            Sam3dError: When nothing of the frame can be used.
        """
        ...

    def close(self) -> None:
        """Release what this holds; a second call does nothing."""
        ...
