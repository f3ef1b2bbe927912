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


"""The services of the node, over DDS: what they do, what they refuse, and in which state."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from calls import SERVICES, call, refused, with_objects
from rig import PATIENCE_S, Rig, stamp_ns
from sam3d_ros.msg import Object
from sam3d_ros.srv import Export
from visualization_msgs.msg import Marker

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros import services
from sam3d_ros.ros.decode import cloud_from_msg, stamp_ns_from_msg
from sam3d_ros.ros.desk import MAX_WAITING

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros
FIRST, SECOND = "sam3d_object_1", "sam3d_object_2"
SOON_S = 2.0  # on a loaded machine; a reconstruction that is held up lasts as long as the test


# States


@pytest.mark.parametrize("steps", [(), ("configure",), ("configure", "activate", "deactivate")])
def test_a_node_that_is_not_active_refuses_every_call_with_a_code(
    make_rig: MakeRig, steps: tuple[str, ...]
) -> None:
    rig = make_rig({"autostart": False})
    for step in steps:
        getattr(rig.node, f"trigger_{step}")()
    for name in SERVICES:
        refused(call(rig, name), ReportCode.NOT_ACTIVE, "activate it")


def test_calls_are_answered_again_after_another_activation(rig: Rig) -> None:
    with_objects(rig)
    before = call(rig, "get_object", id=FIRST)
    rig.node.trigger_deactivate()
    refused(call(rig, "get_object", id=FIRST), ReportCode.NOT_ACTIVE)
    rig.node.trigger_activate()
    after = call(rig, "get_object", id=FIRST)
    assert after.success
    assert before.object.header.frame_id
    assert after.object.header == before.object.header


def test_calls_are_answered_while_an_object_is_reconstructed(rig: Rig, tmp_path: Path) -> None:
    with_objects(rig)
    rig.backend.gate.clear()
    num_started = rig.backend.num_started
    rig.node.session.clear()
    rig.send_frame(1)
    rig.until(lambda: rig.backend.num_started > num_started, "a reconstruction")
    started_s = time.monotonic()
    for name in SERVICES:
        call(rig, name)
    assert time.monotonic() - started_s < SOON_S * len(SERVICES)


def test_as_many_slow_calls_wait_as_may_and_the_next_one_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def slow(order: object, session: object) -> list[str]:
        assert gate.wait(PATIENCE_S)
        return []

    monkeypatch.setattr(services, "exported", slow)
    with_objects(rig)
    client = rig.tester.create_client(Export, "/sam3d_node/export")
    rig.until(client.service_is_ready, "the service")
    asked = []
    for _ in range(MAX_WAITING + 1):
        asked.append(client.call_async(Export.Request()))
        rig.settle(0.05)
    rig.until(asked[-1].done, "a refusal")
    refused(asked[-1].result(), ReportCode.BUSY, "wait")
    assert not any(each.done() for each in asked[:-1])
    rig.send_frame(1)
    rig.reports(2)  # the inputs wait for none of them
    gate.set()
    rig.until(lambda: all(each.done() for each in asked), "all answers")
    assert all(each.result().success for each in asked[:-1])


# Get


def test_get_object_returns_pose_mesh_and_clouds_of_one_object(rig: Rig) -> None:
    with_objects(rig)
    response = call(rig, "get_object", id=SECOND)
    assert (response.success, response.code) == (True, ReportCode.OK)
    assert response.object.id == response.mesh.id == SECOND
    assert response.object.header.frame_id == "camera_optical_frame"
    assert response.mesh.header.frame_id == response.points.header.frame_id == SECOND
    vertices = np.array(response.mesh.vertices).reshape(-1, 3)
    assert np.ptp(vertices, axis=0) == pytest.approx([0.1, 0.1, 0.1], abs=1e-6)
    assert cloud_from_msg(response.points) == pytest.approx(vertices, abs=1e-6)
    assert len(response.mesh.observed) == len(response.mesh.normals) // 3 == len(vertices)


def test_get_object_returns_what_was_measured_on_the_object_in_its_own_frame(rig: Rig) -> None:
    with_objects(rig)
    response = call(rig, "get_object", id=FIRST)
    measured = cloud_from_msg(response.measured)
    position = response.object.pose.pose.position
    assert len(measured) > 500
    # The thing is a square of 27 cm that faces the camera at 1 m.
    assert np.ptp(measured[:, :2], axis=0) == pytest.approx([0.25, 0.25], abs=0.03)
    assert measured[:, 2] + position.z == pytest.approx(np.ones(len(measured)), abs=2e-3)


def test_get_object_takes_the_track_id_too(rig: Rig) -> None:
    with_objects(rig)
    assert call(rig, "get_object", id="2").object.id == SECOND


@pytest.mark.parametrize(
    "name", ["", "3", "sam3d_mug_1", "-1", "../1", "1\n", "\x00", "x" * 10_000, "sam3d_object_1 "]
)
def test_an_id_that_nobody_has_is_refused_with_those_that_there_are(rig: Rig, name: str) -> None:
    with_objects(rig)
    for service in ("get_object", "lock_geometry", "remove_object"):
        if "\x00" in name:  # ends a string on its way
            continue
        refused(call(rig, service, id=name), ReportCode.UNKNOWN_OBJECT, FIRST, SECOND)


def test_without_objects_an_unknown_id_says_so(rig: Rig) -> None:
    rig.start()
    refused(call(rig, "get_object", id="1"), ReportCode.UNKNOWN_OBJECT, "no object is known")
    refused(call(rig, "export"), ReportCode.UNKNOWN_OBJECT, "no object is known")


# Export


def test_export_writes_every_format_below_the_output_directory(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    rig = with_objects(make_rig({"output_directory": str(tmp_path)}))
    formats = ["glb", "ply", "obj", "stl"]
    response = call(rig, "export", ids=[FIRST], formats=formats, path="run/one")
    assert response.success, response.message
    assert response.files == [f"{tmp_path}/run/one/{FIRST}.{each}" for each in formats]
    for file in response.files:
        mesh = trimesh.load(file, force="mesh")
        assert mesh.extents == pytest.approx([0.1, 0.1, 0.1], abs=1e-5)
        assert mesh.is_watertight


def names_of_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_export_of_no_ids_writes_all_objects_as_glb(make_rig: MakeRig, tmp_path: Path) -> None:
    rig = with_objects(make_rig({"output_directory": str(tmp_path)}))
    assert call(rig, "export").success
    assert names_of_files(tmp_path) == [f"{FIRST}.glb", f"{SECOND}.glb"]


def test_export_overwrites_only_when_it_is_asked_to(make_rig: MakeRig, tmp_path: Path) -> None:
    rig = with_objects(make_rig({"output_directory": str(tmp_path)}))
    there = tmp_path / f"{SECOND}.glb"
    there.write_text("mine")
    refused(call(rig, "export"), ReportCode.FILE, there.name, "overwrite")
    assert names_of_files(tmp_path) == [there.name]
    assert there.read_text() == "mine"
    assert call(rig, "export", overwrite=True).success
    assert there.read_bytes().startswith(b"glTF")


@pytest.mark.parametrize("path", ["..", "a/../..", "/tmp", "a/../../b", "./../x", "x/" * 40])
def test_export_refuses_paths_that_lead_outside(
    make_rig: MakeRig, tmp_path: Path, path: str
) -> None:
    rig = with_objects(make_rig({"output_directory": str(tmp_path / "out")}))
    refused(call(rig, "export", path=path), ReportCode.FILE, "below output_directory")
    # What the node itself writes is all that there is.
    assert {path.parent for path in tmp_path.rglob("*.glb")} == {tmp_path / "out" / "revisions"}


def test_export_follows_no_link(make_rig: MakeRig, tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / f"{FIRST}.glb").symlink_to(outside / "target.glb")
    rig = with_objects(make_rig({"output_directory": str(inside)}))
    refused(call(rig, "export", path="link"), ReportCode.FILE, "links are not followed")
    refused(call(rig, "export", path="link/below"), ReportCode.FILE, "links are not followed")
    assert call(rig, "export", ids=[FIRST], overwrite=True).success
    assert not list(outside.iterdir())
    assert not (inside / f"{FIRST}.glb").is_symlink()


def test_export_refuses_unknown_formats_and_ids(make_rig: MakeRig, tmp_path: Path) -> None:
    rig = with_objects(make_rig({"output_directory": str(tmp_path)}))
    for each in ("usd", "", "GLB", "glb/../../x"):
        refused(call(rig, "export", formats=[each]), ReportCode.BAD_INPUT, "glb, ply, obj, stl")
    refused(call(rig, "export", ids=[FIRST, "sam3d_mug_9"]), ReportCode.UNKNOWN_OBJECT, "mug_9")
    assert names_of_files(tmp_path) == []


def test_without_an_output_directory_files_last_until_cleanup(rig: Rig) -> None:
    with_objects(rig)
    (file, _) = call(rig, "export").files
    assert Path(file).exists()
    rig.node.trigger_deactivate()
    assert Path(file).exists()
    rig.node.trigger_cleanup()
    assert not Path(file).parent.exists()


# Commands


def state_of(rig: Rig, name: str) -> int:
    (found,) = [each for each in rig.heard["/objects"][-1].objects if each.id == name]
    return int(found.state)


def test_a_locked_object_keeps_its_mesh_and_says_so_until_it_is_released(rig: Rig) -> None:
    with_objects(rig)
    assert call(rig, "lock_geometry", id=FIRST).success
    rig.until(lambda: state_of(rig, FIRST) == Object.LOCKED, "the lock")
    rig.send_frame(1)
    rig.reports(2)
    assert state_of(rig, FIRST) == Object.LOCKED
    assert call(rig, "lock_geometry", id=FIRST, release=True).success
    rig.until(lambda: state_of(rig, FIRST) == Object.TRACKED, "the release")


def test_a_removed_object_disappears_and_comes_back_as_another(rig: Rig) -> None:
    with_objects(rig)
    rig.until(lambda: len(rig.heard["/markers"]) == 3, "markers")
    assert call(rig, "remove_object", id=FIRST).success
    rig.until(lambda: len(rig.heard["/markers"]) == 4, "a deletion")
    gone = rig.heard["/markers"][-1].markers[0]
    assert (gone.action, gone.id) == (Marker.DELETE, 1)
    rig.until(lambda: len(rig.heard["/objects"][-1].objects) == 1, "one object")
    refused(call(rig, "remove_object", id=FIRST), ReportCode.UNKNOWN_OBJECT)
    rig.send_frame(1)
    assert set(rig.reports(2)[1].object_ids) == {SECOND, "sam3d_object_3"}


def test_clear_forgets_all_objects(rig: Rig) -> None:
    with_objects(rig)
    response = call(rig, "clear")
    assert (response.success, response.message) == (True, "2 objects are removed")
    rig.until(lambda: not rig.heard["/objects"][-1].objects, "no objects")
    rig.until(lambda: len(rig.heard["/markers"]) == 5, "two deletions")
    rig.send_frame(1)
    assert list(rig.reports(2)[1].object_ids) == ["sam3d_object_3", "sam3d_object_4"]


def test_a_frame_in_work_brings_nothing_back_after_clear(rig: Rig) -> None:
    rig.start()
    rig.backend.gate.clear()
    rig.send_frame(0)
    rig.until(lambda: rig.backend.num_started, "the first reconstruction")
    assert call(rig, "clear").success
    rig.backend.gate.set()
    report = rig.report()
    assert report.code == ReportCode.DROPPED
    assert "forgotten" in report.message
    assert not rig.node.session.snapshot().objects


def test_republish_sends_markers_meshes_and_objects_again(rig: Rig) -> None:
    with_objects(rig)
    rig.until(lambda: len(rig.heard["/meshes"]) == 2, "meshes")
    num_objects = len(rig.heard["/objects"])
    assert call(rig, "republish").success
    rig.until(lambda: len(rig.heard["/meshes"]) == 4, "meshes again")
    rig.until(lambda: len(rig.heard["/markers"]) == 5, "markers again")
    rig.until(lambda: len(rig.heard["/objects"]) > num_objects, "objects again")
    assert [each.revision for each in rig.heard["/meshes"]] == [1, 1, 1, 1]
    stamps = {stamp_ns_from_msg(each.header.stamp) for each in rig.heard["/objects"]}
    assert stamps == {stamp_ns(0)}


def test_a_planning_scene_is_not_pretended(rig: Rig) -> None:
    with_objects(rig)
    refused(call(rig, "apply_planning_scene"), ReportCode.OFF, "planning")


# Enable


def test_a_paused_node_ignores_masks_and_says_so_until_it_is_enabled(rig: Rig) -> None:
    rig.start()
    assert call(rig, "enable", data=False).success
    rig.send_frame(0)
    rig.until(lambda: rig.num_masks == 1, "the mask")
    status = rig.diagnostics(
        "processing", lambda status: ("ignored by ~/enable", "1") in pairs(status)
    )
    assert ("trigger", "paused by ~/enable") in pairs(status)
    assert not rig.heard["/report"]
    assert call(rig, "enable", data=True).success
    rig.send_frame(1)
    assert rig.report().code == ReportCode.OK


def pairs(status: object) -> list[tuple[str, str]]:
    return [(each.key, each.value) for each in status.values]  # type: ignore[attr-defined]
