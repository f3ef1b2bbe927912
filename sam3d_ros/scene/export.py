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

"""Names and files of what leaves the package: mesh files and ``scene.json``."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sam3d_ros.config import MeshConfig
from sam3d_ros.errors import ReconstructionError
from sam3d_ros.geometry.mesh_files import mesh_bytes
from sam3d_ros.objects.colored_points import points_of_splats
from sam3d_ros.objects.splat_files import write_splats
from sam3d_ros.objects.texture import TextureConfig, textured, textured_glb
from sam3d_ros.scene.json_values import number_json, numbers_json, pose_json
from sam3d_ros.scene.names import object_name
from sam3d_ros.scene.people.export import people_json
from sam3d_ros.structures import (
    Choice,
    ObjectFlag,
    Quality,
    SceneObject,
    SceneSnapshot,
    Settling,
)

ALWAYS_WRITTEN = ("glb", "ply")  # of a recording; others where they are wanted

logger = logging.getLogger(__name__)


def scene_json(snapshot: SceneSnapshot) -> dict[str, Any]:
    """Describe a snapshot in plain JSON values; what was not measured is null."""
    return {
        "stamp_ns": snapshot.stamp_ns,
        "frame_id": snapshot.frame_id,
        "objects": [object_json(known) for known in snapshot.objects],
        "updated": list(snapshot.updated),
        "removed": list(snapshot.removed),
        "failures": [
            {"instance_id": failure.instance_id, "code": failure.code.name, "why": failure.message}
            for failure in snapshot.failures
        ],
        "support_plane_camera": _plane_json(snapshot),
        "seconds": dict(snapshot.stage_s),
        **(people_json(snapshot.people) if snapshot.people is not None else {}),
    }


def object_json(known: SceneObject) -> dict[str, Any]:
    """Describe one object: identity, pose, size, quality, provenance."""
    reconstruction = known.reconstruction
    provenance = reconstruction.provenance
    return {
        "id": known.track_id,
        "name": object_name(known.track_id, known.class_id),
        "class": known.class_id,
        "score": number_json(known.score),
        "state": known.state.name,
        "revision": known.revision,
        "flags": [flag.name for flag in ObjectFlag if known.flags & flag],
        "first_seen_ns": known.first_seen_ns,
        "last_seen_ns": known.last_seen_ns,
        "size_m": numbers_json(known.size_m),
        "camera_from_object": pose_json(reconstruction.camera_from_object),
        "fixed_from_object": (
            pose_json(known.fixed_from_object) if known.fixed_from_object is not None else None
        ),
        "quality": _quality_json(reconstruction.quality),
        "backend": provenance.backend,
        "seed": provenance.seed,
        "scale_source": provenance.scale_source.name,
        "settling": _settling_json(reconstruction.settling),
        "hypothesis": provenance.hypothesis,
        "choice": _choice_json(provenance.choice),
        "notes": list(provenance.notes),
        "triangles": len(reconstruction.mesh_object.triangles),
        "seconds": dict(reconstruction.stage_s),
    }


def write_meshes(
    snapshot: SceneSnapshot, directory: Path, config: MeshConfig, texture: str = "vertex_color"
) -> list[Path]:
    """Write every object's mesh in each format; return the files.

    Args:
        snapshot: The objects.
        directory: Where the files go.
        config: Tells the up-axis of ``.glb`` files, and which formats are written beside
            ``ALWAYS_WRITTEN``.
        texture: As ``ObjectsConfig.texture``.

    Raises:
        DependencyError: Textures are to be baked and xatlas is not installed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for known in snapshot.objects:
        stem = object_name(known.track_id, known.class_id)
        for mesh_format in dict.fromkeys((*ALWAYS_WRITTEN, *config.formats)):
            path = directory / f"{stem}.{mesh_format}"
            path.write_bytes(file_content(known, mesh_format, config.glb_up_axis, texture))
            files.append(path)
    return files


def file_content(
    known: SceneObject, mesh_format: str, up_axis: str = "z", texture: str = "vertex_color"
) -> bytes:
    """Return the file of an object's mesh; one with an image where its format can have one.

    Args:
        known: The object.
        mesh_format: One of ``MESH_FORMATS``.
        up_axis: Of ``glb``; the others have the axes of the object frame.
        texture: As ``ObjectsConfig.texture``.

    Raises:
        DependencyError: A texture is to be baked and xatlas is not installed.
    """
    if mesh_format == "glb" and texture == "baked":
        return baked_glb(known, up_axis)
    mesh, has_colors = known.reconstruction.mesh_object, texture != "none"
    return mesh_bytes(mesh, mesh_format, up_axis, colors=has_colors)


def write_splat_files(snapshot: SceneSnapshot, directory: Path) -> list[Path]:
    """Write the splats of every object that has some, in its own frame; return the files."""
    files = []
    for known in snapshot.objects:
        if (splats := known.reconstruction.splats) is not None:
            path = directory / f"{object_name(known.track_id, known.class_id)}_splats.ply"
            write_splats(path, splats)
            files.append(path)
    return files


def baked_glb(known: SceneObject, up_axis: str) -> bytes:
    """Return a mesh with a texture; with colours of its vertices where it can have none.

    Raises:
        DependencyError: xatlas is not installed.
    """
    made = known.reconstruction
    mesh, colored = made.mesh_object, points_of_splats(made.splats)
    try:
        shown = textured(mesh, TextureConfig(), colored)
    except ReconstructionError as error:
        name = object_name(known.track_id, known.class_id)
        logger.warning("%s.glb gets no texture: %s", name, error)
        return mesh_bytes(mesh, "glb", up_axis)
    return textured_glb(shown, up_axis)


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write standard JSON: a NaN in ``values`` is an error, not a NaN in the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _plane_json(snapshot: SceneSnapshot) -> dict[str, Any] | None:
    if snapshot.support is None:
        return None
    return {
        "normal": numbers_json(snapshot.support.normal_camera),
        "offset_m": float(snapshot.support.offset_m),
        "confidence": float(snapshot.support.confidence),
    }


def _quality_json(quality: Quality) -> dict[str, float | None]:
    return {
        "silhouette_iou": number_json(quality.silhouette_iou),
        "depth_residual_m": number_json(quality.depth_residual_m),
        "inlier_fraction": number_json(quality.inlier_fraction),
        "observed_fraction": number_json(quality.observed_fraction),
    }


def _choice_json(choice: Choice) -> dict[str, float | None]:
    return {
        "candidates": choice.num_candidates,
        "score": number_json(choice.score),
        "margin": number_json(choice.margin),
    }


def _settling_json(settling: Settling | None) -> dict[str, float | None] | None:
    if settling is None:
        return None
    return {
        "shift_m": number_json(settling.shift_m),
        "turn_rad": number_json(settling.turn_rad),
        "overlap_before_m": number_json(settling.overlap_before_m),
        "overlap_m": number_json(settling.overlap_m),
        "height_before_m": number_json(settling.height_before_m),
        "height_m": number_json(settling.height_m),
        "balance_m": number_json(settling.balance_m),
        "inside": settling.inside,
    }
