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

"""People in pictures and files: among objects, in their own frame."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from bodies import VGA, frame_of, person

from sam3d_ros.apps.main import main
from sam3d_ros.apps.pictures import draw_silhouettes, pictured_objects
from sam3d_ros.scene.export import scene_json
from sam3d_ros.scene.people.export import person_mesh, write_people
from sam3d_ros.structures import (
    NUM_KEYPOINTS,
    DepthFit,
    Mesh,
    ObjectReconstruction,
    ObjectState,
    PeopleSnapshot,
    Provenance,
    Quality,
    SceneObject,
    ScenePerson,
    SceneSnapshot,
    Similarity,
)

SOMEBODY = person((0.0, 0.1, 3.0))
FIT = DepthFit(correction_m=0.2, residual_m=0.01, inlier_fraction=1.0)


def seen(fit: DepthFit | None = None) -> ScenePerson:
    return ScenePerson(
        person_id=3,
        body=replace(SOMEBODY, fit=fit or FIT),
        contacts=np.eye(1, NUM_KEYPOINTS, 15, dtype=bool)[0],
        first_seen_ns=0,
        last_seen_ns=0,
    )


def crate(mesh: Mesh, depth_m: float) -> SceneObject:
    return SceneObject(
        track_id=1,
        class_id="crate",
        score=1.0,
        state=ObjectState.TRACKED,
        reconstruction=ObjectReconstruction(
            mesh_object=mesh,
            camera_from_object=Similarity(np.eye(3), np.array([0.0, 0.0, depth_m])),
            quality=Quality(),
            provenance=Provenance(backend="test"),
        ),
        size_m=np.full(3, 0.3),
        middle_m=np.zeros(3),
        revision=1,
        first_seen_ns=0,
        last_seen_ns=0,
    )


def snapshot_of(*objects: SceneObject, fit: DepthFit | None = None) -> SceneSnapshot:
    people = PeopleSnapshot(stamp_ns=0, people=(seen(fit),), num_left_out=2)
    return SceneSnapshot(
        stamp_ns=0, frame_id="camera", objects=objects, updated=(1,) * len(objects), people=people
    )


@pytest.mark.parametrize(("depth_m", "hides"), [(1.5, "crate"), (4.5, "person")])
def test_objects_and_people_hide_each_other(
    make_box: Callable[..., Mesh], depth_m: float, hides: str
) -> None:
    frame = frame_of([SOMEBODY])
    snapshot = snapshot_of(crate(make_box(0.3, 0.3, 0.3), depth_m))

    pictured = pictured_objects(snapshot, frame)

    assert [item.name for item in pictured] == ["crate", "person"]
    _, regions = draw_silhouettes(frame.rgb, pictured, VGA)
    middle = tuple(length // 2 for length in regions[0].shape)
    shown = [item.name for item, region in zip(pictured, regions, strict=True) if region[middle]]
    assert shown == [hides]


def test_a_guessed_distance_is_called_a_guess() -> None:
    frame = frame_of([SOMEBODY])
    (measured,) = pictured_objects(snapshot_of(), frame)
    assert measured.size_text == "3.00 m away"
    assert "moved by +20 cm" in measured.quality
    (guessed,) = pictured_objects(snapshot_of(fit=DepthFit()), frame)
    assert guessed.size_text == "3.00 m away (a guess)"


def test_only_what_faces_the_camera_counts_as_seen() -> None:
    mesh = person_mesh(SOMEBODY, Similarity.identity())
    front = mesh.vertices[:, 2] < 3.0
    assert mesh.observed[front].mean() > 0.6
    assert mesh.observed[~front].mean() < 0.4


def test_files_of_people_stand_in_their_own_frame(tmp_path: Path) -> None:
    files = write_people([seen()], tmp_path, "z")
    assert [path.name for path in files] == ["body_3.glb", "body_3.ply"]
    mesh = trimesh.load(tmp_path / "body_3.ply", force="mesh")
    np.testing.assert_allclose(mesh.extents, [0.3, 0.5, 1.7], atol=1e-5)  # x forward, z up
    np.testing.assert_allclose(mesh.bounds[0, 2], -0.9, atol=1e-5)


def test_scene_json_has_people_and_null_where_nothing_was_measured() -> None:
    described = scene_json(snapshot_of(fit=DepthFit()))
    json.dumps(described, allow_nan=False)
    (told,) = described["people"]
    assert (told["name"], told["depth_residual_m"]) == ("body_3", None)
    assert told["touching"] == ["left_big_toe"]
    assert told["camera_from_body"]["translation_m"] == pytest.approx([0.0, 0.1, 3.0])
    assert told["keypoints_camera_m"]["neck"][1] == pytest.approx(-0.4)
    assert described["people_left_out"] == 2
    assert "people" not in scene_json(SceneSnapshot(stamp_ns=0, frame_id="camera", objects=()))


@pytest.mark.slow
def test_offline_gives_people_bodies_beside_objects(shared_data: Path, tmp_path: Path) -> None:
    random_weights = pytest.importorskip("sam3d_ros.body.random_weights", exc_type=ImportError)
    random_weights.write_random_body(tmp_path / "weights")
    folder, output = shared_data / "body_mhr" / "frame_01", tmp_path / "out"

    code = main(
        ["offline", str(folder), "--body-weights", str(tmp_path / "weights"), "-o", str(output)]
    )

    assert code == 0
    told = json.loads((output / "scene.json").read_text())
    assert [each["name"] for each in told["people"]] == ["body_1", "body_2"]
    assert not told["objects"]
    for each in told["people"]:
        assert each["scale_source"] == "DEPTH"
        assert 7.0 < each["camera_from_body"]["translation_m"][2] < 9.5
        assert each["depth_residual_m"] < 0.2
        assert (output / f"{each['name']}.glb").stat().st_size > 1000
    assert (output / "overlay.png").stat().st_size > 1000
