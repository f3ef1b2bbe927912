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

"""What is written can be read back: same size, same axes, valid JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sam3d_ros.config import MeshConfig
from sam3d_ros.errors import ConfigError
from sam3d_ros.geometry.mesh_files import write_mesh
from sam3d_ros.scene.export import object_name, scene_json, write_json, write_meshes
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Provenance,
    Quality,
    SceneObject,
    SceneSnapshot,
    Similarity,
)


@pytest.fixture
def snapshot(make_box: Callable[..., Mesh]) -> SceneSnapshot:
    known = SceneObject(
        track_id=3,
        class_id="coffee mug",
        score=float("nan"),
        state=ObjectState.NEW,
        reconstruction=ObjectReconstruction(
            mesh_object=make_box(0.1, 0.2, 0.3),
            camera_from_object=Similarity(np.eye(3), np.array([0.0, 0.0, 1.0])),
            quality=Quality(silhouette_iou=0.9),
            provenance=Provenance(backend="test"),
        ),
        size_m=np.array([0.1, 0.2, 0.3]),
        revision=1,
        first_seen_ns=5,
        last_seen_ns=5,
    )
    return SceneSnapshot(stamp_ns=5, frame_id="camera", objects=(known,), updated=(3,))


@pytest.mark.parametrize(
    ("class_id", "name"),
    [("mug", "sam3d_mug_3"), ("coffee mug", "sam3d_coffee_mug_3"), ("/a/b", "sam3d__a_b_3")],
)
def test_names_are_valid_tf_frames_and_file_stems(class_id: str, name: str) -> None:
    assert object_name(3, class_id) == name


def test_a_name_without_prefix_has_no_leading_underscore() -> None:
    assert object_name(3, "mug", prefix="") == "mug_3"


@pytest.mark.parametrize("suffix", [".glb", ".ply"])
def test_a_written_mesh_keeps_metres_axes_colours_and_closedness(
    make_box: Callable[..., Mesh], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"box{suffix}"
    write_mesh(make_box(0.1, 0.2, 0.3), path)
    read = trimesh.load(path, force="mesh")
    np.testing.assert_allclose(read.extents, [0.1, 0.2, 0.3], atol=1e-6)
    assert read.volume == pytest.approx(0.006, rel=1e-4)
    assert (read.visual.vertex_colors[:, :3] == 128).all()


def test_y_up_puts_the_object_z_axis_along_gltf_y(
    make_box: Callable[..., Mesh], tmp_path: Path
) -> None:
    write_mesh(make_box(0.1, 0.2, 0.3), tmp_path / "box.glb", up_axis="y")
    read = trimesh.load(tmp_path / "box.glb", force="mesh")
    np.testing.assert_allclose(read.extents, [0.1, 0.3, 0.2], atol=1e-6)
    assert read.volume > 0


def test_an_unknown_mesh_format_is_refused_by_name(
    make_box: Callable[..., Mesh], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.glb or \.ply, got 'box\.stl'"):
        write_mesh(make_box(1, 1, 1), tmp_path / "box.stl")


def test_scene_json_is_standard_json_and_says_null_where_nothing_was_measured(
    snapshot: SceneSnapshot, tmp_path: Path
) -> None:
    write_json(scene_json(snapshot), tmp_path / "scene.json")

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "scene.json").read_text()
    (known,) = json.loads(text, parse_constant=refuse)["objects"]
    assert known["name"] == "sam3d_coffee_mug_3"
    assert known["score"] is None
    assert known["quality"]["depth_residual_m"] is None
    assert known["quality"]["silhouette_iou"] == 0.9
    assert known["camera_from_object"]["quat_wxyz"] == [1.0, 0.0, 0.0, 0.0]


def test_each_object_is_written_in_each_format(snapshot: SceneSnapshot, tmp_path: Path) -> None:
    files = write_meshes(snapshot, tmp_path / "meshes", MeshConfig())
    assert [path.name for path in files] == ["sam3d_coffee_mug_3.glb", "sam3d_coffee_mug_3.ply"]
    assert all(path.stat().st_size > 0 for path in files)
