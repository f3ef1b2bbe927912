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

"""``sam3d offline``: what lands on disk, and that nothing of the input is lost on the way."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sam3d_ros.apps import offline
from sam3d_ros.apps.main import main
from sam3d_ros.apps.settings import node_config
from sam3d_ros.apps.sources import Source
from sam3d_ros.errors import ConfigError
from sam3d_ros.evaluation.datasets import load_scene
from sam3d_ros.evaluation.synthetic import (
    SceneSpec,
    arrange,
    render_view,
    write_scene_folder,
)
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.objects.splat_files import read_splats
from sam3d_ros.ros.assembler import TimeJump
from sam3d_ros.structures import Frame

SPEC = SceneSpec(
    objects=("box", "can"),
    camera=camera_from_fov(320, 240, 45.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.004,
)


@pytest.fixture(scope="module")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "table"
    world = arrange(SPEC, seed=1)
    write_scene_folder(world, render_view(world, SPEC, SPEC.world_from_camera, seed=1), folder)
    return folder


@pytest.fixture(scope="module")
def output(scene_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("out")
    assert main(["offline", str(scene_folder), "-o", str(output)]) == 0
    return output


def test_every_object_becomes_a_closed_mesh_in_both_formats(output: Path) -> None:
    for suffix in (".glb", ".ply"):
        files = [path for path in sorted(output.glob(f"*{suffix}")) if path.stem != "scene"]
        assert len(files) == 2
        for path in files:
            assert trimesh.load(path, force="mesh").is_watertight


def test_poses_and_sizes_in_scene_json_stand_where_the_objects_stand(
    output: Path, scene_folder: Path
) -> None:
    scene = json.loads((output / "scene.json").read_text())
    truths = load_scene(scene_folder).truth

    assert len(scene["objects"]) == len(truths)
    for truth in truths:
        assert truth.mesh_camera is not None
        center = truth.mesh_camera.vertices.mean(axis=0)
        nearest = min(
            scene["objects"],
            key=lambda each: np.linalg.norm(each["camera_from_object"]["translation_m"] - center),
        )
        np.testing.assert_allclose(
            nearest["camera_from_object"]["translation_m"], center, atol=0.03
        )
        assert nearest["quality"]["silhouette_iou"] > 0.8
        assert nearest["seconds"]


def stands_at(path: Path) -> dict[str, np.ndarray]:
    """Return the corners of each object's box in a file of a whole scene."""
    scene = trimesh.load(path)
    return {
        name: scene.geometry[scene.graph[name][1]]
        .copy()
        .apply_transform(scene.graph[name][0])
        .bounds
        for name in scene.graph.nodes_geometry
    }


def test_all_objects_stand_in_one_file_in_the_frame_that_scene_json_names(output: Path) -> None:
    scene = json.loads((output / "scene.json").read_text())
    assert scene["scene"] == {"meshes": "scene.glb", "splats": None, "frame": "fixed"}
    boxes = stands_at(output / "scene.glb")
    assert boxes.keys() == {each["name"] for each in scene["objects"]}
    for each in scene["objects"]:
        mesh = trimesh.load(output / f"{each['name']}.glb", force="mesh")
        mesh.apply_transform(each["fixed_from_object"]["matrix"])
        np.testing.assert_allclose(boxes[each["name"]], mesh.bounds, atol=1e-5)


@pytest.mark.parametrize("up_axis", ["z", "y"])
def test_without_a_fixed_frame_they_stand_in_that_of_the_camera(
    scene_folder: Path, tmp_path: Path, up_axis: str
) -> None:
    nowhere = tmp_path / "nowhere"
    shutil.copytree(scene_folder, nowhere)
    camera = json.loads((nowhere / "camera.json").read_text())
    for name in [name for name in camera if "world" in name]:
        del camera[name]
    (nowhere / "camera.json").write_text(json.dumps(camera))
    settings = tmp_path / "sam3d.yaml"
    settings.write_text(f"/**: {{ros__parameters: {{mesh.glb_up_axis: '{up_axis}'}}}}")

    assert main(["offline", str(nowhere), "-o", str(tmp_path), "--params", str(settings)]) == 0

    scene = json.loads((tmp_path / "scene.json").read_text())
    assert scene["scene"]["frame"] == "camera"
    turn = np.diag([1, -1, -1, 1]) if up_axis == "y" else np.eye(4)
    boxes = stands_at(tmp_path / "scene.glb")
    for each in scene["objects"]:
        mesh = trimesh.load(tmp_path / f"{each['name']}.ply", force="mesh")  # never turned
        mesh.apply_transform(turn @ each["camera_from_object"]["matrix"])
        np.testing.assert_allclose(boxes[each["name"]], mesh.bounds, atol=1e-5)


