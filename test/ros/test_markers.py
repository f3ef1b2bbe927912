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


"""A marker that is written in one piece is the message that rclpy would write."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Point
from rclpy.serialization import deserialize_message
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray, UVCoordinate

from sam3d_ros.ros.markers import mesh_marker
from sam3d_ros.ros.textured_markers import textured_marker
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Provenance,
    Quality,
    SceneObject,
    Similarity,
    Texture,
)

pytestmark = pytest.mark.ros
NAMES = ["a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg"]


@pytest.mark.parametrize("name", NAMES)
def test_the_marker_is_read_back_whole_whatever_the_alignment(
    make_box: Callable[..., Mesh], name: str
) -> None:
    mesh = make_box(0.1, 0.2, 0.3)
    colors = np.arange(24, dtype=np.uint8).reshape(8, 3) * 10
    mesh = Mesh(
        vertices=mesh.vertices, triangles=mesh.triangles, colors=colors, observed=mesh.observed
    )
    known = object_of(mesh)
    (marker,) = deserialize_message(mesh_marker(known, name), MarkerArray).markers
    corners = mesh.triangles.ravel()
    expected = triangles_of(mesh, name)
    expected.colors = [
        ColorRGBA(r=r, g=g, b=b, a=1.0)
        for r, g, b in (colors[corners] / np.float32(255)).astype(float).tolist()
    ]
    assert marker == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_marker_with_an_image_is_read_back_whole_whatever_the_alignment(
    make_box: Callable[..., Mesh], name: str
) -> None:
    mesh = make_box(0.1, 0.2, 0.3)
    rng = np.random.default_rng(len(name))
    # Noise, so that the image's size in bytes is odd or even as it comes.
    image = rng.integers(0, 256, (5, 4 + len(name), 3)).astype(np.uint8)
    uv = rng.integers(0, 257, (12, 3, 2)) / 256  # exact in 32 bits
    written = textured_marker(object_of(mesh), name, mesh, Texture(uv, image))
    (marker,) = deserialize_message(written, MarkerArray).markers
    shown = cv2.imdecode(np.frombuffer(marker.texture.data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(shown[..., ::-1], image)
    expected = triangles_of(mesh, name)
    expected.texture_resource = f"embedded://{name}_r001"
    expected.texture.format = "png"
    expected.texture.data = marker.texture.data
    expected.uv_coordinates = [UVCoordinate(u=u, v=1 - v) for u, v in uv.reshape(-1, 2).tolist()]
    assert marker == expected


def triangles_of(mesh: Mesh, name: str) -> Marker:
    """Return what every marker of triangles has."""
    expected = Marker(ns="sam3d/objects", id=7, type=Marker.TRIANGLE_LIST, frame_locked=True)
    expected.header.frame_id = name
    expected.scale.x = expected.scale.y = expected.scale.z = 1.0
    expected.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    expected.points = [
        Point(x=x, y=y, z=z)
        for x, y, z in mesh.vertices[mesh.triangles.ravel()].astype(float).tolist()
    ]
    return expected


def object_of(mesh: Mesh) -> SceneObject:
    return SceneObject(
        track_id=7,
        class_id="box",
        score=0.5,
        state=ObjectState.NEW,
        reconstruction=ObjectReconstruction(
            mesh_object=mesh,
            camera_from_object=Similarity.identity(),
            quality=Quality(),
            provenance=Provenance(backend="test"),
        ),
        size_m=np.ones(3),
        middle_m=np.zeros(3),
        revision=1,
        first_seen_ns=0,
        last_seen_ns=0,
    )
