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

"""What RViz and Foxglove show of people: mesh, skeleton and name, with every image with masks.

They vanish unless they are sent again, as labels do. Ids are person ids; namespaces never change.
"""

from collections.abc import Iterable

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from sam3d_ros.ros.encode import header_of, pose_msg, vector_msg
from sam3d_ros.ros.markers import WHITE, duration_msg, with_triangles
from sam3d_ros.ros.people.messages import ParentFrame
from sam3d_ros.scene.people.surfaces import Thinner
from sam3d_ros.structures import Floats, Ints, Mesh, ScenePerson, Similarity
from sam3d_ros.structures.mhr import BONES, KEYPOINT_NAMES

BODIES, SKELETONS, TEXTS = "sam3d/bodies", "sam3d/skeletons", "sam3d/body_text"
MAX_TRIANGLES = 2000  # of one person, with every image: 120 bytes each
BONE_M = 0.015
TEXT_HEIGHT_M = 0.1
ABOVE_M = 0.3  # a name above the nose
NOSE = KEYPOINT_NAMES.index("nose")
# Told apart by most people, colour-blind ones included (Okabe and Ito).
COLORS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167)],
    dtype=np.uint8,
)


class BodyMeshes:
    """Makes mesh markers."""

    def __init__(self, max_triangles: int) -> None:
        self._thinner = Thinner(min(max_triangles, MAX_TRIANGLES))

    def marker(self, person: ScenePerson, parent: ParentFrame, lifetime_s: float) -> bytes:
        """Return a MarkerArray with one person as TRIANGLE_LIST, serialised."""
        surface = self._thinner.of(person.body)
        num = len(surface.vertices)
        mesh = Mesh(
            vertices=surface.vertices,
            triangles=surface.triangles,
            colors=np.tile(_color(person), (num, 1)),
            observed=np.ones(num, dtype=np.float32),
        )
        marker = _marker(person, BODIES, Marker.TRIANGLE_LIST, parent, lifetime_s)
        marker.pose = pose_msg(parent.from_camera(person))
        marker.scale = vector_msg(np.ones(3))
        return with_triangles(marker, mesh)


def skeleton_markers(
    people: Iterable[ScenePerson], parent: ParentFrame, lifetime_s: float
) -> list[Marker]:
    """Return skeleton and name of each person."""
    return [
        marker
        for person in people
        for marker in (
            _skeleton(person, parent, lifetime_s),
            _name(person, parent, lifetime_s),
        )
    ]


def deletions(person_ids: Iterable[int]) -> list[Marker]:
    """Return what removes people."""
    return [
        Marker(ns=namespace, id=person_id, action=Marker.DELETE)
        for person_id in person_ids
        for namespace in (BODIES, SKELETONS, TEXTS)
    ]


def clearing() -> MarkerArray:
    """Return what removes everybody of an earlier life of the node."""
    return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])


def _skeleton(person: ScenePerson, parent: ParentFrame, lifetime_s: float) -> Marker:
    marker = _marker(person, SKELETONS, Marker.LINE_LIST, parent, lifetime_s)
    marker.pose = pose_msg(parent.from_camera(person))
    marker.scale.x = BONE_M
    marker.color = _rgba(_color(person))
    keypoints = person.body.keypoints_camera.astype(np.float64)
    points = [Point(x=x, y=y, z=z) for x, y, z in keypoints.tolist()]
    marker.points = [points[end] for bone in BONES for end in bone]
    return marker


def _name(person: ScenePerson, parent: ParentFrame, lifetime_s: float) -> Marker:
    marker = _marker(person, TEXTS, Marker.TEXT_VIEW_FACING, parent, lifetime_s)
    above = person.body.keypoints_camera[NOSE].astype(np.float64) + _up(person) * ABOVE_M
    marker.pose = pose_msg(parent.from_camera(person) @ Similarity(np.eye(3), above))
    marker.scale.z = TEXT_HEIGHT_M
    marker.color = WHITE
    distance_m = float(np.linalg.norm(person.body.origin_camera))
    guess = "" if person.fit.is_measured else "?"
    marker.text = f"person {person.person_id}\n{distance_m:.1f} m{guess}"
    return marker


def _up(person: ScenePerson) -> Floats:
    """Return the direction from hips to nose, a unit vector ``(3,)``."""
    up = person.body.keypoints_camera[NOSE].astype(np.float64) - person.body.origin_camera
    return up / max(float(np.linalg.norm(up)), 1e-9)


def _marker(
    person: ScenePerson, namespace: str, kind: int, parent: ParentFrame, lifetime_s: float
) -> Marker:
    header: Header = header_of(parent.name, person.last_seen_ns)
    lifetime = duration_msg(lifetime_s)
    return Marker(
        header=header, ns=namespace, id=person.person_id, type=kind, lifetime=lifetime, color=WHITE
    )


def _color(person: ScenePerson) -> Ints:
    color: Ints = COLORS[person.person_id % len(COLORS)]
    return color


def _rgba(color: Ints) -> ColorRGBA:
    red, green, blue = (float(value) / 255.0 for value in color)
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)