@pytest.mark.parametrize(("texture", "has_colors"), [("none", False), ("vertex_color", True)])
def test_the_file_of_the_scene_has_colours_unless_there_shall_be_none(
    texture: str, has_colors: bool, scene_folder: Path, tmp_path: Path
) -> None:
    assert main(["offline", str(scene_folder), "-o", str(tmp_path), "--texture", texture]) == 0
    found = trimesh.load(tmp_path / "scene.glb").geometry.values()
    assert [mesh.visual.kind == "vertex" for mesh in found] == [has_colors] * 2


def test_where_nothing_was_made_there_is_no_file_of_the_scene(
    scene_folder: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "sam3d.yaml"
    settings.write_text("/**: {ros__parameters: {masks.min_pixels: 100000}}")
    main(["offline", str(scene_folder), "-o", str(tmp_path), "--params", str(settings)])
    assert "scene" not in json.loads((tmp_path / "scene.json").read_text())
    assert not (tmp_path / "scene.glb").exists()


def test_there_is_an_overlay_and_a_contact_sheet(output: Path) -> None:
    assert (output / "overlay.png").stat().st_size > 1000
    assert (output / "contact_sheet.png").stat().st_size > 1000


def test_every_frame_has_a_row_and_a_failed_mask_says_why(
    scene_folder: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "sam3d.yaml"
    settings.write_text("/**:\n  ros__parameters:\n    masks.min_pixels: 100000\n")

    code = main(["offline", str(scene_folder), "-o", str(tmp_path), "--params", str(settings)])

    (row,) = json.loads((tmp_path / "scene.json").read_text())["frames"]
    assert code == 1  # nothing was reconstructed
    assert row["code"] == "MASK_EMPTY"
    assert [failure["code"] for failure in row["failures"]] == ["MASK_EMPTY", "MASK_EMPTY"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def quick(tmp_path: Path) -> list[str]:
    """Return arguments with which untrained weights take seconds."""
    settings = tmp_path / "quick.yaml"
    settings.write_text(
        "/**: {ros__parameters: {device: cpu, objects.stage1_steps: 2, objects.stage2_steps: 2}}"
    )
    return ["--params", str(settings), "--backend", "sam3d"]


def test_splats_are_written_when_asked_for(
    scene_folder: Path, weights: Path, quick: list[str], tmp_path: Path
) -> None:
    arguments = ["offline", str(scene_folder), "--weights", str(weights), *quick]

    assert main([*arguments, "-o", str(tmp_path / "without")]) == 0
    assert main([*arguments, "-o", str(tmp_path / "with"), "--splats"]) == 0

    assert list((tmp_path / "without").glob("*_splats.ply")) == []
    scene = json.loads((tmp_path / "with" / "scene.json").read_text())
    whole = tmp_path / "with" / "scene_splats.ply"
    files = sorted({*(tmp_path / "with").glob("*_splats.ply")} - {whole})
    assert [path.name for path in files] == sorted(scene["splats"])
    assert len(files) == len(scene["objects"]) == 2
    for path in files:
        mesh = trimesh.load(path.with_name(path.name.replace("_splats", "")), force="mesh")
        reach = np.ptp(mesh.vertices, axis=0).max()
        middle = read_splats(path).means.mean(axis=0)
        np.testing.assert_allclose(middle, mesh.vertices.mean(axis=0), atol=0.5 * reach)
    assert scene["scene"]["splats"] == whole.name
    poses = {f"{each['name']}_splats.ply": each["fixed_from_object"] for each in scene["objects"]}
    placed = [
        trimesh.transform_points(read_splats(path).means, poses[path.name]["matrix"])
        for path in files
    ]
    together = np.sort(np.concatenate(placed), axis=0)
    np.testing.assert_allclose(np.sort(read_splats(whole).means, axis=0), together, atol=1e-5)


def test_an_image_without_depth_is_reconstructed_where_the_depth_model_is(
    scene_folder: Path, weights: Path, quick: list[str], tmp_path: Path
) -> None:
    blind = tmp_path / "blind"
    shutil.copytree(scene_folder, blind)
    for path in blind.glob("depth*.png"):
        path.unlink()
    arguments = ["offline", str(blind), "--weights", str(weights), *quick]

    assert main([*arguments, "-o", str(tmp_path / "out")]) == 0

    scene = json.loads((tmp_path / "out" / "scene.json").read_text())
    assert len(scene["objects"]) == 2
    for known in scene["objects"]:
        assert known["scale_source"] == "MONOCULAR"
        assert "a guess" in known["notes"][0]
        assert known["quality"]["depth_residual_m"] is None


def test_textures_that_cannot_be_baked_are_refused_before_anything_is_reconstructed(
    scene_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "xatlas", None)
    output = tmp_path / "out"

    assert main(["offline", str(scene_folder), "-o", str(output), "--texture", "baked"]) == 1

    assert "python3 -m pip install xatlas" in capsys.readouterr().err
    assert not output.exists()


@pytest.fixture
def one_object(scene_folder: Path) -> Callable[[int, float], Frame]:
    """Return a maker of frames that show nothing but one object, at some second."""
    frame = load_scene(scene_folder).frame

    def make(index: int, second: float) -> Frame:
        shown = () if index < 0 else (frame.masks[index],)
        return replace(frame, masks=shown, stamp_ns=round(second * 1e9))

    return make


def test_objects_forgotten_during_the_run_have_files_and_entries_too(
    one_object: Callable[[int, float], Frame], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    items = [
        one_object(0, 100.0),
        one_object(1, 200.0),  # the first one has been unseen for too long
        TimeJump(stamp_ns=0, back_s=200.0),
        one_object(0, 1.0),
    ]
    source = Source(name="long", num_frames=len(items), items=items)
    monkeypatch.setattr(offline, "scene_folders", lambda path: [path])
    monkeypatch.setattr(offline, "scene_source", lambda *_: source)

    assert main(["offline", str(tmp_path), "-o", str(tmp_path)]) == 0

    scene = json.loads((tmp_path / "scene.json").read_text())
    assert [each["id"] for each in scene["objects"]] == [1, 2, 3]
    assert len(scene["meshes"]) == len(list(tmp_path.glob("sam3d_*.[gp]l[by]"))) == 6
    assert stands_at(tmp_path / "scene.glb").keys() == {each["name"] for each in scene["objects"]}


def test_a_frame_without_masks_is_reported_as_the_node_reports_it(
    one_object: Callable[[int, float], Frame], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    items = [one_object(0, 1.0), one_object(-1, 2.0)]
    source = Source(name="gap", num_frames=len(items), items=items)
    monkeypatch.setattr(offline, "scene_folders", lambda path: [path])
    monkeypatch.setattr(offline, "scene_source", lambda *_: source)

    main(["offline", str(tmp_path), "-o", str(tmp_path)])

    rows = json.loads((tmp_path / "scene.json").read_text())["frames"]
    assert [row["code"] for row in rows] == ["OK", "MASK_EMPTY"]
    assert "no pixel above 0" in rows[1]["message"]


def test_scenes_below_a_folder_go_to_folders_of_their_own(
    scene_folder: Path, tmp_path: Path
) -> None:
    assert main(["offline", str(scene_folder.parent), "-o", str(tmp_path)]) == 0

    assert (tmp_path / "table" / "scene.json").is_file()


def test_a_folder_without_a_depth_file_says_which_ones_are_read(
    scene_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "blind"
    shutil.copytree(scene_folder, folder)
    for path in folder.glob("depth*.png"):
        path.unlink()
    (folder / "depth.tiff").write_bytes(b"II")

    assert main(["offline", str(folder), "-o", str(tmp_path / "out"), "--backend", "lift"]) == 1

    said = capsys.readouterr().out
    assert "none of depth_noisy.png, depth.png, depth_native.png and lidar.npz is in" in said
    assert "but depth.tiff; --depth-file takes" in said
    assert "not shiny" not in said


@pytest.mark.parametrize("bad", ["a_first", "z_last"])
def test_a_folder_that_cannot_be_read_does_not_end_the_others(
    bad: str, scene_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes, output = tmp_path / "scenes", tmp_path / "out"
    shutil.copytree(scene_folder, scenes / "table")
    (scenes / bad).mkdir()
    (scenes / bad / "camera.json").write_text("{")

    assert main(["offline", str(scenes), "-o", str(output)]) == 1

    assert len(json.loads((output / "table" / "scene.json").read_text())["objects"]) == 2
    (row,) = json.loads((output / bad / "scene.json").read_text())["frames"]
    assert row["code"] == "BAD_INPUT"
    *_, count, why = capsys.readouterr().err.splitlines()
    assert count == "1 of 2 scene folders cannot be read:"
    assert f"{bad}/camera.json: expected JSON" in why


def test_a_true_mesh_that_is_gone_hinders_nothing(scene_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "table"
    shutil.copytree(scene_folder, folder)
    truth = json.loads((folder / "gt.json").read_text())
    for entry in truth["objects"]:
        (folder / entry["mesh"]).unlink()

    assert main(["offline", str(folder), "-o", str(tmp_path / "out")]) == 0


def test_nothing_of_ros_is_imported(scene_folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from sam3d_ros.apps.main import main; "
        f"code = main(['offline', {str(scene_folder)!r}, '-o', {str(tmp_path)!r}]); "
        "print(sorted(name for name in sys.modules if name in ('rclpy', 'sam3d_ros.msg'))); "
        "sys.exit(code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["/nowhere", "-o", "out"], "does not exist"),
        ([".", "-o", "out", "--backend", "magic"], "backend must be one of"),
        ([".", "-o", "out", "--texture", "shiny"], "texture must be one of"),
        ([".", "-o", "out", "--params", "/nowhere.yaml"], "cannot read the parameter file"),
    ],
    ids=["input", "backend", "texture", "params"],
)
def test_a_mistake_of_the_user_is_one_sentence_and_exit_code_1(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["offline", *arguments]) == 1

    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1


def test_wrong_usage_is_exit_code_2() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["offline"])
    assert ended.value.code == 2


def test_settings_are_read_nested_and_dotted_and_the_command_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "sam3d.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n    use_sim_time: true\n    depth: {max: 4}\n"
        "    qos_overrides./tf.subscription.depth: 50\n    sync.slop: 1\n"
        "    masks.min_pixels: 50\n    output_frame: map\n"
    )

    config = node_config(path, {"output_frame": "odom"})

    expected = node_config()
    assert config == replace(
        expected,
        depth=replace(expected.depth, max=4.0),
        sync=replace(expected.sync, slop=1.0),
        masks=replace(expected.masks, min_pixels=50),
        output_frame="odom",
    )


def test_both_ends_of_a_range_may_move_however_a_file_is_written(tmp_path: Path) -> None:
    for text in (
        "/**: {ros__parameters: {depth.min: 12.0, depth.max: 20.0}}",
        "/**: {ros__parameters: {depth: {min: 12.0, max: 20.0}}}",
        "/**: {ros__parameters: {depth: {max: 20.0}}}\n"
        "sam3d_node: {ros__parameters: {depth: {min: 12.0}}}",
    ):
        path = tmp_path / "sam3d.yaml"
        path.write_text(text)
        depth = node_config(path).depth
        assert (depth.min, depth.max) == (12.0, 20.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/**: {ros__parameters: {masks: {min_pixel: 5}}}", "unknown setting 'min_pixel'"),
        ("/**: {ros__parameters: {masks: {min_pixels: many}}}", "must be of type int"),
        ("/**: {ros__parameters: {mesh: {formats: glb}}}", "must be of type list, got 'glb'"),
        ("/**: {ros__parameters: {mesh: {formats: [fbx]}}}", "one or more of glb, ply, obj, stl"),
        ("/**: {ros__parameters: {masks.min_pixels: 0}}", r"within \[1, "),
        ("just text", "ros__parameters"),
        ("a: [", "cannot read the parameter file"),
    ],
)
def test_a_wrong_parameter_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        node_config(path)
