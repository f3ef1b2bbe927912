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


"""What RViz and Foxglove show: one mesh per revision, texts and boxes with every frame.

A mesh hangs in its object's frame (``frame_locked``, stamp 0), so that a new pose costs one
transform and no marker. Ids are track ids; namespaces never change.
"""

import sys

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from rclpy.serialization import serialize_message
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from sam3d_ros.ros.encode import box_center, header_of, pose_msg, vector_msg
from sam3d_ros.structures import NS_PER_S, Mesh, SceneObject, Similarity

OBJECTS, BOXES, TEXTS = "sam3d/objects", "sam3d/boxes", "sam3d/text"
TEXT_HEIGHT_M = 0.03
BOX_LINE_M = 0.002
WHITE = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
GREEN = ColorRGBA(r=0.2, g=0.9, b=0.3, a=1.0)
# The twelve edges of a cube with corners at +-1/2, as pairs of corners.
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
EDGES = [(a, b) for a in range(8) for b in range(a) if (a ^ b) in (1, 2, 4)]
SENTINEL = 1.2345678901234567


def delete_all() -> MarkerArray:
    """Return what removes every marker of an earlier life of the node."""
    return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])


def deletion(track_id: int) -> MarkerArray:
    """Return what removes one object."""
    return MarkerArray(markers=[Marker(ns=OBJECTS, id=track_id, action=Marker.DELETE)])


def mesh_marker(known: SceneObject, name: str) -> bytes:
    """Return a MarkerArray with one mesh as TRIANGLE_LIST, serialised.

    One Point per corner is what the message wants. Serialising 15000 of them one by one would hold
    the interpreter, and with it every callback, for tens of milliseconds; so the array is written
    in one piece between what rclpy writes before and after it.
    """
    reconstruction = known.reconstruction
    mesh = reconstruction.preview or reconstruction.mesh_object
    return with_triangles(unit_marker(known, name, Marker.TRIANGLE_LIST), mesh)


def unit_marker(known: SceneObject, name: str, kind: int) -> Marker:
    """Return an object's marker in metres without what it shows."""
    marker = _object_marker(known.track_id, name, kind)
    marker.scale = vector_msg(np.ones(3))
    return marker


def box_marker(known: SceneObject, name: str) -> MarkerArray:
    """Return a MarkerArray with the object's box, in place of its mesh."""
    marker = _object_marker(known.track_id, name, Marker.CUBE)
    marker.scale = vector_msg(np.maximum(known.size_m, BOX_LINE_M))
    marker.pose = pose_msg(box_center(known))
    return MarkerArray(markers=[marker])


def label_markers(
    known: SceneObject, header: Header, frame_from_object: Similarity, lifetime_s: float
) -> list[Marker]:
    """Return text and box of one object, which vanish unless they are sent again."""
    box = frame_from_object @ box_center(known)
    shared = {"header": header, "id": known.track_id, "lifetime": duration_msg(lifetime_s)}
    size_cm = " x ".join(f"{100 * length:.1f}" for length in known.size_m)
    text = Marker(
        ns=TEXTS,
        type=Marker.TEXT_VIEW_FACING,
        text=f"{known.class_id} {known.track_id}\n{size_cm} cm",
        pose=pose_msg(box),
        color=WHITE,
        **shared,
    )
    text.scale.z = TEXT_HEIGHT_M
    edges = Marker(ns=BOXES, type=Marker.LINE_LIST, pose=pose_msg(box), color=GREEN, **shared)
    edges.scale.x = BOX_LINE_M
    corners = [Point(x=x, y=y, z=z) for x, y, z in (CORNERS * known.size_m).tolist()]
    edges.points = [corners[corner] for edge in EDGES for corner in edge]
    return [text, edges]


def _object_marker(track_id: int, name: str, kind: int) -> Marker:
    marker = Marker(header=header_of(name, 0), ns=OBJECTS, id=track_id, type=kind)
    marker.frame_locked = True
    marker.color = GREEN if kind == Marker.CUBE else WHITE
    return marker


def with_triangles(marker: Marker, mesh: Mesh) -> bytes:
    """Serialise a marker with the triangles of a mesh, coloured per vertex.

    CDR (OMG, "DDS Interoperability Wire Protocol", chapter 10) writes a sequence as its length in
    four bytes and then its elements, each aligned to its own size.
    """
    corners = mesh.triangles.ravel()
    points = mesh.vertices[corners].astype(np.float64)
    colors = np.ones((len(corners), 4), dtype=np.float32)
    colors[:, :3] = mesh.colors[corners] / np.float32(255)
    before, padding, after = _template(marker)
    length = len(corners).to_bytes(4, sys.byteorder)
    return b"".join([before, length, padding, points.tobytes(), length, colors.tobytes(), after])


def _template(marker: Marker) -> tuple[bytes, bytes, bytes]:
    """Return what rclpy writes before the number of points, between it and them, after the colours.

    That is found by writing one point and one colour with values that occur nowhere else, so it
    holds for every version of the message in which colours follow points.
    """
    without = serialize_message(MarkerArray(markers=[marker]))
    marker.points = [Point(x=SENTINEL, y=SENTINEL, z=SENTINEL)]
    marker.colors = [ColorRGBA(r=SENTINEL, g=SENTINEL, b=SENTINEL, a=SENTINEL)]
    written = serialize_message(MarkerArray(markers=[marker]))
    one = (1).to_bytes(4, sys.byteorder)
    content = np.full(3, SENTINEL).tobytes() + one + np.full(4, SENTINEL, np.float32).tobytes()
    start = written.index(content)
    # Both have two lengths; the points add themselves, the colour, and padding before them.
    padding = len(written) - len(without) - len(content) + len(one)
    first = start - padding
    return written[: first - len(one)], written[first:start], written[start + len(content) :]


def duration_msg(duration_s: float) -> Duration:
    """Return a duration."""
    whole = int(duration_s)
    return Duration(sec=whole, nanosec=int((duration_s - whole) * NS_PER_S))
