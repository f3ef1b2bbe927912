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


"""Mesh files, and the one place that knows how their axes lie to those of the object frame.

Inside, everything is in the object frame with z up: poses, meshes, splats, ``.ply`` files. Only a
``.glb`` may be turned, so that viewers that follow glTF 2.0 show the object upright. Whoever
applies a pose to a turned file undoes the turn first: ``file_from_object("y").inverse()``.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import trimesh

from sam3d_ros.config import MESH_FORMATS
from sam3d_ros.errors import ConfigError
from sam3d_ros.geometry.meshes import to_trimesh
from sam3d_ros.structures import Mesh, Similarity

MESH_SUFFIXES = (".glb", ".ply")
# x right, y up, z towards the viewer (glTF 2.0, 3.4) from x forward, y left, z up (REP-103).
GLTF_FROM_OBJECT = Similarity(
    np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]), np.zeros(3)
)

# ... and from the optical frame: x right, y down, z forward.
GLTF_FROM_CAMERA = Similarity(np.diag([1.0, -1.0, -1.0]), np.zeros(3))


def file_from_camera(axes: str) -> Similarity:
    """Return the turn of a file of a whole scene: none for ``optical``, glTF's for ``gltf``."""
    turns = {"optical": Similarity.identity(), "gltf": GLTF_FROM_CAMERA}
    if axes not in turns:
        raise ConfigError(f"the axes of a scene must be optical or gltf, got {axes!r}")
    return turns[axes]


def file_from_object(up_axis: str) -> Similarity:
    """Return the turn of a file: none for ``z``, glTF's for ``y``."""
    turns = {"z": Similarity.identity(), "y": GLTF_FROM_OBJECT}
    if up_axis not in turns:
        raise ConfigError(f"the up-axis of a file must be y or z, got {up_axis!r}")
    return turns[up_axis]


def write_mesh(mesh: Mesh, path: Path, up_axis: str = "z", *, colors: bool = True) -> None:
    """Write one mesh in metres as ``.glb`` or ``.ply``, with colours and ``observed``.

    Args:
        mesh: In the object frame.
        path: Its suffix names the format.
        up_axis: ``z`` keeps the axes of the object frame, ``y`` turns them for glTF viewers.
        colors: Whether to write those of the vertices.

    Raises:
        ConfigError: When the format is not one of ``MESH_SUFFIXES``.
    """
    if path.suffix not in MESH_SUFFIXES:
        raise ConfigError(f"mesh file must end in {' or '.join(MESH_SUFFIXES)}, got {path.name!r}")
    exported = _exported(mesh.transformed(file_from_object(up_axis)), colors=colors)
    exported.vertex_attributes["_observed"] = mesh.observed.astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    exported.export(path)


def _exported(mesh: Mesh, *, colors: bool) -> trimesh.Trimesh:
    exported = to_trimesh(mesh)
    if not colors:
        exported.visual = trimesh.visual.ColorVisuals()
    return exported


def scene_of_meshes(
    meshes: Iterable[tuple[str, Mesh, Similarity]],
    file_from_scene: Similarity,
    *,
    colors: bool = True,
) -> trimesh.Scene:
    """Return several meshes as one scene, in which each is a node of its own.

    Args:
        meshes: Of each its name, its shape, and its pose in the scene.
        file_from_scene: The turn of the file.
        colors: Whether to keep those of the vertices.
    """
    scene = trimesh.Scene()
    for name, mesh, pose in meshes:
        exported = _exported(mesh, colors=colors)
        scene.add_geometry(exported, name, name, transform=pose.matrix)
    scene.apply_transform(file_from_scene.matrix)
    return scene


def mesh_bytes(mesh: Mesh, mesh_format: str, up_axis: str = "z", *, colors: bool = True) -> bytes:
    """Return the file of one mesh in metres; ``glb`` and ``ply`` also have ``observed``.

    Args:
        mesh: In the object frame.
        mesh_format: One of ``MESH_FORMATS``.
        up_axis: As of ``write_mesh``; of ``glb`` alone.
        colors: Whether to write those of the vertices.

    Raises:
        ConfigError: The format is another one.
    """
    if mesh_format not in MESH_FORMATS:
        raise ConfigError(
            f"the format must be one of {', '.join(MESH_FORMATS)}, got {mesh_format!r}"
        )
    turned = file_from_object(up_axis if mesh_format == "glb" else "z")
    exported = _exported(mesh.transformed(turned), colors=colors)
    if mesh_format in ("glb", "ply"):
        exported.vertex_attributes["_observed"] = mesh.observed.astype(np.float32)
    content = exported.export(file_type=mesh_format)
    return content.encode() if isinstance(content, str) else bytes(content)
