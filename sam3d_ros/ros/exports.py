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

from sam3d_ros.errors import ConfigError
from sam3d_ros.ros.session import Session
from sam3d_ros.scene.names import object_name
from sam3d_ros.structures import SceneObject

FORMATS = ("glb", "ply", "obj", "stl")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExportOrder:
    """Which files are written, and where."""

    objects: tuple[SceneObject, ...]
    formats: tuple[str, ...]
    path: str = ""  # below the output folder
    overwrite: bool = False


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return formats without repetitions.

    Raises:
        ConfigError: One of them is not known.
    """
    if unknown := [each for each in formats if each not in FORMATS]:
        raise ConfigError(
            f"the formats must be among {', '.join(FORMATS)}, got {unknown[0][:80]!r}"
        )
    return tuple(dict.fromkeys(formats))


def exported(order: ExportOrder, session: Session) -> list[str]:
    """Write the files of an order and return their paths; takes a while.

    Raises:
        OutputFileError: A file must not be written where it was asked for, or cannot be.
    """
    # Imported here, in a thread that nobody waits for: it takes half a second.
    from sam3d_ros.geometry.mesh_files import mesh_bytes  # noqa: PLC0415

    up_axis, prefix = session.config.mesh.glb_up_axis, session.config.tf.prefix
    files = {
        f"{object_name(known.track_id, known.class_id, prefix)}.{each}": partial(
            mesh_bytes, known.reconstruction.mesh_object, each, up_axis
        )
        for known in order.objects
        for each in order.formats
    }
    folder = session.outputs.folder
    return [str(path) for path in folder.write(order.path, files, overwrite=order.overwrite)]
