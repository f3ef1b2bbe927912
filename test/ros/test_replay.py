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

"""Replay: what is published is what was recorded, with stamps where and when they should be."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs")

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from sam3d_ros.apps.processes import RosProcesses
from sam3d_ros.config import NodeConfig
from sam3d_ros.evaluation.synthetic import (
    SceneSpec,
    arrange,
    render_view,
    scene_from_view,
    write_scene_folder,
)
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.ros.assembler import Assembler, Bundle
from sam3d_ros.ros.framing import Input, Instant, frame_from_bundle
from sam3d_ros.ros.recording import message_type, recording_from_frames
from sam3d_ros.ros.replay import Round, restamped
from sam3d_ros.structures import DepthImage, Frame, PointCloud, Similarity

DOMAIN = 97
NS = 10**9
SPEC = SceneSpec(
    objects=("box", "can"),
    camera=camera_from_fov(160, 120, 45.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.005,
)

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "table"
    world = arrange(SPEC, seed=1)
    write_scene_folder(world, render_view(world, SPEC, SPEC.world_from_camera, seed=1), folder)
    return folder


@pytest.fixture(scope="module")
def frame() -> Frame:
    world = arrange(SPEC, seed=1)
    view = render_view(world, SPEC, SPEC.world_from_camera, seed=1)
    rendered = scene_from_view(world, view, "table").frame
    lidar = PointCloud(
        points=np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32),
        camera_from_sensor=Similarity(np.eye(3), np.array([0.1, 0.2, 0.3])),
    )
    assert rendered.depth is not None
    depth = DepthImage(
        depth_m=rendered.depth.depth_m,
        camera=rendered.camera,
        color_from_depth=Similarity(np.eye(3), np.array([0.02, 0.0, 0.0])),
    )
    return Frame(
        rgb=rendered.rgb,
        camera=rendered.camera,
        masks=rendered.masks,
        depth=depth,
        points=lidar,
        fixed_from_camera=rendered.fixed_from_camera,
        fixed_frame_id="world",
    )


def _assembled(frame: Frame) -> Frame:
    """Send a frame through messages and back."""
    recording = recording_from_frames([frame], 1.0, "sam3d")
    assembler = Assembler(NodeConfig(output_frame="world"))
    inputs = {f"/sam3d/{each.value}": each for each in Input}
    assembler.announce(set(inputs.values()) - {Input.DETECTIONS, Input.LABEL_INFO})
    outcomes: list[Any] = []
    at = Instant(clock_ns=0, steady_ns=0)
    for raw in recording.messages():
        message: Any = deserialize_message(raw.data, message_type(raw.type_name))
        at = Instant(clock_ns=raw.stamp_ns, steady_ns=raw.stamp_ns)
        if raw.topic in inputs:
            outcomes += assembler.add(inputs[raw.topic], message, at)
        else:
            static = raw.topic == "/tf_static"
            outcomes += assembler.add_transforms(message.transforms, at, static=static)
    (bundle,) = outcomes + assembler.flush(at)
    assert isinstance(bundle, Bundle)
    return frame_from_bundle(bundle, NodeConfig(output_frame="world"))


def test_a_frame_comes_back_from_its_messages_as_it_was(frame: Frame) -> None:
    back = _assembled(frame)

    np.testing.assert_array_equal(back.rgb, frame.rgb)
    np.testing.assert_allclose(back.camera.matrix_px, frame.camera.matrix_px)
    assert back.depth is not None
    assert frame.depth is not None
    np.testing.assert_array_equal(back.depth.depth_m, frame.depth.depth_m)
    np.testing.assert_allclose(
        back.depth.color_from_depth.matrix, frame.depth.color_from_depth.matrix, atol=1e-9
    )
    assert back.fixed_from_camera is not None
    assert frame.fixed_from_camera is not None
    np.testing.assert_allclose(
        back.fixed_from_camera.matrix, frame.fixed_from_camera.matrix, atol=1e-9
    )
    assert [mask.instance_id for mask in back.masks] == [1, 2]
    for mask, given in zip(back.masks, frame.masks, strict=True):
        np.testing.assert_array_equal(mask.mask, given.mask)


def test_points_come_back_where_there_is_no_depth(frame: Frame) -> None:
    back = _assembled(replace(frame, depth=None))

    assert back.depth is None
    assert back.points is not None
    assert frame.points is not None
    np.testing.assert_array_equal(back.points.points, frame.points.points)
    np.testing.assert_allclose(
        back.points.camera_from_sensor.matrix, frame.points.camera_from_sensor.matrix, atol=1e-9
    )


def test_scenes_follow_each_other_at_the_given_rate(frame: Frame) -> None:
    recording = recording_from_frames([frame, frame, frame], 4.0, "")

    stamps = sorted({raw.stamp_ns for raw in recording.messages()})
    assert np.diff(stamps).tolist() == [NS // 4, NS // 4]
    assert recording.duration_ns == 3 * NS // 4
    assert "/image" in recording.types


@pytest.mark.parametrize("shift_ns", [1, -1, 3 * NS + 7, -NS])
def test_a_new_stamp_changes_the_stamp_and_nothing_else(shift_ns: int) -> None:
    image = Image(height=1, width=2, encoding="mono8", step=2, data=b"ab")
    image.header.stamp.sec, image.header.stamp.nanosec = 100, 5
    image.header.frame_id = "camera"

    moved: Any = deserialize_message(
        restamped(serialize_message(image), Image, lambda ns: ns + shift_ns), Image
    )

    assert moved.header.stamp.sec * NS + moved.header.stamp.nanosec == 100 * NS + 5 + shift_ns
    image.header.stamp = moved.header.stamp
    assert moved == image


def test_every_transform_of_a_tf_message_gets_a_new_stamp() -> None:
    message: Any = message_type("tf2_msgs/msg/TFMessage")()
    for second in (1, 2):
        message.transforms.append(message_type("geometry_msgs/msg/TransformStamped")())
        message.transforms[-1].header.stamp.sec = second

    data = restamped(serialize_message(message), type(message), lambda ns: ns + 10 * NS)
    moved: Any = deserialize_message(data, type(message))

    assert [each.header.stamp.sec for each in moved.transforms] == [11, 12]


def test_a_message_without_a_header_is_left_as_it_is() -> None:
    data = serialize_message(String(data="hello"))

    assert restamped(data, String, lambda ns: ns + NS) == data


@pytest.mark.parametrize("rate", [0.5, 1.0, 4.0])
def test_stamps_of_the_present_pass_as_fast_as_time_does(rate: float) -> None:
    played = Round(begin_ns=7 * NS, steady_ns=100 * NS, rate=rate, clock_ns=1000 * NS)

    for recorded_ns in (7 * NS, 9 * NS, 12 * NS):
        passed_ns = played.due_ns(recorded_ns) - 100 * NS
        assert passed_ns == round((recorded_ns - 7 * NS) / rate)
        assert played.stamp_ns(recorded_ns) == 1000 * NS + passed_ns
        assert played.told_ns(played.due_ns(recorded_ns)) == played.stamp_ns(recorded_ns)
    assert played.stamp_ns(0) == 0  # not stamped


@pytest.mark.parametrize("rate", [0.5, 1.0, 4.0])
def test_recorded_stamps_stay_and_the_clock_tells_them_when_they_are_due(rate: float) -> None:
    played = Round(begin_ns=7 * NS, steady_ns=100 * NS, rate=rate)

    assert played.stamp_ns(9 * NS) == 9 * NS
    assert played.told_ns(played.due_ns(9 * NS)) == 9 * NS


class Hearing:
    """Subscribes in a context of its own and collects."""

    def __init__(self, topics: dict[str, type], reliable: bool) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = Node("hearing", context=self.context)
        self.messages: dict[str, list[Any]] = {topic: [] for topic in topics}
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        for topic, kind in topics.items():
            qos = QoSProfile(depth=10, reliability=reliability)
            self.node.create_subscription(kind, topic, self.messages[topic].append, qos)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def until(self, num: int, timeout_s: float = 20.0) -> None:
        """Spin until every topic has ``num`` messages."""
        deadline_s = time.monotonic() + timeout_s
        while any(len(each) < num for each in self.messages.values()):
            assert time.monotonic() < deadline_s, {k: len(v) for k, v in self.messages.items()}
            self.executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RosProcesses]:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with RosProcesses(tmp_path / "logs", DOMAIN) as processes:
        yield processes


@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "best effort"])
def test_a_scene_folder_is_heard_on_the_topics_of_the_node(
    network: RosProcesses, scene_folder: Path, reliable: bool
) -> None:
    """Looped and faster than recorded, stamps are still those of the present."""
    topics = {"/sam3d/image": Image, "/sam3d/camera_info": CameraInfo, "/sam3d/masks": Image}
    hearing = Hearing(topics, reliable)
    before_s = time.time()
    network.start("replay", "sam3d_ros.apps", "replay", str(scene_folder), "--rate", "5", "--loop")
    hearing.until(5)
    ended = network.stop("replay")
    hearing.close()

    stamps = [each.header.stamp for each in hearing.messages["/sam3d/image"]]
    seconds = [stamp.sec + 1e-9 * stamp.nanosec for stamp in stamps]
    assert seconds == sorted(seconds)
    assert before_s < seconds[0] < time.time()
    assert (ended.exit_code, network.files_left()) == (0, [])


def test_a_bag_is_heard_as_recorded_with_its_clock(
    network: RosProcesses, shared_data: Path
) -> None:
    clock = message_type("rosgraph_msgs/msg/Clock")
    topics = {"/lidar/points": PointCloud2, "/tf": TFMessage, "/clock": clock}
    hearing = Hearing(topics, reliable=True)
    bag = shared_data / "bags" / "synthetic_rgbd_lidar"
    network.start("replay", "sam3d_ros.apps", "replay", str(bag), "--clock", "--rate", "4")
    hearing.until(5)
    hearing.close()

    assert hearing.messages["/lidar/points"][0].header.stamp.sec == 1_700_000_000
    assert hearing.messages["/clock"][0].clock.sec in (1_699_999_999, 1_700_000_000)


def test_replay_without_ros_says_what_is_missing(scene_folder: Path) -> None:
    script = (
        "import sys; sys.modules['rclpy'] = None; from sam3d_ros.apps.main import main; "
        f"sys.exit(main(['replay', {str(scene_folder)!r}]))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )

    assert done.returncode == 1
    assert "needs ROS 2" in done.stderr
    assert "Traceback" not in done.stderr
