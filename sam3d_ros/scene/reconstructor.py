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

from dataclasses import dataclass, field
from typing import Protocol

from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.structures import Frame, ObjectFailure, ObjectReconstruction, SupportPlane


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReconstructedInstance:
    """One mask of the frame and the object that it became."""

    instance_id: int
    reconstruction: ObjectReconstruction  # baked, with preview
    flags: int = 0


@dataclass(slots=True, kw_only=True)
class ReconstructedFrame:
    """What came out of the backend for one frame."""

    instances: list[ReconstructedInstance] = field(default_factory=list)
    failures: list[ObjectFailure] = field(default_factory=list)
    support: SupportPlane | None = None
    stage_s: dict[str, float] = field(default_factory=dict)
    gpu_peak_mb: float = float("nan")  # NaN where no GPU was used


class Reconstructor(Protocol):
    """Turns a frame into objects and keeps nothing from one frame to the next."""

    def start(self) -> None:
        """Get ready before the first frame; returns at once."""
        ...

    def reconstruct(self, frame: Frame, cancelled: Cancelled = never) -> ReconstructedFrame:
        """Reconstruct every mask of a frame.

        Raises:
            CancelledError: When ``cancelled`` answered true.
            Sam3dError: When nothing of the frame can be used.
        """
        ...

    def close(self) -> None:
        """Release what this holds; a second call does nothing."""
        ...
