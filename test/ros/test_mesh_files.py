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


"""Files of meshes, and the markers that show an image or a file, over real DDS."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import cv2
import numpy as np
import pytest
import trimesh
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rig import BoxBackend, Rig, empty_masks
from sam3d_ros.srv import GetObject
from visualization_msgs.msg import Marker

from sam3d_ros.errors import ReportCode
from sam3d_ros.structures import Mesh, ObjectReconstruction, Observation

pytestmark = pytest.mark.ros
EVERY_FORMAT = ["stl", "glb", "ply", "obj"]


def path_of(uri: str) -> Path:
    assert uri.startswith("file:///")
    return Path(unquote(urlparse(uri).path))


def shown(rig: Rig, num: int = 2) -> list[Marker]:
    """Return the markers of the first frame's objects, after what cleared the view."""
    rig.until(lambda: len(rig.heard["/markers"]) > num, f"{num} markers")
    return [each for array in rig.heard["/markers"][1:] for each in array.markers]


@pytest.fixture
def leaning_box(make_box: Callable[..., Mesh]) -> Mesh:
    """Return a box that looks different along every axis, with a colour per corner."""
    box = make_box(0.08, 0.1, 0.12)
    colors = np.where(box.vertices > 0, 230, 20).astype(np.uint8)
    return replace(box, colors=colors)


class Growing(BoxBackend):
    """Makes a larger mesh every time, so that each is a revision."""

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        made = super().reconstruct(observation)
        mesh = made.mesh_object
        grown = mesh.vertices * np.float32(1 + 0.001 * self.num_started)
        return replace(made, mesh_object=replace(mesh, vertices=grown))


EACH_TIME = {"trigger.mode": "continuous", "tracking.enabled": False}


@pytest.fixture
def make(make_rig: Callable[..., Rig], leaning_box: Mesh) -> Callable[..., Rig]:
    def started(settings: dict[str, Any], backend: type[BoxBackend] = BoxBackend) -> Rig:
        rig = make_rig({"refine.enabled": False, **settings}, backend=backend(leaning_box))
        rig.start()
        rig.send_frame()
        assert rig.report().code == ReportCode.OK
        return rig

    return started


