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


"""Meshes of objects as files of the output folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sam3d_ros.config import MESH_FORMATS
from sam3d_ros.errors import ConfigError
from sam3d_ros.ros.session import Session
from sam3d_ros.scene.names import object_name
from sam3d_ros.structures import SceneObject

TEXTURES = ("vertex_color", "none", "baked")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExportOrder:
    """Which files are written, and where."""

    objects: tuple[SceneObject, ...]
    formats: tuple[str, ...]
    path: str = ""  # below the output folder
    overwrite: bool = False
    texture: str = TEXTURES[0]


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return formats without repetitions.

    Raises:
        ConfigError: One of them is not known.
    """
    if unknown := [each for each in formats if each not in MESH_FORMATS]:
        raise ConfigError(
            f"the formats must be among {', '.join(MESH_FORMATS)}, got {unknown[0][:80]!r}"
        )
    return tuple(dict.fromkeys(formats))


def check_texture(texture: str) -> str:
    """Return what colours files have; empty is the default.

    Raises:
        ConfigError: It is not known.
    """
    if texture not in ("", *TEXTURES):
        raise ConfigError(f"texture must be one of {', '.join(TEXTURES)}, got {texture[:80]!r}")
    return texture or TEXTURES[0]


def check_baking() -> None:
    """Raise unless textures can be baked; takes a while.

    Raises:
        DependencyError: What bakes them is not installed.
    """
    from sam3d_ros.objects.texture import check_textures  # noqa: PLC0415  # as in _content

    check_textures()


def exported(order: ExportOrder, session: Session) -> list[str]:
    """Write the files of an order and return their paths; takes a while.

    Raises:
        OutputFileError: A file must not be written where it was asked for, or cannot be.
    """
    up_axis, prefix = session.config.mesh.glb_up_axis, session.config.tf.prefix
    files = {
        f"{object_name(known.track_id, known.class_id, prefix)}.{each}": partial(
            _content, known, each, up_axis, order.texture
        )
        for known in order.objects
        for each in order.formats
    }
    folder = session.outputs.folder
    return [str(path) for path in folder.write(order.path, files, overwrite=order.overwrite)]


def _content(known: SceneObject, mesh_format: str, up_axis: str, texture: str) -> bytes:
    """Return a file; one with a texture where its format and its mesh can have one."""
    # Imported here, in a thread that nobody waits for: it takes half a second.
    from sam3d_ros.scene.export import file_content  # noqa: PLC0415

    return file_content(known, mesh_format, up_axis, texture)
