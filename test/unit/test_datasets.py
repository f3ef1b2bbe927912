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

"""Scene folders: what is read, and how a broken one says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

from sam3d_ros.errors import DatasetError, DistortionError, IntrinsicsError
from sam3d_ros.evaluation.datasets import load_scene, scene_folders

SIZE = (8, 6)  # width, height
CAMERA = {"fx": 10.0, "fy": 10.0, "cx": 3.5, "cy": 2.5, "width": 8, "height": 6}
POSE = [[1, 0, 0, 0.1], [0, 1, 0, 0.2], [0, 0, 1, 0.9], [0, 0, 0, 1]]


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a scene of one box with truth and one mask that the truth does not name."""
    scene = tmp_path / "scene_a"
    (scene / "masks").mkdir(parents=True)
    write_json(scene / "camera.json", {**CAMERA, "T_world_cam": POSE})
    cv2.imwrite(str(scene / "rgb.png"), np.full((6, 8, 3), (10, 20, 30), dtype=np.uint8))
    depth = np.full((6, 8), 900, dtype=np.uint16)
    depth[0, 0] = 0
    cv2.imwrite(str(scene / "depth.png"), depth)
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[2:4, 2:6] = 255
    for name in ("box", "apple"):
        cv2.imwrite(str(scene / "masks" / f"{name}.png"), mask)
    trimesh.creation.box(extents=(0.1, 0.2, 0.3)).export(scene / "box.ply")
    entry = {"name": "box", "mask": "masks/box.png", "mesh": "box.ply", "T_cam_obj": POSE}
    write_json(scene / "gt.json", {"length_unit": "m", "objects": [entry]})
    return scene


def test_a_scene_folder_becomes_a_frame_with_truth(folder: Path) -> None:
    scene = load_scene(folder)

    assert scene.name == "scene_a"
    assert scene.frame.rgb[0, 0].tolist() == [30, 20, 10]
    assert [(m.instance_id, m.class_id) for m in scene.frame.masks] == [(1, "box"), (2, "apple")]
    assert scene.frame.fixed_frame_id == "world"
    (box,) = scene.truth
    assert box.mesh_camera is not None
    np.testing.assert_allclose(box.mesh_camera.vertices.mean(axis=0), (0.1, 0.2, 0.9), atol=1e-6)


def test_depth_is_metres_and_no_reading_is_nan(folder: Path) -> None:
    depth = load_scene(folder).frame.depth

    assert depth is not None
    assert np.isnan(depth.depth_m[0, 0])
    assert depth.depth_m[3, 3] == pytest.approx(0.9)


def test_depth_units_come_from_the_camera_file(folder: Path) -> None:
    write_json(folder / "camera.json", {**CAMERA, "depth_scale": 0.0001})

    depth = load_scene(folder).frame.depth

    assert depth is not None
    assert depth.depth_m[3, 3] == pytest.approx(0.09)


def test_noisy_depth_comes_first_and_another_file_can_be_named(folder: Path) -> None:
    cv2.imwrite(str(folder / "depth_noisy.png"), np.full((6, 8), 800, dtype=np.uint16))

    first, named = load_scene(folder).frame.depth, load_scene(folder, "depth.png").frame.depth

    assert first is not None
    assert named is not None
    assert first.depth_m[3, 3] == pytest.approx(0.8)
    assert named.depth_m[3, 3] == pytest.approx(0.9)


def test_depth_of_another_camera_keeps_that_camera(folder: Path) -> None:
    (folder / "depth.png").unlink()
    cv2.imwrite(str(folder / "depth_native.png"), np.full((3, 3), 700, dtype=np.uint16))
    native = {**CAMERA, "width": 3, "height": 3, "T_color_depth": POSE}
    write_json(folder / "camera_depth.json", native)

    depth = load_scene(folder).frame.depth

    assert depth is not None
    assert (depth.camera.width, depth.camera.height) == (3, 3)
    np.testing.assert_allclose(depth.color_from_depth.translation_m, (0.1, 0.2, 0.9))


def test_smaller_depth_of_the_same_aspect_gets_scaled_intrinsics(folder: Path) -> None:
    cv2.imwrite(str(folder / "depth.png"), np.full((3, 4), 900, dtype=np.uint16))

    depth = load_scene(folder).frame.depth

    assert depth is not None
    assert depth.camera.matrix_px[0, 0] == pytest.approx(5.0)