def test_every_format_of_a_revision_lies_beside_the_first_which_messages_name(
    make: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = make({"output_directory": str(tmp_path), "mesh.formats": EVERY_FORMAT})
    rig.until(lambda: len(rig.heard["/meshes"]) == 2, "two meshes")
    for known, mesh in zip(rig.heard["/objects"][-1].objects, rig.heard["/meshes"], strict=True):
        path = path_of(known.mesh_uri)
        assert path.name.startswith(f"{known.id}_r001_")
        assert path.suffix == ".stl"
        assert (mesh.id, mesh.uri) == (known.id, known.mesh_uri)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == mesh.sha256
        for each in EVERY_FORMAT:
            loaded = trimesh.load(path.with_suffix(f".{each}"), force="mesh")
            np.testing.assert_allclose(loaded.extents, [0.08, 0.1, 0.12], atol=1e-5)
    assert len(list((tmp_path / "revisions").iterdir())) == 8
    service = rig.tester.create_client(GetObject, "/sam3d_node/get_object")
    rig.until(service.service_is_ready, "the service")
    future = service.call_async(GetObject.Request(id="1"))
    rig.until(future.done, "the answer")
    answer = future.result()
    assert answer.object.mesh_uri == answer.mesh.uri == rig.heard["/meshes"][0].uri


def test_without_a_folder_nothing_is_written_and_nothing_named(make: Callable[..., Rig]) -> None:
    rig = make({"mesh.formats": EVERY_FORMAT})
    rig.until(lambda: len(rig.heard["/meshes"]) == 2, "two meshes")
    assert {each.uri + each.sha256 for each in rig.heard["/meshes"]} == {""}
    assert {each.mesh_uri for each in rig.heard["/objects"][-1].objects} == {""}
    assert rig.node.session.outputs.folder._temporary is None


def test_a_folder_that_cannot_be_written_costs_the_files_and_nothing_else(
    make: Callable[..., Rig], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    rig = make({"output_directory": str(tmp_path / "file"), "markers.style": "mesh_resource"})
    assert {each.type for each in shown(rig)} == {Marker.TRIANGLE_LIST}
    assert {each.mesh_uri for each in rig.heard["/objects"][-1].objects} == {""}


@pytest.mark.parametrize("up_axis", ["z", "y"])
def test_a_marker_of_a_file_shows_the_object_with_its_image_as_tf_has_it(
    make: Callable[..., Rig], leaning_box: Mesh, up_axis: str
) -> None:
    rig = make({"markers.style": "mesh_resource", "mesh.glb_up_axis": up_axis})
    for marker in shown(rig):
        assert (marker.type, marker.frame_locked) == (Marker.MESH_RESOURCE, True)
        assert marker.header.frame_id == f"sam3d_object_{marker.id}"
        assert marker.mesh_use_embedded_materials
        assert (marker.color.r, marker.color.g, marker.color.b, marker.color.a) == (0, 0, 0, 0)
        assert (marker.scale.x, marker.scale.y, marker.scale.z) == (1.0, 1.0, 1.0)
        assert marker.pose.orientation.w == 1.0
        scene = trimesh.load(path_of(marker.mesh_resource))
        (mesh,) = scene.dump()
        # RViz applies the file's own transforms and turns nothing: these are the axes of TF.
        np.testing.assert_allclose(mesh.bounds, leaning_box_bounds(leaning_box), atol=1e-6)
        image = np.asarray(mesh.visual.material.baseColorTexture)
        columns = (mesh.visual.uv[:, 0] * image.shape[1]).astype(int)
        rows = ((1 - mesh.visual.uv[:, 1]) * image.shape[0]).astype(int)
        wanted = np.where(mesh.vertices > 0, 230, 20)
        np.testing.assert_allclose(image[rows, columns, :3], wanted, atol=1)


def leaning_box_bounds(mesh: Mesh) -> Any:
    return np.stack((mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)))


def test_a_new_revision_has_new_names_and_the_old_temporary_files_go(
    make: Callable[..., Rig],
) -> None:
    rig = make({"markers.style": "mesh_resource", **EACH_TIME}, Growing)
    before = {each.id: each.mesh_resource for each in shown(rig)}
    rig.send_frame(10)
    rig.reports(2)
    rig.until(lambda: len(rig.heard["/markers"]) == 5, "two markers more")
    after = {each.id: each.mesh_resource for each in shown(rig, 4)[2:]}
    assert before.keys() == after.keys()
    for track_id, uri in after.items():
        assert uri != before[track_id]
        assert "_r002_" in uri
        assert path_of(uri).exists()
        assert not path_of(before[track_id]).exists()


def test_files_of_what_is_forgotten_and_of_a_node_that_ends_go(make: Callable[..., Rig]) -> None:
    rig = make(
        {
            "markers.style": "mesh_resource",
            "registry.remove_after": 0.5,
            "registry.lost_after": 0.1,
        }
    )
    paths = [path_of(each.mesh_resource) for each in shown(rig)]
    rig.send_frame(30, masks=empty_masks(30))
    rig.reports(2)
    rig.until(lambda: len(rig.heard["/markers"]) == 5, "two deletions")
    assert not any(path.exists() for path in paths)
    folder = paths[0].parents[1]
    assert folder.is_dir()
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    assert not folder.exists()


def test_a_marker_with_an_image_shows_the_colours_where_they_are(
    make: Callable[..., Rig], leaning_box: Mesh
) -> None:
    rig = make({"markers.style": "texture"})
    for marker in shown(rig):
        assert marker.type == Marker.TRIANGLE_LIST
        assert len(marker.points) == len(marker.uv_coordinates) == 36
        assert not marker.colors
        assert (marker.color.r, marker.color.a) == (1.0, 1.0)
        assert marker.texture_resource == f"embedded://sam3d_object_{marker.id}_r001"
        pixels = np.frombuffer(marker.texture.data, np.uint8)
        image = cv2.imdecode(pixels, cv2.IMREAD_COLOR)[..., ::-1]
        for point, place in zip(marker.points, marker.uv_coordinates, strict=True):
            # RViz counts rows downwards from the top.
            row, column = int(place.v * image.shape[0]), int(place.u * image.shape[1])
            wanted = np.where(np.array([point.x, point.y, point.z]) > 0, 230, 20)
            np.testing.assert_allclose(image[row, column], wanted, atol=1)


def test_a_new_image_comes_after_the_old_one_is_taken_back(make: Callable[..., Rig]) -> None:
    rig = make({"markers.style": "texture", **EACH_TIME}, Growing)
    rig.send_frame(10)
    rig.reports(2)
    rig.until(lambda: len(rig.heard["/markers"]) == 7, "two deletions and two markers more")
    changes = [(each.id, each.action) for each in shown(rig, 6)]
    assert changes == [
        (1, Marker.ADD),
        (2, Marker.ADD),
        (1, Marker.DELETE),
        (1, Marker.ADD),
        (2, Marker.DELETE),
        (2, Marker.ADD),
    ]


@pytest.mark.parametrize(
    ("value", "named"), [(["glb", "fbx"], "['glb', 'fbx']"), (["usd"], "['usd']")]
)
def test_a_format_that_does_not_exist_is_refused_when_it_is_set(
    rig: Rig, value: list[str], named: str
) -> None:
    rig.start()
    client = rig.tester.create_client(SetParameters, "/sam3d_node/set_parameters")
    rig.until(client.service_is_ready, "the service")
    message = Parameter("mesh.formats", value=value).to_parameter_msg()
    future = client.call_async(SetParameters.Request(parameters=[message]))
    rig.until(future.done, "the answer")
    (result,) = future.result().results
    assert not result.successful
    expected = f"mesh.formats must be a list of one or more of glb, ply, obj, stl, got {named}"
    assert result.reason == expected
