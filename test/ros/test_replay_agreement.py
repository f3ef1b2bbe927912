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

"""The node over DDS and ``sam3d offline`` give one answer to one input."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("sam3d_ros.msg", reason="needs the built messages")

from sam3d_ros.apps.main import main
from sam3d_ros.apps.processes import RosProcesses
from sam3d_ros.evaluation.files import read_mesh
from sam3d_ros.evaluation.synthetic import (
    SceneSpec,
    arrange,
    render_view,
    write_scene_folder,
)
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.cameras import camera_from_fov

SPEC = SceneSpec(
    objects=("box", "can"),
    camera=camera_from_fov(320, 240, 45.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.004,
)
NODE = ("--ros-args", "-r", "__ns:=/sam3d", "-p", "output_frame:=world")

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "table"
    world = arrange(SPEC, seed=2)
    write_scene_folder(world, render_view(world, SPEC, SPEC.world_from_camera, seed=2), folder)
    return folder


@pytest.fixture(scope="module")
def heard(scene_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Send the scene to a node; return the folder of what a listener heard."""
    folder = tmp_path_factory.mktemp("heard")
    with RosProcesses(folder / "logs") as processes:
        processes.start("node", "sam3d_ros.ros.start", *NODE)
        processes.start(
            "listener", "sam3d_ros.ros.listener", str(folder), "--objects=2", "--timeout=90"
        )
        processes.start(
            "replay", "sam3d_ros.apps", "replay", str(scene_folder), "--hz", "1", "--loop"
        )
        code = processes.wait("listener", 100.0)
        logs = "\n".join(processes.last_lines(name) for name in ("node", "listener", "replay"))
        assert code == 0, logs
        ended = [processes.stop(name) for name in ("replay", "node")]
        assert [each.exit_code for each in ended] == [0, 0], logs
        assert processes.files_left() == []
    return folder


@pytest.fixture(scope="module")
def offline(scene_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline")
    assert main(["offline", str(scene_folder), "-o", str(folder)]) == 0
    return folder


def test_ids_poses_and_sizes_are_the_same(heard: Path, offline: Path) -> None:
    by_node = json.loads((heard / "heard.json").read_text())["objects"]
    by_file = json.loads((offline / "scene.json").read_text())["objects"]

    assert [each["track_id"] for each in by_node] == [each["id"] for each in by_file]
    for one, other in zip(by_node, by_file, strict=True):
        np.testing.assert_allclose(one["size_m"], other["size_m"], atol=1e-6)
        np.testing.assert_allclose(
            one["frame_from_object"], other["fixed_from_object"]["matrix"], atol=1e-6
        )


def test_meshes_are_the_same(heard: Path, offline: Path) -> None:
    by_node = [read_mesh(path) for path in sorted(heard.glob("*.glb"))]
    by_file = [read_mesh(path) for path in sorted(offline.glob("*.glb"))]

    assert len(by_node) == len(by_file) == 2
    # Files are named after classes, which label images do not carry: compare by size.
    for meshes in (by_node, by_file):
        meshes.sort(key=lambda mesh: float(np.ptp(mesh.vertices[:, 2])))
    for one, other in zip(by_node, by_file, strict=True):
        np.testing.assert_array_equal(one.triangles, other.triangles)
        np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-6)
        np.testing.assert_array_equal(one.colors, other.colors)


def test_tf_and_objects_tell_the_same_pose_in_the_fixed_frame(heard: Path) -> None:
    values = json.loads((heard / "heard.json").read_text())

    for known in values["objects"]:
        transform = values["tf"][known["id"]]
        assert transform["parent"] == known["frame_id"] == "world"
        np.testing.assert_allclose(
            transform["parent_from_child"], known["frame_from_object"], atol=1e-9
        )
