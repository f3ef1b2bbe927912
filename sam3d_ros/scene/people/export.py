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

"""People in files: meshes in their own frame, and what ``scene.json`` says of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sam3d_ros.geometry.measures import vertex_normals
from sam3d_ros.geometry.mesh_files import MESH_SUFFIXES, write_mesh
from sam3d_ros.scene.json_values import number_json, numbers_json, pose_json
from sam3d_ros.scene.people.frames import camera_from_body, person_name
from sam3d_ros.structures import (
    BodyReconstruction,
    Floats,
    Mesh,
    PeopleSnapshot,
    ScenePerson,
    Similarity,
)
from sam3d_ros.structures.mhr import JOINT_NAMES, KEYPOINT_NAMES

COLOR = (186, 176, 168)


def person_mesh(body: BodyReconstruction, frame_from_camera: Similarity) -> Mesh:
    """Return a body as a mesh in some frame; ``observed`` is what faces the camera."""
    num = len(body.vertices_camera)
    mesh = Mesh(
        vertices=body.vertices_camera,
        triangles=body.triangles,
        colors=np.tile(np.array(COLOR, dtype=np.uint8), (num, 1)),
        observed=np.zeros(num, dtype=np.float32),
    )
    faces = (vertex_normals(mesh) * mesh.vertices).sum(axis=1) < 0
    return replace(mesh, observed=faces.astype(np.float32)).transformed(frame_from_camera)


def write_people(people: Sequence[ScenePerson], directory: Path, up_axis: str) -> list[Path]:
    """Write each person in its own frame (z up, x out of the chest); return the files.

    Args:
        people: As last seen.
        directory: Where the files go.
        up_axis: Of ``.glb`` files, ``z`` or ``y``.
    """
    files = []
    for person in people:
        mesh = person_mesh(person.body, camera_from_body(person.body).inverse())
        for suffix in MESH_SUFFIXES:
            path = directory / f"{person_name(person.person_id)}{suffix}"
            write_mesh(mesh, path, up_axis if suffix == ".glb" else "z")
            files.append(path)
    return files


def people_json(people: PeopleSnapshot) -> dict[str, Any]:
    """Describe the people of one image in plain JSON values; what was not measured is null."""
    return {
        "people": [person_json(person) for person in people.people],
        "people_left_out": people.num_left_out,
    }


def person_json(person: ScenePerson) -> dict[str, Any]:
    """Describe one person: identity, place, how well it fits what was measured, pose."""
    body, fit = person.body, person.fit
    touching = np.flatnonzero(person.contacts)
    return {
        "id": person.person_id,
        "name": person_name(person.person_id),
        "mask": body.instance_id,
        "score": number_json(body.score),
        "first_seen_ns": person.first_seen_ns,
        "last_seen_ns": person.last_seen_ns,
        "camera_from_body": pose_json(camera_from_body(body)),
        "scale_source": body.scale_source.name,
        "depth_residual_m": number_json(fit.residual_m),
        "depth_correction_m": number_json(fit.correction_m),
        "inlier_fraction": number_json(fit.inlier_fraction),
        "touching": [KEYPOINT_NAMES[row] for row in touching],
        "keypoints_camera_m": _named(KEYPOINT_NAMES, body.keypoints_camera),
        "keypoints_px": _named(KEYPOINT_NAMES, body.keypoints_px),
        "joints_camera_m": _named(JOINT_NAMES, body.joints_camera),
        "rig_parameters": numbers_json(body.parameters.rig),
        "shape": numbers_json(body.parameters.shape),
        "backend": body.backend,
        "notes": list(body.notes),
        "seconds": dict(body.stage_s),
    }


def _named(names: Sequence[str], rows: Floats) -> dict[str, list[float | None]]:
    return {name: numbers_json(row) for name, row in zip(names, rows, strict=True)}
