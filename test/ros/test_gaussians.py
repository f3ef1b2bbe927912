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


"""``~/gaussians``: what a file of splats holds, as a cloud in the frame of each object."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2, PointField

from sam3d_ros.config import GaussiansConfig, NodeConfig
from sam3d_ros.objects.splat_files import COLUMNS, ply_from_splats, splats_from_ply
from sam3d_ros.ros.encode import header_of
from sam3d_ros.ros.gaussians import GaussianClouds, gaussians_msg, ply_rows
from sam3d_ros.ros.publishers import Outputs
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Provenance,
    Quality,
    SceneObject,
    SceneSnapshot,
    Similarity,
    Splats,
)

pytestmark = pytest.mark.ros


def make_splats(num: int, seed: int = 0) -> Splats:
    rng = np.random.default_rng(seed)
    return Splats(
        means=rng.uniform(-0.5, 0.5, (num, 3)).astype(np.float32),
        scales=rng.uniform(0.001, 0.02, (num, 3)).astype(np.float32),
        quats_wxyz=rng.normal(size=(num, 4)).astype(np.float32),
        opacities=rng.uniform(0.01, 0.99, num).astype(np.float32),
        sh_dc=rng.normal(size=(num, 3)).astype(np.float32),
    )


def known_object(track_id: int, splats: Splats | None, revision: int = 1) -> SceneObject:
    corners = np.eye(4, 3, dtype=np.float32)
    mesh = Mesh(
        vertices=corners,
        triangles=np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], dtype=np.int32),
        colors=np.full((4, 3), 128, dtype=np.uint8),
        observed=np.ones(4, dtype=np.float32),
    )
    return SceneObject(
        track_id=track_id,
        class_id="mug",
        score=1.0,
        state=ObjectState.TRACKED,
        reconstruction=ObjectReconstruction(
            mesh_object=mesh,
            camera_from_object=Similarity.identity(),
            quality=Quality(),
            provenance=Provenance(backend="test"),
            preview=mesh,
            splats=splats,
        ),
        size_m=np.ones(3),
        middle_m=np.zeros(3),
        revision=revision,
        first_seen_ns=5,
        last_seen_ns=7,
    )


def values_of(message: PointCloud2) -> Any:
    """Read a cloud as a subscriber does, by the names and offsets of its fields."""
    assert all(field.datatype == PointField.FLOAT32 for field in message.fields)
    dtype = np.dtype(
        {
            "names": [field.name for field in message.fields],
            "formats": ["<f4"] * len(message.fields),
            "offsets": [field.offset for field in message.fields],
            "itemsize": message.point_step,
        }
    )
    return np.frombuffer(message.data, dtype)


def test_a_cloud_holds_what_a_file_holds_under_the_same_names() -> None:
    splats = make_splats(20)
    message = gaussians_msg(ply_rows(splats), header_of("sam3d_mug_1", 7))
    values = values_of(message)
    assert values.dtype.names == COLUMNS
    assert (message.height, message.width, message.header.frame_id) == (1, 20, "sam3d_mug_1")
    assert message.row_step == message.point_step * 20 == len(message.data)
    header = ply_from_splats(splats).partition(b"end_header\n")[0] + b"end_header\n"
    read = splats_from_ply(header + bytes(message.data))
    np.testing.assert_allclose(read.means, splats.means)
    np.testing.assert_allclose(
        values["opacity"], np.log(splats.opacities / (1 - splats.opacities)), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(np.exp(values["scale_1"]), splats.scales[:, 1], rtol=1e-5)


def test_what_is_gone_is_taken_back_by_an_empty_cloud() -> None:
    sent: list[PointCloud2] = []
    clouds = GaussianClouds(sent.append, depth=5)
    clouds.send(known_object(1, make_splats(3)), "sam3d_mug_1")
    clouds.remove(1)
    clouds.remove(1)
    clouds.remove(2)
    assert [(each.header.frame_id, each.width) for each in sent] == [
        ("sam3d_mug_1", 3),
        ("sam3d_mug_1", 0),
    ]


def test_a_revision_without_splats_takes_back_those_of_the_last() -> None:
    sent: list[PointCloud2] = []
    clouds = GaussianClouds(sent.append, depth=5)
    clouds.send(known_object(1, None), "sam3d_mug_1")
    assert sent == []
    clouds.send(known_object(1, make_splats(3)), "sam3d_mug_1")
    clouds.send(known_object(1, None, revision=2), "sam3d_mug_1")
    assert [each.width for each in sent] == [3, 0]


class RecordingNode:
    """Makes publishers that keep what they are given, by topic."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Any]] = {}

    def create_lifecycle_publisher(
        self, message_type: Any, topic: str, qos: Any, event_callbacks: Any = None
    ) -> Any:
        heard = self.sent.setdefault(topic, [])
        return SimpleNamespace(publish=heard.append, qos=qos)


def outputs(publish: bool) -> tuple[RecordingNode, Outputs]:
    node = RecordingNode()
    config = replace(NodeConfig(), gaussians=GaussiansConfig(publish=publish))
    return node, Outputs(node, config)  # type: ignore[arg-type]  # as much of it as is needed


def snapshot(*objects: SceneObject, removed: tuple[int, ...] = ()) -> SceneSnapshot:
    return SceneSnapshot(stamp_ns=7, frame_id="camera", objects=objects, removed=removed)


def test_the_node_sends_the_splats_of_each_revision_once_and_takes_them_back() -> None:
    node, made = outputs(publish=True)
    known = known_object(1, make_splats(3))
    made.publish(snapshot(known))
    made.publish(snapshot(known))
    made.publish(snapshot(known_object(1, make_splats(4), revision=2)))
    made.publish_change(snapshot(removed=(1,)))
    clouds = node.sent["~/gaussians"]
    assert [each.width for each in clouds] == [3, 4, 0]
    (mesh, *_) = node.sent["~/meshes"]
    assert clouds[0].header.frame_id == mesh.header.frame_id
    assert clouds[0].header.stamp == mesh.header.stamp


def test_the_topic_is_off_unless_it_is_asked_for() -> None:
    node, made = outputs(publish=False)
    made.publish(snapshot(known_object(1, make_splats(3))))
    made.publish_change(snapshot(removed=(1,)))
    assert "~/gaussians" not in node.sent
