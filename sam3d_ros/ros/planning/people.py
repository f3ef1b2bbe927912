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

"""People as obstacles of their own: one convex hull each, made anew with every pose.

Only people whose distance was measured; who is out of view is taken back, since they walk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import TransformError
from sam3d_ros.ros.planning.placing import Lookup
from sam3d_ros.ros.planning.planner import Planner
from sam3d_ros.ros.planning.shaping import Shaped
from sam3d_ros.scene.obstacles import Obstacle
from sam3d_ros.scene.people.frames import camera_from_body, person_name
from sam3d_ros.scene.people.surfaces import Thinner
from sam3d_ros.structures import CollisionShape, PeopleSnapshot, ScenePerson, Similarity

CLASS = "person"
CLOTHES_M = 0.02  # beyond the padding: they are not in the rig
MAX_TRIANGLES = 2000  # of the body that is enclosed; it lies within the clothes of all of it
MAX_CORNERS = 32


@dataclass(frozen=True, slots=True, eq=False)
class _Posed:
    person: ScenePerson
    frame_id: str  # of the camera
    shaped: Shaped


class PeopleObstacles:
    """Makes obstacles of people.

    Args:
        frame_id: Of the planner.
        fixed_frame_id: Of ``fixed_from_camera``, empty where there is none.
        padding_m: Around the body, beside that for clothes.
        encode: Makes the geometry of a shape in messages.
    """

    def __init__(
        self,
        frame_id: str,
        fixed_frame_id: str,
        padding_m: float,
        encode: Callable[[CollisionShape], list[Any]],
    ) -> None:
        self._frame_id = frame_id
        self._fixed_frame_id = fixed_frame_id
        self._padding_m = padding_m + CLOTHES_M
        self._encode = encode
        # Imported here: it takes seconds and 200 MB, and only who wants people has to spend them.
        from sam3d_ros.geometry.collision.polytopes import enclosing_polytope  # noqa: PLC0415

        self._enclosing = enclosing_polytope
        self._thinner = Thinner(MAX_TRIANGLES)
        self._lock = Lock()
        self._posed: list[_Posed] = []
        self._placed: dict[str, tuple[Obstacle, Shaped]] = {}

    def see(self, people: PeopleSnapshot, frame_id: str) -> None:
        """Take in the people that a camera sees; makes their hulls, some 30 ms each."""
        posed = [
            _Posed(person, frame_id, self._shaped(person))
            for person in people.people
            if person.fit.is_measured
        ]
        with self._lock:
            self._posed = posed

    def forget(self) -> None:
        """Take everybody back."""
        with self._lock:
            self._posed = []

    def placed(self, lookup: Lookup) -> dict[str, tuple[Obstacle, Shaped]]:
        """Return who stands where by name; where a transform is missing, as it was before.

        Called by the thread that ``lookup`` belongs to.
        """
        with self._lock:
            posed = list(self._posed)
        placed = {}
        for each in posed:
            name = person_name(each.person.person_id)
            try:
                placed[name] = self._obstacle(name, each, lookup), each.shaped
            except TransformError:
                if name in self._placed:
                    placed[name] = self._placed[name]
        self._placed = placed
        return placed

    def _obstacle(self, name: str, posed: _Posed, lookup: Lookup) -> Obstacle:
        person = posed.person
        planning_from_camera = self._planning_from_camera(posed, lookup)
        return Obstacle(
            name=name,
            class_id=CLASS,
            planning_from_object=planning_from_camera @ camera_from_body(person.body),
            stamp_ns=person.last_seen_ns,
            seen_ns=person.last_seen_ns,
            shape=posed.shaped.shape,
        )

    def _planning_from_camera(self, posed: _Posed, lookup: Lookup) -> Similarity:
        fixed_from_camera = posed.person.fixed_from_camera
        if fixed_from_camera is not None and self._fixed_frame_id == self._frame_id:
            return fixed_from_camera
        if posed.frame_id == self._frame_id:
            return Similarity.identity()
        return lookup(self._frame_id, posed.frame_id, posed.person.last_seen_ns)

    def _shaped(self, person: ScenePerson) -> Shaped:
        surface = self._thinner.of(person.body)
        body_from_camera = camera_from_body(person.body).inverse()
        points = body_from_camera.apply(surface.vertices.astype(np.float64))
        part = self._enclosing(points, self._padding_m, MAX_CORNERS)
        shape = CollisionShape(
            parts=(part,),
            geometry="convex_hull",
            bounds=np.stack((points.min(axis=0), points.max(axis=0))),
            padding_m=self._padding_m,
            is_watertight=True,
            volume_m3=float(ConvexHull(part.vertices).volume),
            uncovered_m=0.0,
            hausdorff_m=float("nan"),
            seconds=0.0,
        )
        return Shaped(shape=shape, geometry=self._encode(shape), revision=person.last_seen_ns)


def people_obstacles(planner: Planner | None, config: NodeConfig) -> PeopleObstacles | None:
    """Let a planner ask for people, if there is one and ``body.collision`` wants that."""
    if planner is None or not config.body.collision:
        return None
    obstacles = PeopleObstacles(
        planner.frame_id, config.output_frame, config.planning.padding, planner.encode
    )
    planner.ask_also(obstacles.placed)
    return obstacles
