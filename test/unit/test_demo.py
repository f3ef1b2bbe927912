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

"""The demo's judgement: what was heard against what was rendered; the benchmark's arithmetic."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam3d_ros.apps.demo_beside import PICTURE, beside_lift
from sam3d_ros.apps.demo_truth import Heard, Limits, compare, table, write_result
from sam3d_ros.apps.node_figures import (
    INPUTS,
    BenchError,
    NodeFigures,
    node_figures,
    topic_figures,
    tracking_figures,
)
from sam3d_ros.errors import DatasetError, ReportCode
from sam3d_ros.evaluation.datasets import Scene
from sam3d_ros.evaluation.synthetic import SceneSpec, arrange, render_view, scene_from_view
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.geometry.mesh_files import write_mesh
from sam3d_ros.structures import Similarity

SPEC = SceneSpec(
    objects=("box", "can"),
    camera=camera_from_fov(160, 120, 45.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.005,
)
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def scene() -> Scene:
    world = arrange(SPEC, seed=1)
    return scene_from_view(world, render_view(world, SPEC, SPEC.world_from_camera, seed=1), "table")


def heard_truth(scene: Scene, folder: Path, change: Change = lambda _: None) -> Heard:
    """Write the truth as if the node had published it, changed a little, and read it."""
    assert scene.frame.fixed_from_camera is not None
    values: dict[str, Any] = {"counts": {}, "reports": [{"code": 0, "latency_s": 0.5}]}
    values |= {"objects": [], "meshes": {}, "markers": [], "tf": {}}
    for truth in scene.truth:
        assert truth.mesh is not None
        assert truth.camera_from_object is not None
        name = f"sam3d_object_{truth.instance_id}"
        write_mesh(truth.mesh, folder / f"{name}.glb")
        pose = scene.frame.fixed_from_camera @ truth.camera_from_object
        values["objects"].append(
            {
                "id": name,
                "track_id": truth.instance_id,
                "frame_id": "world",
                "size_m": np.ptp(truth.mesh.vertices, axis=0).tolist(),
                "frame_from_object": pose.matrix.tolist(),
            }
        )
        values["meshes"][name] = {"watertight": True}
        values["markers"].append({"frame_id": name})
        values["tf"][name] = {"parent": "world"}
    change(values)
    (folder / "heard.json").write_text(json.dumps(values))
    return Heard.read(folder)


def test_the_truth_itself_keeps_all_limits(scene: Scene, tmp_path: Path) -> None:
    heard = heard_truth(scene, tmp_path)

    rows = compare(heard, scene, Limits())

    assert [row.object_id for row in rows] == ["sam3d_object_1", "sam3d_object_2"]
    assert [row.problem for row in rows] == ["", ""]
    for row in rows:
        assert row.metrics is not None
        assert row.metrics.centre_error_mm == pytest.approx(0.0, abs=0.01)
        assert row.metrics.viou == pytest.approx(1.0, abs=0.01)
    assert heard.problems() == []


def test_what_the_node_made_stands_beside_what_lift_alone_makes(
    scene: Scene, tmp_path: Path
) -> None:
    heard = heard_truth(scene, tmp_path, lambda values: values["objects"].pop())

    text = beside_lift(heard, [scene], scene, tmp_path).splitlines()

    assert (tmp_path / PICTURE).exists()
    rows = [line.split() for line in text[2:]]
    assert [row[1] for row in rows] == ["box", "box", "can", "can"]
    assert float(rows[0][5]) == pytest.approx(1.0, abs=0.01)  # vIoU of the truth itself
    assert 0.3 < float(rows[1][4]) < 0.99
    assert rows[2][-1] == "-"  # the node did not publish the can


def test_objects_are_found_whatever_their_order(scene: Scene, tmp_path: Path) -> None:
    heard = heard_truth(scene, tmp_path, lambda values: values["objects"].reverse())

    assert [row.problem for row in compare(heard, scene, Limits())] == ["", ""]


def test_an_object_that_did_not_come_is_missing(scene: Scene, tmp_path: Path) -> None:
    heard = heard_truth(scene, tmp_path, lambda values: values["objects"].pop())

    rows = compare(heard, scene, Limits())

    assert [row.problem for row in rows] == ["", "missing"]
    assert "missing" in table(rows)


def test_an_object_in_the_wrong_place_breaks_a_limit_that_is_named(
    scene: Scene, tmp_path: Path
) -> None:
    def move(values: dict[str, Any]) -> None:
        values["objects"][0]["frame_from_object"][0][3] += 0.04

    rows = compare(heard_truth(scene, tmp_path, move), scene, Limits())

    assert "centre error 40.0 mm" in rows[0].problem
    assert rows[1].problem == ""


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda values: values["markers"].pop(), "no marker is anchored in sam3d_object_2"),
        (lambda values: values["tf"].pop("sam3d_object_1"), "TF of sam3d_object_1"),
        (lambda values: values["meshes"]["sam3d_object_1"].update(watertight=False), "not closed"),
    ],
    ids=["marker", "tf", "mesh"],
)
def test_what_is_missing_beside_an_object_is_a_problem(
    change: Change, text: str, scene: Scene, tmp_path: Path
) -> None:
    (problem,) = heard_truth(scene, tmp_path, change).problems()

    assert text in problem


def test_an_object_in_another_frame_than_the_world_is_refused(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'camera', expected 'world'"):
        heard_truth(scene, tmp_path, lambda values: values["objects"][0].update(frame_id="camera"))


def test_the_picture_and_the_report_are_written(scene: Scene, tmp_path: Path) -> None:
    heard = heard_truth(scene, tmp_path)

    picture = write_result(tmp_path, heard, scene, compare(heard, scene, Limits()))

    assert picture.stat().st_size > 1000
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["name"] for row in report["objects"]] == ["box", "can"]


def test_a_mesh_that_came_back_still_knows_what_was_observed(scene: Scene, tmp_path: Path) -> None:
    truth = scene.truth[0]
    assert truth.mesh is not None
    half_seen = replace(truth.mesh, observed=(truth.mesh.vertices[:, 2] > 0.05).astype(np.float32))
    first = replace(truth, mesh=half_seen, camera_from_object=Similarity.identity())

    heard = heard_truth(replace(scene, truth=(first,)), tmp_path)

    (mesh,) = heard.meshes_world.values()
    assert mesh.observed.sum() == half_seen.observed.sum()


def test_messages_count_from_the_first_that_arrived_and_missing_ones_are_lost() -> None:
    sent = [(stamp, 1_000_000 * stamp) for stamp in range(10)]
    calls = [
        (stamp, 1_000_000 * stamp + 2_000_000, 1_000_000 * stamp + 3_000_000, 400_000)
        for stamp in (3, 4, 6, 7, 8, 9)
    ]

    figures = topic_figures(sent, calls)

    assert (figures.published, figures.lost) == (7, 1)
    assert figures.transport_p50_ms == pytest.approx(2.0)
    assert figures.callback_max_ms == pytest.approx(1.0)
    assert figures.own_max_ms == pytest.approx(0.4)


def figures_of(*codes: ReportCode) -> NodeFigures:
    sent = {f"/sam3d/{name}": [(1, 10), (2, 20)] for name in INPUTS}
    calls = {f"/sam3d/{name}": [(1, 11, 12, 1), (2, 21, 22, 1)] for name in INPUTS}
    reports = [{"code": int(code), "latency_s": 0.1} for code in codes]
    heard = {"first_object_monotonic_ns": 5, "reports": reports}
    heard["tf_times"] = {"sam3d_object_1": [(1, 14), (2, 24)]}
    return node_figures(sent, calls, heard)


def test_frames_left_for_newer_ones_are_dropped_and_all_others_refused() -> None:
    dropped = ReportCode.DROPPED
    figures = figures_of(ReportCode.OK, dropped, dropped, ReportCode.NOT_SYNCED)

    assert (figures.frames_done, figures.frames_dropped) == (1, 2)
    assert figures.refusals == {"NOT_SYNCED": 1}


def test_a_node_that_finished_no_frame_fails_the_benchmark() -> None:
    with pytest.raises(BenchError, match="no frame was finished among 2 reports"):
        figures_of(ReportCode.DROPPED, ReportCode.DROPPED)


def test_images_that_come_back_as_transforms_are_counted_once_objects_are_known() -> None:
    images = [(stamp, 50_000_000 * stamp) for stamp in range(1, 10)]
    mug = [(stamp, 50_000_000 * stamp + 20_000_000) for stamp in (1, 3, 4, 6, 7)]
    box = [(stamp, 50_000_000 * stamp + 20_000_000) for stamp in (4, 6)]

    figures = tracking_figures(images, {"mug": mug, "box": box}, first_object_ns=120_000_000)

    assert (figures.images, figures.followed) == (5, 4)
    assert figures.objects == pytest.approx(1.5)
    assert figures.rate_hz == pytest.approx(3 / 0.2)
    assert figures.latency_p50_ms == figures.latency_p95_ms == pytest.approx(20.0)


def test_a_node_that_follows_nothing_fails_the_benchmark() -> None:
    with pytest.raises(BenchError, match="only 0 of 2 images"):
        tracking_figures([(1, 10), (2, 20)], {}, first_object_ns=5)
