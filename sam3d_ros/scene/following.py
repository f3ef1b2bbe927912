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

"""What follows known objects from one image to the next, whether here or in another process.

A follower keeps no poses: where each object is expected, and whether it moves, is asked of the
registry. It may keep what it has made of meshes, by track id and revision.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np

from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import DepthFrame, Floats, Mesh, Quality, Similarity


class FollowStatus(IntEnum):
    """What became of following one object into one image."""

    FOLLOWED = 0  # the pose was measured in this image
    OCCLUDED = 1  # hidden or out of view: the expected pose, nothing speaks against it
    LOST = 2  # the place is seen and the object is not there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """One object, and where it should be in the image to come."""

    track_id: int
    revision: int  # of the mesh
    mesh_object: Mesh  # baked: metres
    camera_from_object: Similarity  # rigid
    # How far off that may be, standard deviations: metres, radians. Large after a loss.
    sigma_m: float = 0.01
    sigma_rad: float = 0.1
    instance_id: int | None = None  # of its mask in the frame, where there is one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Followed:
    """Where one object is in one image."""

    track_id: int
    status: FollowStatus
    camera_from_object: Similarity  # rigid; the expected one unless FOLLOWED
    quality: Quality = field(default_factory=Quality)
    covariance: Floats = field(default_factory=lambda: np.zeros((6, 6)))  # origin m, turn rad

    def __post_init__(self) -> None:
        check_shape(self.covariance, "6 6", "covariance")


class Follower(Protocol):
    """Finds known objects in a new image by the depth around where they should be."""

    def start(self) -> None:
        """Get ready before the first frame; returns at once."""
        ...

    def follow(self, frame: DepthFrame, expected: Sequence[Expected]) -> list[Followed]:
        """Return where each object is, in the order of ``expected``.

        All objects are solved at once, and hide one another as they stand.

        Raises:
            Sam3dError: Nothing of the frame can be used.
        """
        ...

    def close(self) -> None:
        """Release what this holds; a second call does nothing."""
        ...