def test_lidar_points_stand_in_for_depth(folder: Path) -> None:
    points = np.array([[1.0, 0.0, 0.0], [np.nan, 0.0, 0.0]], dtype=np.float32)
    np.savez(folder / "lidar.npz", points=points)
    write_json(folder / "camera.json", {**CAMERA, "T_cam_lidar": POSE})

    frame = load_scene(folder, lidar=True).frame

    assert frame.depth is None
    assert frame.points is not None
    np.testing.assert_allclose(frame.points.points, [[1.0, 0.0, 0.0]])


def test_objects_without_mesh_or_pose_have_no_mesh_in_the_camera(folder: Path) -> None:
    write_json(folder / "gt.json", {"objects": [{"name": "box", "T_cam_obj": None}]})

    assert load_scene(folder).truth[0].mesh_camera is None


def test_people_stand_in_the_camera_frame_already(folder: Path) -> None:
    entry = {"name": "person_0", "mask": "masks/box.png", "mesh": "box.ply"}
    write_json(folder / "gt.json", {"people": [entry]})

    (person,) = load_scene(folder).truth

    assert person.mesh_camera is not None
    np.testing.assert_allclose(person.mesh_camera.vertices.mean(axis=0), 0.0, atol=1e-6)


def test_vertex_colours_of_a_mesh_are_kept(folder: Path) -> None:
    box = trimesh.creation.box(extents=(0.1, 0.2, 0.3))
    box.visual = trimesh.visual.ColorVisuals(box, vertex_colors=np.tile((9, 8, 7, 255), (8, 1)))
    box.export(folder / "box.ply")

    mesh = load_scene(folder).truth[0].mesh

    assert mesh is not None
    assert mesh.colors.tolist() == [[9, 8, 7]] * 8


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("camera.json", b"{", "camera.json: expected JSON"),
        ("camera.json", b"[]", "camera.json: expected a JSON object, got list"),
        ("camera.json", b'{"fx": 1}', "camera.json: expected a number 'fy', got None"),
        ("rgb.png", b"not a png", "rgb.png: expected an image, cannot decode 9 bytes"),
        ("depth.png", b"", "depth.png: expected an image, cannot decode 0 bytes"),
        ("masks/box.png", b"?", "box.png: expected an image"),
        ("box.ply", b"ply\nformat ascii 1.0\nend_header\n", "box.ply: expected a triangle mesh"),
        ("gt.json", b'{"length_unit": "mm"}', "gt.json: expected lengths in 'm', got 'mm'"),
        ("gt.json", b'{"objects": [{}]}', "gt.json: expected a name for object 1, got None"),
    ],
)
def test_a_damaged_file_is_named_with_what_it_should_be(
    folder: Path, name: str, content: bytes, says: str
) -> None:
    (folder / name).write_bytes(content)

    with pytest.raises(DatasetError, match=says):
        load_scene(folder)


@pytest.mark.parametrize("name", ["camera.json", "rgb.png", "masks/box.png", "box.ply"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    kind = name.split(".", maxsplit=1)[0]
    (folder / name).unlink()

    with pytest.raises(DatasetError, match=rf"expected.*{kind}|{kind}.*expected"):
        load_scene(folder)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "says"),
    [
        ("rgb.png", (5, 8, 3), np.uint8, "rgb.png: expected 8x6 pixels .* got 8x5"),
        ("masks/box.png", (6, 9), np.uint8, "box.png: expected 8x6 pixels .* got 9x6"),
        ("depth.png", (6, 6), np.uint16, "depth.png: expected 8x6 pixels or the same aspect"),
        ("depth.png", (6, 8), np.uint8, "depth.png: expected one channel of 16 bit"),
    ],
)
def test_an_image_of_wrong_size_or_depth_is_refused(
    folder: Path, name: str, shape: tuple[int, ...], dtype: type, says: str
) -> None:
    cv2.imwrite(str(folder / name), np.zeros(shape, dtype=dtype))

    with pytest.raises(DatasetError, match=says):
        load_scene(folder)


@pytest.mark.parametrize("pose", [[[1, 0], [0, 1]], "world", np.zeros((4, 4)).tolist()])
def test_a_pose_that_is_no_transform_is_refused(folder: Path, pose: Any) -> None:
    write_json(folder / "camera.json", {**CAMERA, "T_world_cam": pose})

    with pytest.raises(DatasetError, match="T_world_cam must be a 4x4 transform"):
        load_scene(folder)


@pytest.mark.parametrize("key", ["T_world_cam", "T_cam_lidar"])
def test_the_pose_of_a_sensor_must_not_scale(folder: Path, key: str) -> None:
    scaled = (1000.0 * np.eye(4)).tolist()
    write_json(folder / "camera.json", {**CAMERA, key: scaled})
    np.savez(folder / "lidar.npz", points=np.ones((4, 3), dtype=np.float32))

    with pytest.raises(DatasetError, match=rf"camera.json: {key} must be .* got scale 1000"):
        load_scene(folder, lidar=True)


