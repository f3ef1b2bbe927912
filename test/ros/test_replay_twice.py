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


"""A recording that is played again gives the same again: ids, poses, meshes."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("sam3d_ros.msg", reason="needs the built messages")

from sam3d_ros.msg import ObjectArray, ObjectMesh

from sam3d_ros.apps import trials
from sam3d_ros.apps.node_figures import INPUTS
from sam3d_ros.apps.processes import RosProcesses
from sam3d_ros.errors import ReportCode
from sam3d_ros.evaluation.changing_table import ChangingTable
from sam3d_ros.ros.harness.peer import NODE, Peer, exposures
from sam3d_ros.ros.qos import latched
from sam3d_ros.ros.recording import recording_from_frames

pytestmark = [pytest.mark.ros, pytest.mark.slow]
NODE_OPTIONS = trials.node_options(
    "queue.policy:=none", "masks.min_pixels:=100", *trials.heard_reliably(*INPUTS)
)
# One after the other comes, one goes.
PRESENT = [(0, 1), (0, 1, 4), (1, 4)]
PATIENCE_S = 90.0


class Heard:
    """What came of one round."""

    def __init__(self) -> None:
        self.codes: list[tuple[int, ReportCode]] = []
        self.objects: dict[str, Any] = {}
        self.meshes: dict[str, Any] = {}


def pose(message: Any) -> list[float]:
    at, turn = message.pose.pose.position, message.pose.pose.orientation
    return [at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w]


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[Heard]:
    """Play three exposures twice, each sent when the one before was reported on."""
    recording = recording_from_frames(ChangingTable().frames(PRESENT), 2.0, "sam3d")
    heard = [Heard(), Heard()]
    now = heard[0]

    def on_objects(message: ObjectArray) -> None:
        now.objects = {each.id: each for each in message.objects}

    def on_mesh(message: ObjectMesh) -> None:
        now.meshes[message.id] = message

    with RosProcesses(tmp_path_factory.mktemp("logs")) as processes, Peer(recording) as peer:
        peer.hear(ObjectArray, f"{NODE}/objects", on_objects, latched(1))
        peer.hear(ObjectMesh, f"{NODE}/meshes", on_mesh, latched(50))
        processes.start("node", "sam3d_ros.ros.start", *NODE_OPTIONS)
        assert peer.wait_until_heard(PATIENCE_S)
        for now in heard:
            for messages in exposures(recording):
                *others, mask = messages
                for message in others:
                    peer.send(message.topic, message.data)
                peer.spin(0.1)
                peer.send(mask.topic, mask.data)
                assert peer.until(lambda: peer.reports, PATIENCE_S), processes.last_lines("node")
                now.codes += [(mask.stamp_ns, ReportCode(each.code)) for each in peer.reports]
                peer.reports.clear()
            peer.spin(0.5)
    return heard


def test_both_rounds_are_processed(rounds: list[Heard]) -> None:
    first, second = rounds
    assert first.codes == second.codes
    assert [code for _, code in first.codes] == [ReportCode.OK] * len(PRESENT)


def test_ids_and_poses_are_the_same(rounds: list[Heard]) -> None:
    first, second = rounds
    assert first.objects.keys() == second.objects.keys()
    assert sorted(first.objects) == ["sam3d_object_1", "sam3d_object_2", "sam3d_object_3"]
    for name, known in first.objects.items():
        np.testing.assert_allclose(pose(known), pose(second.objects[name]), atol=1e-4)


def test_meshes_are_the_same(rounds: list[Heard]) -> None:
    first, second = rounds
    for name in first.objects:
        one, other = first.meshes[name], second.meshes[name]
        assert one.revision == other.revision
        np.testing.assert_array_equal(one.triangles, other.triangles)
        np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-6)
