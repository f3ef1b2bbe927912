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

import numpy as np
import pytest
from geometry_msgs.msg import Point
from rclpy.serialization import deserialize_message
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from sam3d_ros.ros.markers import mesh_marker
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Provenance,
    Quality,
    SceneObject,
    Similarity,
)

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("name", ["a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg"])
def test_the_marker_is_read_back_whole_whatever_the_alignment(
    make_box: Callable[..., Mesh], name: str
) -> None:
    mesh = make_box(0.1, 0.2, 0.3)
    colors = np.arange(24, dtype=np.uint8).reshape(8, 3) * 10
    mesh = Mesh(
        vertices=mesh.vertices, triangles=mesh.triangles, colors=colors, observed=mesh.observed
    )
    known = SceneObject(
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
        revision=1,
        first_seen_ns=0,
        last_seen_ns=0,
    )
    (marker,) = deserialize_message(mesh_marker(known, name), MarkerArray).markers
    corners = mesh.triangles.ravel()
    expected = Marker(ns="sam3d/objects", id=7, type=Marker.TRIANGLE_LIST, frame_locked=True)
    expected.header.frame_id = name
    expected.scale.x = expected.scale.y = expected.scale.z = 1.0
    expected.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    expected.points = [
        Point(x=x, y=y, z=z) for x, y, z in mesh.vertices[corners].astype(float).tolist()
    ]
    expected.colors = [
        ColorRGBA(r=r, g=g, b=b, a=1.0)
        for r, g, b in (colors[corners] / np.float32(255)).astype(float).tolist()
    ]
    assert marker == expected
