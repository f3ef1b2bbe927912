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

"""What planners are told of an object: solids that enclose it."""

from dataclasses import dataclass

from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.arrays import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeOrder:
    """What solids are wanted; see ``PlanningConfig``."""

    geometry: str = "convex_decomposition"
    max_hulls: int = 16
    padding_m: float = 0.003


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollisionPart:
    """One closed surface in the object frame, metres."""

    vertices: Floats  # (V, 3)
    triangles: Ints  # (F, 3), counter-clockwise seen from outside

    def __post_init__(self) -> None:
        check_shape(self.vertices, "V 3", "vertices")
        check_shape(self.triangles, "F 3", "triangles")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollisionShape:
    """An object as planners see it, and how far that is from its mesh.

    ``geometry`` is one of the choices of ``planning.geometry``; where it is not the one that was
    asked for, ``why`` says why not.
    """

    parts: tuple[CollisionPart, ...]
    geometry: str
    bounds: Floats  # (2, 3) lower and upper corner of the mesh itself, in the object frame
    padding_m: float
    is_watertight: bool  # every part
    volume_m3: float  # of all parts together
    uncovered_m: float  # how far the mesh sticks out at most
    hausdorff_m: float  # between the solids: how far one reaches beyond the other at most
    seconds: float  # that making it took
    why: str = ""

    def __post_init__(self) -> None:
        check_shape(self.bounds, "2 3", "bounds")
