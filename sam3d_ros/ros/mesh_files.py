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


"""The files of each revision of a mesh, and the names under which messages tell of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import OutputFileError
from sam3d_ros.scene.output_folder import OutputFolder
from sam3d_ros.structures import Mesh, SceneObject

DIGITS = 8  # of the hash, in names
MARKER = "marker.glb"
FOLDER = "revisions"  # apart from what calls write, which has other names and is asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshFile:
    """What messages say of the files of one revision; empty where none was written."""

    uri: str = ""
    sha256: str = ""
    marker_uri: str = ""  # the same object as RViz shows it: light, with an image, axes as in TF


NO_FILE = MeshFile()


class MeshFiles:
    """Writes every revision of every mesh once; belongs to the thread that reconstructs.

    A viewer keeps what it has read under a name. So names have the revision and a part of the
    content's hash, which also tells objects apart that had the same id in other lives of the node.

    Args:
        folder: Where they go; of a temporary one, what nobody is told of any more is removed.
        config: Tells the formats, and whether markers need files of their own.
        warn: Gets a sentence when files cannot be written.
    """

    def __init__(
        self, folder: OutputFolder, config: NodeConfig, warn: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._warn = warn
        self._up_axis = config.mesh.glb_up_axis
        self._formats = () if folder.is_temporary else tuple(dict.fromkeys(config.mesh.formats))
        self._has_markers = config.markers.style == "mesh_resource"
        self._files: dict[int, tuple[int, MeshFile, list[Path]]] = {}  # and revision, by track id
        if self._formats or self._has_markers:
            # Half a second, better now than when the first object waits for it.
            import sam3d_ros.scene.export  # noqa: F401, PLC0415

    def write(self, known: SceneObject, name: str) -> None:
        """Write the files of an object's revision, unless they are there."""
        if not (self._formats or self._has_markers) or self._is_written(known):
            return
        try:
            file, paths = self._write(known, name)
        except OutputFileError as error:
            self._warn(f"no files of {name}, revision {known.revision}: {error}")
            file, paths = NO_FILE, []
        self.forget([known.track_id])
        self._files[known.track_id] = (known.revision, file, paths)

    def of(self, known: SceneObject) -> MeshFile:
        """Tell of the files of an object's revision; may be called from any thread."""
        revision, file, _ = self._files.get(known.track_id, (0, NO_FILE, []))
        return file if revision == known.revision else NO_FILE

    def forget(self, track_ids: Iterable[int]) -> None:
        """Forget objects."""
        for track_id in track_ids:
            _, _, paths = self._files.pop(track_id, (0, NO_FILE, []))
            for path in paths if self._folder.is_temporary else []:
                path.unlink(missing_ok=True)

    def _is_written(self, known: SceneObject) -> bool:
        written = self._files.get(known.track_id)
        return written is not None and written[0] == known.revision

    def _write(self, known: SceneObject, name: str) -> tuple[MeshFile, list[Path]]:
        from sam3d_ros.scene.export import file_content  # noqa: PLC0415

        contents = {each: file_content(known, each, self._up_axis) for each in self._formats}
        if self._has_markers:
            contents[MARKER] = marker_glb(known)
        digest = sha256(b"".join(contents.values())).hexdigest()
        stem = f"{name}_r{known.revision:03d}_{digest[:DIGITS]}"
        files = {
            f"{stem}{'_' if each == MARKER else '.'}{each}": partial(bytes, content)
            for each, content in contents.items()
        }
        paths = self._folder.write(FOLDER, files, overwrite=True)
        file = NO_FILE
        if self._formats:
            first = contents[self._formats[0]]
            file = MeshFile(uri=paths[0].as_uri(), sha256=sha256(first).hexdigest())
        if self._has_markers:
            file = replace(file, marker_uri=paths[-1].as_uri())
        return file, paths


def marker_glb(known: SceneObject) -> bytes:
    """Return what a MESH_RESOURCE marker shows; RViz knows images, but no colours of vertices.

    Its axes are those of the object frame, whatever ``mesh.glb_up_axis`` says: RViz turns nothing.
    """
    from sam3d_ros.geometry.mesh_files import mesh_bytes  # noqa: PLC0415
    from sam3d_ros.objects.texture import TexturedMesh, textured_glb  # noqa: PLC0415

    made = known.reconstruction
    mesh, texture = made.preview or made.mesh_object, made.preview_texture
    if texture is None:
        return mesh_bytes(mesh, "glb")
    corners = mesh.triangles.ravel()
    apart = Mesh(
        vertices=mesh.vertices[corners],
        triangles=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        colors=mesh.colors[corners],
        observed=mesh.observed[corners],
    )
    return textured_glb(TexturedMesh(apart, texture.uv.reshape(-1, 2), texture.image), "z")
