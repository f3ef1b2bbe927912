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


"""Markers with an image: in the message, or in a file that RViz reads.

RViz (``triangle_list_marker.cpp``) lights these, unlike triangles with colours of their vertices;
of a file (``assimp_loader.cpp``) it shows images, but no colours of vertices.
"""

import sys

import cv2
import numpy as np
from geometry_msgs.msg import Point
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray, UVCoordinate

from sam3d_ros.ros.encode import byte_array
from sam3d_ros.ros.markers import SENTINEL, unit_marker
from sam3d_ros.structures import Bytes, Floats, Mesh, SceneObject, Texture

LENGTH_SIZE = 4  # bytes that say how many elements follow


def file_marker(known: SceneObject, name: str, uri: str) -> MarkerArray:
    """Return a MarkerArray with one mesh as a file; colour zero leaves those of the file."""
    marker = unit_marker(known, name, Marker.MESH_RESOURCE)
    marker.color = ColorRGBA()
    marker.mesh_resource = uri
    marker.mesh_use_embedded_materials = True
    return MarkerArray(markers=[marker])


def textured_marker(known: SceneObject, name: str, mesh: Mesh, texture: Texture) -> bytes:
    """Return a MarkerArray with one mesh as TRIANGLE_LIST with an image, serialised."""
    marker = unit_marker(known, name, Marker.TRIANGLE_LIST)
    marker.texture_resource = f"embedded://{name}_r{known.revision:03d}"
    marker.texture = _png(texture.image)
    points = mesh.vertices[mesh.triangles.ravel()].astype(np.float64)
    # Rows of an image count downwards in RViz.
    uv = texture.uv.reshape(-1, 2) * (1, -1) + (0, 1)
    return _with_corners(marker, points, uv.astype(np.float32))


def _png(image: Bytes) -> CompressedImage:
    message = CompressedImage(format="png")
    message.data = byte_array(cv2.imencode(".png", image[..., ::-1])[1])
    return message


def _with_corners(marker: Marker, points: Floats, uv: Floats) -> bytes:
    """Serialise a marker with points ``(N, 3)`` and their places on its image, ``(N, 2)``.

    As in ``markers.with_triangles`` arrays go between what rclpy writes around one element with
    values that occur nowhere else. What follows stays aligned, for elements have 24 and 8 bytes.
    """
    padding = _padding(Marker(header=marker.header, ns=marker.ns))
    marker.points = [Point(x=SENTINEL, y=SENTINEL, z=SENTINEL)]
    marker.uv_coordinates = [UVCoordinate(u=SENTINEL, v=SENTINEL)]
    written = serialize_message(MarkerArray(markers=[marker]))
    point, place = np.full(3, SENTINEL).tobytes(), np.full(2, SENTINEL, np.float32).tobytes()
    first, second = written.index(point), written.rindex(place)
    length = len(points).to_bytes(LENGTH_SIZE, sys.byteorder)
    return b"".join(
        [
            written[: first - padding - LENGTH_SIZE],
            length,
            written[first - padding : first],
            points.tobytes(),
            written[first + len(point) : second - LENGTH_SIZE],
            length,
            uv.tobytes(),
            written[second + len(place) :],
        ]
    )


def _padding(marker: Marker) -> int:
    """Return how many bytes lie between the number of points and the first of them."""
    without = serialize_message(MarkerArray(markers=[marker]))
    marker.points = [Point()]
    one = serialize_message(MarkerArray(markers=[marker]))
    return len(one) - len(without) - np.zeros(3).nbytes
