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

"""The demo's objects as lift alone makes them, beside what the node made where it has nano."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sam3d_ros.apps.comparing import caption
from sam3d_ros.apps.demo_truth import Heard, camera_from_world_of, matched, true_mesh
from sam3d_ros.apps.drawing import write_image
from sam3d_ros.apps.pictures import Pictured
from sam3d_ros.apps.sheets import Compared, comparison_sheet
from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.errors import WeightsMissingError
from sam3d_ros.evaluation.datasets import Scene, TruthObject
from sam3d_ros.evaluation.evaluate import shape_metrics
from sam3d_ros.evaluation.report import Row
from sam3d_ros.evaluation.table import objects_table
from sam3d_ros.objects.files import nano_folder
from sam3d_ros.objects.provenance import why_not_trusted
from sam3d_ros.scene.local import local_pipeline
from sam3d_ros.structures import Mesh

NODE, LIFT = "node (nano, lift)", "lift alone"
PICTURE = "beside_lift.png"


def why_no_nano() -> str:
    """Say why a node with the usual settings has no nano; empty where it has."""
    try:
        return why_not_trusted(nano_folder(""))
    except WeightsMissingError as error:
        return str(error)


def lift_meshes_world(scenes: Sequence[Scene]) -> dict[str, Mesh]:
    """Let lift alone see the views one after the other; return its objects in the world."""
    pipeline = local_pipeline(SceneConfig(objects=ObjectsConfig(backend="lift")))
    snapshots = [pipeline.process(scene.frame) for scene in scenes]
    return {
        str(known.track_id): known.reconstruction.mesh_object.transformed(known.fixed_from_object)
        for known in snapshots[-1].objects
        if known.fixed_from_object is not None
    }


def beside_lift(heard: Heard, scenes: Sequence[Scene], scene: Scene, output: Path) -> str:
    """Draw and return as a table what the node made and what lift alone makes of the same views.

    Args:
        heard: What the node published.
        scenes: All views, in their order.
        scene: The view in which they are compared and shown.
        output: Folder of the picture.
    """
    camera_from_world = camera_from_world_of(scene)
    made = {
        name: {key: mesh.transformed(camera_from_world) for key, mesh in meshes.items()}
        for name, meshes in ((NODE, heard.meshes_world), (LIFT, lift_meshes_world(scenes)))
    }
    pages, rows = [], []
    for truth in scene.truth:
        meshes_camera = {name: _found(truth, scene, meshes) for name, meshes in made.items()}
        compared = [_row(name, truth, mesh) for name, mesh in meshes_camera.items()]
        rows.extend(compared)
        pages.append(_page(truth, scene, meshes_camera, compared))
    title = "sam3d demo: what the node made, and what lift alone makes of the same views"
    write_image(comparison_sheet(pages, title), output / PICTURE)
    return objects_table(rows)


def _found(truth: TruthObject, scene: Scene, meshes_camera: Mapping[str, Mesh]) -> Mesh | None:
    name = matched(meshes_camera, scene.truth).get(truth.instance_id)
    return None if name is None else meshes_camera[name]


def _row(backend: str, truth: TruthObject, mesh_camera: Mesh | None) -> Row:
    row = Row(scene="demo", object_name=truth.name, backend=backend, failure="missing")
    if mesh_camera is None:
        return row
    metrics = shape_metrics(mesh_camera, true_mesh(truth))
    return Row(scene="demo", object_name=truth.name, backend=backend, metrics=metrics)


def _page(
    truth: TruthObject, scene: Scene, meshes_camera: Mapping[str, Mesh | None], rows: Sequence[Row]
) -> Compared:
    return Compared(
        pictured=Pictured(number=truth.instance_id, name=truth.name, mask=truth.mask),
        rgb=scene.frame.rgb,
        truth_camera=true_mesh(truth),
        meshes_camera={name: mesh for name, mesh in meshes_camera.items() if mesh is not None},
        captions={row.backend: caption(row) for row in rows},
        up_camera=camera_from_world_of(scene).rotation[:, 2],
    )
