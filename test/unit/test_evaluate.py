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

"""``sam3d evaluate`` on scene folders made here: report, pictures, exit code."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

from sam3d_ros.apps import evaluate as evaluate_command
from sam3d_ros.apps.main import main
from sam3d_ros.evaluation.report import METRICS, Row
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Mesh, Similarity

CORNER_FIRST = rotation_from_axis_angle(np.array([1.0, 0.6, 0.0]), 0.8)  # three sides are seen
POSE = Similarity(CORNER_FIRST, np.array([0.02, 0.01, 0.8]))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Write one box in front of a wall, seen by an ideal camera, with its truth."""
    folder = tmp_path / "set" / "scene_1"
    (folder / "masks").mkdir(parents=True)
    camera = camera_from_fov(320, 240, 60.0)
    solid = trimesh.creation.box(extents=(0.2, 0.2, 0.2))
    solid.export(folder / "box.ply")
    vertices = POSE.apply(solid.vertices).astype(np.float32)
    box = Mesh(
        vertices=vertices,
        triangles=solid.faces.astype(np.int32),
        colors=np.full((len(vertices), 3), 120, dtype=np.uint8),
        observed=np.ones(len(vertices), dtype=np.float32),
    )
    depth_m = render([box], camera).depth_m
    mask = np.isfinite(depth_m)
    depth_mm = np.where(mask, 1000.0 * depth_m, 1500.0)
    cv2.imwrite(str(folder / "depth.png"), np.round(depth_mm).astype(np.uint16))
    cv2.imwrite(str(folder / "rgb.png"), np.full((240, 320, 3), 120, dtype=np.uint8))
    cv2.imwrite(str(folder / "masks" / "box.png"), 255 * mask.astype(np.uint8))
    fx, cx, cy = camera.matrix_px[0, 0], camera.matrix_px[0, 2], camera.matrix_px[1, 2]
    values = {"fx": fx, "fy": fx, "cx": cx, "cy": cy, "width": 320, "height": 240}
    (folder / "camera.json").write_text(json.dumps(values))
    write_truth(folder, {"name": "box", "mesh": "box.ply", "T_cam_obj": POSE.matrix.tolist()})
    return folder


def write_truth(folder: Path, *objects: dict[str, Any]) -> None:
    (folder / "gt.json").write_text(json.dumps({"objects": objects}))


def evaluate(scene: Path, output: Path, backend: str = "hull") -> tuple[int, dict[str, Any]]:
    code = main(["evaluate", str(scene.parent), "--backend", backend, "-o", str(output)])
    return code, json.loads((output / "report.json").read_text())


def test_every_metric_of_an_object_with_truth_is_reported(scene: Path, tmp_path: Path) -> None:
    code, report = evaluate(scene, tmp_path / "out", "hull,poisson")

    assert code == 0
    assert set(report["summary"]) == {"hull", "poisson"}
    hull = report["objects"][0]
    assert set(hull) == {"scene", "object", "backend", *METRICS}
    assert (hull["scene"], hull["object"]) == ("scene_1", "box")
    assert report["summary"]["hull"]["viou"] == {
        "median": hull["viou"],
        "p90": hull["viou"],
        "n": 1,
    }


def test_captures_and_unseen_families_come_in_one_table(
    scene: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_families(num: int, *_: object) -> list[Row]:  # to make real ones takes a minute
        names = ("hull", "carved") * num
        return [Row(scene="stone", object_name="stone 1", backend=each) for each in names]

    monkeypatch.setattr(evaluate_command, "evaluate_families", of_families)
    asked = ["evaluate", str(scene.parent), "--families", "1", "--no-pictures"]
    main([*asked, "--backend", "hull,carved", "-o", str(tmp_path / "out")])

    printed = capsys.readouterr().out.split("\n\n")
    (table,) = [text for text in printed if "unseen families" in text]
    lines = [line.split("  ")[0] for line in table.splitlines()[2:]]
    assert lines == [scene.parent.name] * 2 + ["unseen families"] * 2


def test_exact_depth_of_three_sides_of_a_box_gives_its_hull(scene: Path, tmp_path: Path) -> None:
    _, report = evaluate(scene, tmp_path / "out")

    hull = report["objects"][0]
    assert hull["depth_residual_mm"] < 3.0  # depth is stored in millimetres, outlines are eroded
    assert hull["silhouette_iou"] > 0.9
    # Three sides without the corner behind them: five sixths of the box.
    assert hull["viou"] == pytest.approx(5 / 6, abs=0.1)


def test_an_object_without_mesh_gets_the_measures_of_the_view(scene: Path, tmp_path: Path) -> None:
    write_truth(scene, {"name": "box", "T_cam_obj": None})

    code, report = evaluate(scene, tmp_path / "out")

    assert code == 0
    measured = set(report["objects"][0]) & set(METRICS)
    assert measured == {"depth_residual_mm", "silhouette_iou", "seconds"}


def test_a_failed_object_is_a_row_and_an_exit_code(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(scene / "masks" / "crumb.png"), np.eye(240, 320, dtype=np.uint8)[:, :320])

    code, report = evaluate(scene, tmp_path / "out")

    assert code == 1
    assert report["failures"] == {"hull": 1}
    assert report["objects"][1]["object"] == "crumb"
    assert "hull failed on scene_1 / crumb" in capsys.readouterr().out


def test_each_scene_has_a_picture(scene: Path, tmp_path: Path) -> None:
    evaluate(scene, tmp_path / "out")

    picture = cv2.imread(str(tmp_path / "out" / "scene_1.png"))
    assert picture is not None
    assert picture.std() > 10


def test_a_scene_without_masks_is_no_success(scene: Path, tmp_path: Path) -> None:
    (scene / "gt.json").unlink()
    (scene / "masks" / "box.png").unlink()

    code, report = evaluate(scene, tmp_path / "out")

    assert (code, report["objects"]) == (1, [])


def test_a_folder_without_scenes_is_an_error_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    assert "found no camera.json" in capsys.readouterr().err