def test_the_pose_of_an_object_may_scale_its_mesh(folder: Path) -> None:
    entry = {"name": "box", "mesh": "box.ply", "T_cam_obj": np.diag([2.0, 2.0, 2.0, 1.0]).tolist()}
    write_json(folder / "gt.json", {"objects": [entry]})

    (box,) = load_scene(folder).truth

    assert box.camera_from_object is not None
    assert box.camera_from_object.scale == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"fx": True}, "expected a number 'fx', got True"),
        ({"distortion": {"k1": 0.1}}, "expected a list 'distortion', got {'k1': 0.1}"),
        ({"distortion": 0.1}, "expected a list 'distortion', got 0.1"),
        ({"distortion": ["a"]}, r"expected a list of numbers 'distortion', got \['a'\]"),
    ],
)
def test_a_camera_file_with_another_kind_of_value_is_refused(
    folder: Path, changed: dict[str, Any], says: str
) -> None:
    described = {**CAMERA, "distortion_model": "plumb_bob", **changed}
    write_json(folder / "camera.json", described)

    with pytest.raises(DatasetError, match=rf"camera.json: {says}"):
        load_scene(folder)


@pytest.mark.parametrize("scale", [0, -0.001])
def test_units_of_depth_must_be_positive(folder: Path, scale: float) -> None:
    write_json(folder / "camera.json", {**CAMERA, "depth_scale": scale})

    with pytest.raises(DatasetError, match=rf"camera.json: .*positive 'depth_scale'.* got {scale}"):
        load_scene(folder)


def test_a_principal_point_far_from_the_image_is_refused(folder: Path) -> None:
    write_json(folder / "camera.json", {**CAMERA, "cx": 200.0})

    with pytest.raises(IntrinsicsError, match=r"camera.json: cx and cy must be in the image"):
        load_scene(folder)


def test_distortion_without_a_model_is_refused_and_none_needs_none(folder: Path) -> None:
    write_json(folder / "camera.json", {**CAMERA, "distortion": [0.0] * 5})
    assert not load_scene(folder).frame.camera.is_distorted

    write_json(folder / "camera.json", {**CAMERA, "distortion": [0.1, 0.0, 0.0, 0.0, 0.0]})
    with pytest.raises(DistortionError, match=r"camera.json: .*distortion_model, which is missing"):
        load_scene(folder)


@pytest.mark.parametrize(
    ("truth", "says"),
    [
        ({"objects": {"a": 1}}, "expected a list 'objects', got {'a': 1}"),
        ({"people": 3}, "expected a list 'people', got 3"),
        ({"objects": ["box"]}, "expected a JSON object for object 1, got 'box'"),
        ({"objects": [{"name": "box", "mask": 3}]}, "expected the name of a file 'mask', got 3"),
        ({"objects": [{"name": "box", "mesh": 3}]}, "expected the name of a file 'mesh', got 3"),
    ],
)
def test_a_truth_file_with_another_kind_of_value_is_refused(
    folder: Path, truth: dict[str, Any], says: str
) -> None:
    write_json(folder / "gt.json", truth)

    with pytest.raises(DatasetError, match=rf"gt.json: {says}"):
        load_scene(folder)


def test_what_is_null_in_a_truth_file_is_as_if_it_were_not_there(folder: Path) -> None:
    write_json(folder / "gt.json", {"objects": None})
    assert load_scene(folder).truth == ()

    write_json(folder / "gt.json", {"objects": [{"name": "box", "mask": None}]})
    (box,) = load_scene(folder).truth
    assert box.mask_path.name == "box.png"


def test_true_meshes_and_poses_can_be_left_unread(folder: Path) -> None:
    (folder / "box.ply").unlink()

    (box,) = load_scene(folder, shapes=False).truth

    assert (box.name, box.mesh, box.camera_from_object) == ("box", None, None)
    assert box.mask.any()


def test_scene_folders_are_found_below_and_sorted(folder: Path) -> None:
    other = folder.parent / "deeper" / "scene_b"
    other.mkdir(parents=True)
    write_json(other / "camera.json", CAMERA)

    assert scene_folders(folder) == [folder]
    assert scene_folders(folder.parent) == [other, folder]


def test_a_folder_without_scenes_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"found no camera\.json"):
        scene_folders(tmp_path)


def test_every_public_capture_can_be_read(shared_data: Path) -> None:
    scenes = [load_scene(path) for path in scene_folders(shared_data)]

    assert all(scene.frame.depth or scene.frame.points for scene in scenes)
    assert sum(len(scene.truth) for scene in scenes) >= 17
