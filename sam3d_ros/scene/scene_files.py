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

"""Files of a whole scene: all objects in one, each where it stands."""

from dataclasses import dataclass
from pathlib import Path

from sam3d_ros.geometry.mesh_files import file_from_camera, file_from_object, scene_of_meshes
from sam3d_ros.objects.scene import PlacedSplats, compose_splats
from sam3d_ros.objects.splat_files import write_splats
from sam3d_ros.scene.names import object_name
from sam3d_ros.structures import SceneObject, SceneSnapshot, Similarity

SCENE_MESHES, SCENE_SPLATS = "scene.glb", "scene_splats.ply"
FIXED, CAMERA = "fixed", "camera"  # frames, as the poses of scene.json begin: fixed_from_object


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFiles:
    """What was written of a whole scene, and in which frame."""

    frame: str  # FIXED or CAMERA
    meshes: Path
    splats: Path | None  # None where no object has splats


def frame_of_scene(snapshot: SceneSnapshot) -> str:
    """Return the frame in which the objects of a scene are put together.

    ``FIXED`` where all have a pose in the fixed frame, which holds whenever they were seen; else
    ``CAMERA``: each where the camera saw it last, which is one frame only of a camera that stands.
    """
    is_fixed = all(known.fixed_from_object is not None for known in snapshot.objects)
    return FIXED if is_fixed else CAMERA


def write_scene(
    snapshot: SceneSnapshot, directory: Path, up_axis: str = "z", *, colors: bool = True
) -> SceneFiles | None:
    """Write the meshes of all objects as ``scene.glb`` and their splats as ``scene_splats.ply``.

    Args:
        snapshot: The objects.
        directory: Where the files go.
        up_axis: Of ``scene.glb``: ``z`` keeps the axes of the frame (of a camera: x right, y down,
            z forward), ``y`` turns them for glTF viewers. Splats always keep them.
        colors: Whether to write those of the vertices.

    Returns:
        The files; None where there are no objects, and nothing is written.
    """
    if not snapshot.objects:
        return None
    frame, directory = frame_of_scene(snapshot), Path(directory)
    meshes = [
        (object_name(each.track_id, each.class_id), each.reconstruction.mesh_object, pose)
        for each, pose in _posed(snapshot, frame)
    ]
    scene = scene_of_meshes(meshes, _file_from(frame, up_axis), colors=colors)
    directory.mkdir(parents=True, exist_ok=True)
    scene.export(directory / SCENE_MESHES)
    return SceneFiles(
        frame=frame,
        meshes=directory / SCENE_MESHES,
        splats=_write_splats(snapshot, frame, directory / SCENE_SPLATS),
    )


def _write_splats(snapshot: SceneSnapshot, frame: str, path: Path) -> Path | None:
    placed = [
        # The frame need not be a camera's: whatever all poses have in common will do.
        PlacedSplats(splats=splats, camera_from_object=pose)
        for each, pose in _posed(snapshot, frame)
        if (splats := each.reconstruction.splats) is not None
    ]
    if not placed:
        return None
    write_splats(path, compose_splats(placed))
    return path


def _posed(snapshot: SceneSnapshot, frame: str) -> list[tuple[SceneObject, Similarity]]:
    """Return each object with its pose in a frame."""
    return [(known, _pose(known, frame)) for known in snapshot.objects]


def _pose(known: SceneObject, frame: str) -> Similarity:
    fixed = known.fixed_from_object if frame == FIXED else None
    return known.reconstruction.camera_from_object if fixed is None else fixed


def _file_from(frame: str, up_axis: str) -> Similarity:
    if frame == FIXED:
        return file_from_object(up_axis)  # of frames that stand still z is up, as in objects
    return file_from_camera("gltf" if up_axis == "y" else "optical")
