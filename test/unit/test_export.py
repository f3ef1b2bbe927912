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
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sam3d_ros.config import MeshConfig
from sam3d_ros.errors import ConfigError, ReconstructionError
from sam3d_ros.geometry.mesh_files import write_mesh
from sam3d_ros.objects import texture as texture_module
from sam3d_ros.objects.splat_files import read_splats
from sam3d_ros.objects.texture import Chart, TextureConfig
from sam3d_ros.scene.export import (
    object_name,
    scene_json,
    write_json,
    write_meshes,
    write_splat_files,
)
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
        middle_m=np.zeros(3),
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


@pytest.mark.parametrize("suffix", [".glb", ".ply"])
def test_meshes_without_colours_have_none(
    suffix: str, snapshot: SceneSnapshot, tmp_path: Path
) -> None:
    kinds = []
    for texture in ("vertex_color", "none"):
        write_meshes(snapshot, tmp_path / texture, MeshConfig(), texture)
        path = tmp_path / texture / f"sam3d_coffee_mug_3{suffix}"
        kinds.append(trimesh.load(path, force="mesh", process=False).visual.kind)
    assert kinds == ["vertex", None]


def corner_chart(mesh: Mesh, config: TextureConfig) -> Chart:
    """Stand in for xatlas: all triangles lie upon each other."""
    num = len(mesh.triangles)
    corner = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return Chart(
        source=mesh.triangles.ravel().astype(np.int64),
        triangles=np.arange(3 * num).reshape(num, 3),
        uv=np.tile(corner, (num, 1)),
        width=32,
        height=32,
    )


def red_splats() -> Splats:
    quats_wxyz = np.tile(np.float32([1, 0, 0, 0]), (9, 1))
    sh_dc = np.tile(np.float32([0.5, -0.5, -0.5]) / 0.28209479, (9, 1))
    ones = np.ones((9, 3), np.float32)
    return Splats(
        means=0.01 * ones,
        scales=0.01 * ones,
        quats_wxyz=quats_wxyz,
        opacities=ones[:, 0],
        sh_dc=sh_dc,
    )


def with_splats(snapshot: SceneSnapshot, splats: Splats) -> SceneSnapshot:
    (known,) = snapshot.objects
    reconstruction = replace(known.reconstruction, splats=splats)
    return replace(snapshot, objects=(replace(known, reconstruction=reconstruction),))


def test_a_baked_texture_shows_the_splats_where_there_are_some(
    snapshot: SceneSnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texture_module, "unwrapped", corner_chart)
    colors = []
    for number, shown in enumerate((snapshot, with_splats(snapshot, red_splats()))):
        files = write_meshes(shown, tmp_path / str(number), MeshConfig(), "baked")
        assert [path.suffix for path in files] == [".glb", ".ply"]
        read = trimesh.load(files[0], force="mesh")
        colors.append(np.asarray(read.visual.material.baseColorTexture.convert("RGB"))[5, 5])
        assert np.ptp(read.vertices, axis=0) == pytest.approx([0.1, 0.2, 0.3])
        assert trimesh.load(files[1], force="mesh").visual.kind == "vertex"
    np.testing.assert_array_equal(colors, [[128, 128, 128], [255, 0, 0]])


def test_a_mesh_that_can_have_no_texture_keeps_its_colours_and_the_log_says_so(
    snapshot: SceneSnapshot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(mesh: Mesh, config: TextureConfig) -> Chart:
        raise ReconstructionError("a mesh to be textured must have triangles, has none")

    monkeypatch.setattr(texture_module, "unwrapped", refuse)
    files = write_meshes(snapshot, tmp_path, MeshConfig(), "baked")
    assert trimesh.load(files[0], force="mesh").visual.kind == "vertex"
    assert "sam3d_coffee_mug_3.glb gets no texture" in caplog.text


def test_splats_are_written_where_there_are_some(snapshot: SceneSnapshot, tmp_path: Path) -> None:
    assert write_splat_files(snapshot, tmp_path) == []
    (path,) = write_splat_files(with_splats(snapshot, red_splats()), tmp_path)
    assert path.name == "sam3d_coffee_mug_3_splats.ply"
    np.testing.assert_allclose(read_splats(path).means, red_splats().means)


def test_each_object_is_written_in_each_format(snapshot: SceneSnapshot, tmp_path: Path) -> None:
    config = MeshConfig(formats=("stl", "glb"))
    files = write_meshes(snapshot, tmp_path / "meshes", config)
    names = [f"sam3d_coffee_mug_3.{each}" for each in ("glb", "ply", "stl")]
    assert [path.name for path in files] == names
    assert all(path.stat().st_size > 0 for path in files)
