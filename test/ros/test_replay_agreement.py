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

"""The node over DDS and ``sam3d offline`` give one answer to one bag, frame by frame."""

import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("sam3d_ros.msg", reason="needs the built messages")

from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore

from sam3d_ros.apps import trials
from sam3d_ros.apps.bags import RawMessage
from sam3d_ros.apps.main import main
from sam3d_ros.apps.node_figures import INPUTS
from sam3d_ros.apps.processes import RosProcesses
from sam3d_ros.errors import ReportCode
from sam3d_ros.evaluation.files import read_mesh
from sam3d_ros.evaluation.synthetic import (
    SceneSpec,
    arrange,
    orbit,
    render_view,
    scene_from_view,
)
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.cameras import camera_from_fov, pixel_rays
from sam3d_ros.ros.recording import recording_from_frames
from sam3d_ros.structures import Frame, PointCloud, Similarity

SPEC = SceneSpec(
    objects=("box", "can"),
    camera=camera_from_fov(320, 240, 45.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.004,
)
NODE = trials.node_options(
    "queue.policy:=none", "use_sim_time:=true", *trials.heard_reliably(*INPUTS, "points")
)
EXPECTED = [ReportCode.OK, ReportCode.OK, ReportCode.MASK_EMPTY, ReportCode.OK]

pytestmark = [pytest.mark.ros, pytest.mark.slow]


def frames() -> list[Frame]:
    """Three views with a LiDAR beside the camera; between them one without a mask."""
    world = arrange(SPEC, seed=2)
    views = [render_view(world, SPEC, pose, seed=2) for pose in orbit(SPEC, 3, 0.2)]
    first, second, third = (
        with_points(scene_from_view(world, view, "table").frame) for view in views
    )
    return [first, second, replace(second, masks=()), replace(third, masks=third.masks[:1])]


def with_points(frame: Frame) -> Frame:
    assert frame.depth is not None
    points = (pixel_rays(frame.camera) * frame.depth.depth_m[..., None])[::4, ::4].reshape(-1, 3)
    is_known = np.isfinite(points).all(axis=1)
    beside = Similarity(np.eye(3), np.array([0.1, 0.0, 0.0]))
    points = beside.inverse().apply(points[is_known]).astype(np.float32)
    return replace(frame, points=PointCloud(points=points, camera_from_sensor=beside))


def write_bag(path: Path, messages: Iterable[RawMessage]) -> None:
    store = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(path, version=9) as writer:
        connections: dict[str, Any] = {}
        for each in messages:
            if each.topic not in connections:
                connections[each.topic] = writer.add_connection(
                    each.topic, each.type_name, typestore=store
                )
            writer.write(connections[each.topic], each.stamp_ns, each.data)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "table"
    write_bag(path, recording_from_frames(frames(), 2.0, "sam3d").messages())
    return path


@pytest.fixture(scope="module")
def heard(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Replay the bag to a node; return the folder of what a listener heard."""
    folder = tmp_path_factory.mktemp("heard")
    wanted = (f"--reports={EXPECTED.count(ReportCode.OK)}", "--objects=2", "--timeout=90")
    with RosProcesses(folder / "logs") as processes:
        processes.start("node", "sam3d_ros.ros.start", *NODE)
        processes.start("listener", "sam3d_ros.ros.listener", str(folder), *wanted)
        # Played once: the listener must be there before, so the replay comes last and waits.
        replay = ("replay", str(bag), "--clock", "--wait", "60")
        processes.start("replay", "sam3d_ros.apps", *replay)
        while processes.exit_code("listener") is None and processes.exit_code("node") is None:
            time.sleep(0.05)  # the listener gives up by itself, the replay ends before
        logs = "\n".join(processes.last_lines(name) for name in ("node", "listener", "replay"))
        assert processes.exit_code("listener") == 0, logs
        assert processes.stop("node").exit_code == 0, logs
    return folder


@pytest.fixture(scope="module")
def offline(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline")
    assert main(["offline", str(bag), "-o", str(folder)]) == 0
    return folder


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def test_every_mask_gets_the_same_code_and_objects(heard: Path, offline: Path) -> None:
    by_node = read(heard / "heard.json")["reports"]
    by_file = read(offline / "scene.json")["frames"]

    codes = [ReportCode(each["code"]) for each in by_node]
    assert codes == [ReportCode[row["code"]] for row in by_file] == EXPECTED
    assert [each["stamp_ns"] for each in by_node] == [row["stamp_ns"] for row in by_file]
    assert [each["message"] for each in by_node] == [row["message"] for row in by_file]


def test_ids_poses_and_sizes_are_the_same(heard: Path, offline: Path) -> None:
    by_node = read(heard / "heard.json")["objects"]
    by_file = read(offline / "scene.json")["objects"]

    assert [each["track_id"] for each in by_node] == [each["id"] for each in by_file] == [1, 2]
    for one, other in zip(by_node, by_file, strict=True):
        np.testing.assert_allclose(one["size_m"], other["size_m"], atol=1e-6)
        np.testing.assert_allclose(
            one["frame_from_object"], other["fixed_from_object"]["matrix"], atol=1e-4
        )


def test_meshes_are_the_same(heard: Path, offline: Path) -> None:
    names = [path.name for path in sorted(heard.glob("*.glb"))]

    written = [path.name for path in sorted(offline.glob("*.glb")) if path.stem != "scene"]
    assert names == written
    assert len(names) == 2
    for name in names:
        one, other = read_mesh(heard / name), read_mesh(offline / name)
        np.testing.assert_array_equal(one.triangles, other.triangles)
        np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-6)
        np.testing.assert_array_equal(one.colors, other.colors)


def test_tf_and_objects_tell_the_same_pose_in_the_fixed_frame(heard: Path) -> None:
    values = read(heard / "heard.json")

    for known in values["objects"]:
        transform = values["tf"][known["id"]]
        assert transform["parent"] == known["frame_id"] == "world"
