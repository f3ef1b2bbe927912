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

"""What comes out of an image: objects in metres, where they stand, and all of them as a scene."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from sam3d_ros.errors import ConfigError, ReconstructionError, Sam3dError
from sam3d_ros.geometry.mesh_files import file_from_camera, scene_of_meshes, write_mesh
from sam3d_ros.objects.colored_points import points_of_splats
from sam3d_ros.objects.scene import PlacedSplats, compose_splats
from sam3d_ros.objects.splat_files import write_splats
from sam3d_ros.objects.texture import TextureConfig, textured, write_textured
from sam3d_ros.structures import Mesh, ObjectReconstruction, Similarity, Splats


@dataclass(frozen=True, slots=True, eq=False)
class PosedObject:
    """An object in metres, in a frame of its own with z up, and where that frame stands."""

    reconstruction: ObjectReconstruction  # baked; with quality, provenance and times

    def __repr__(self) -> str:
        """Return size and place, without pages of numbers."""
        x, y, z = np.ptp(self.mesh.vertices, axis=0)
        at = ", ".join(f"{value:.3f}" for value in self.camera_from_object.translation_m)
        return (
            f"PosedObject({x:.3f} x {y:.3f} x {z:.3f} m at [{at}], "
            f"{len(self.mesh.triangles)} triangles, {len(self.splats or ())} splats)"
        )

    @property
    def mesh(self) -> Mesh:
        """The closed mesh."""
        return self.reconstruction.mesh_object

    @property
    def splats(self) -> Splats | None:
        """The splats, in the frame of the mesh; None unless they were asked for."""
        return self.reconstruction.splats

    @property
    def camera_from_object(self) -> Similarity:
        """Rigid pose in the optical frame: x right, y down, z forward."""
        return self.reconstruction.camera_from_object

    def save(self, path: str | Path, up_axis: str = "z") -> None:
        """Write the mesh as ``.glb`` or ``.ply``.

        Args:
            path: Its suffix names the format.
            up_axis: Of a ``.glb``: ``z`` is that of ``camera_from_object``, ``y`` suits viewers.

        Raises:
            ConfigError: The format is another one.
        """
        path = Path(path)
        write_mesh(self.mesh, path, up_axis if path.suffix == ".glb" else "z")

    def save_textured(self, path: str | Path, up_axis: str = "z") -> None:
        """Write the mesh as ``.glb`` with a texture in place of colours per vertex.

        The texture shows the splats, or the vertices where there are none; it takes some seconds.

        Args:
            path: Must end in ``.glb``.
            up_axis: As for ``save``.

        Raises:
            ConfigError: The format is another one.
            DependencyError: xatlas, which unfolds the mesh, is not installed.
        """
        write_textured(
            textured(self.mesh, TextureConfig(), points_of_splats(self.splats)), Path(path), up_axis
        )

    def save_splats(self, path: str | Path) -> None:
        """Write the splats as a ``.ply`` for viewers of 3D Gaussian Splatting.

        Raises:
            ConfigError: No splats were asked for, or the format is another one.
        """
        write_splats(Path(path), _asked_for(self.splats))


@dataclass(frozen=True, slots=True, eq=False)
class PosedScene:
    """Several objects where one camera saw them; see ``compose``."""

    objects: tuple[PosedObject, ...]

    @property
    def splats(self) -> Splats | None:
        """The splats of all objects in the optical frame; None unless they were asked for."""
        placed = [
            PlacedSplats(splats=each.splats, camera_from_object=each.camera_from_object)
            for each in self.objects
            if each.splats is not None
        ]
        return compose_splats(placed) if placed else None

    def to_trimesh(self) -> trimesh.Scene:
        """Return the meshes ``object_1``, ``object_2`` ... in the optical frame."""
        return self._turned(Similarity.identity())

    def save(self, path: str | Path, axes: str = "optical") -> None:
        """Write the meshes as one ``.glb``.

        Args:
            path: Must end in ``.glb``.
            axes: ``optical`` are those of the camera (x right, y down, z forward), ``gltf`` those
                of viewers (x right, y up, z towards the viewer).

        Raises:
            ConfigError: The format or the axes are other ones.
        """
        path, turn = Path(path), file_from_camera(axes)
        if path.suffix != ".glb":
            raise ConfigError(f"a scene must be written as .glb, got {path.name!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._turned(turn).export(path)

    def save_splats(self, path: str | Path) -> None:
        """Write the splats of all objects, in the optical frame, as one ``.ply``.

        Raises:
            ConfigError: No splats were asked for, or the format is another one.
        """
        write_splats(Path(path), _asked_for(self.splats))

    def _turned(self, file_from_camera: Similarity) -> trimesh.Scene:
        numbered = enumerate(self.objects, start=1)
        meshes = [(f"object_{n}", each.mesh, each.camera_from_object) for n, each in numbered]
        return scene_of_meshes(meshes, file_from_camera)


def compose(outcomes: Iterable[PosedObject | Sam3dError]) -> PosedScene:
    """Put the objects of one image into one scene; what failed is left out.

    Raises:
        ReconstructionError: There are no objects.
    """
    objects = tuple(each for each in outcomes if isinstance(each, PosedObject))
    if not objects:
        raise ReconstructionError("a scene must have one or more objects, got none")
    return PosedScene(objects)


def _asked_for(splats: Splats | None) -> Splats:
    if splats is None:
        raise ConfigError("there are no splats; load the reconstructor with splats=True")
    return splats
