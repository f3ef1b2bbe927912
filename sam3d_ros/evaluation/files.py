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

"""Readers of single files of a scene folder; every error names the file and what it should be."""

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import trimesh
from trimesh.visual import ColorVisuals, TextureVisuals

from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.mask_files import mask_of
from sam3d_ros.structures import Bools, Bytes, Camera, Floats, Mesh

UNTEXTURED_RGB = (160, 160, 160)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        value = json.loads(_existing(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{path}: expected JSON, {error}") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def read_rgb(path: Path, camera: Camera) -> Bytes:
    """Read a colour image of the camera's size, ``(H, W, 3)``."""
    bgr = _sized(_decoded(path, cv2.IMREAD_COLOR), path, camera)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def read_mask(path: Path, camera: Camera) -> Bools:
    """Read a mask of the camera's size, ``(H, W)``; true where the object is."""
    # Unchanged: OpenCV's grey of 16 bit and of dark colours is 0, and transparency is gone.
    return mask_of(_sized(_decoded(path, cv2.IMREAD_UNCHANGED), path, camera), path)


def read_depth_m(path: Path, metres_per_unit: float) -> Floats:
    """Read a depth image, ``(h, w)`` float32 in metres, NaN where there is no reading.

    Args:
        path: An image of unsigned integers, 0 for no reading, or of floats in metres.
        metres_per_unit: Of the integers.
    """
    raw = _decoded(path, cv2.IMREAD_UNCHANGED)
    if raw.ndim != 2 or raw.dtype == np.uint8:
        raise DatasetError(
            f"{path}: expected one channel of 16 bit or float depth, got {raw.dtype} {raw.shape}; "
            "is this a colour map made for looking at?"
        )
    depth_m = raw.astype(np.float32) * (
        np.float32(metres_per_unit) if np.issubdtype(raw.dtype, np.integer) else np.float32(1.0)
    )
    known: Floats = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, np.float32(np.nan))
    return known


def read_points(path: Path) -> Floats:
    """Read the ``points`` of an ``.npz`` file, ``(N, 3)`` float32 in metres, finite ones only."""
    try:
        with np.load(_existing(path)) as arrays:
            points = np.asarray(arrays["points"], dtype=np.float32)
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: expected an array 'points', {error}") from error
    if points.ndim != 2 or points.shape[1] != 3:
        raise DatasetError(f"{path}: expected points of shape (N, 3), got {points.shape}")
    finite: Floats = points[np.isfinite(points).all(axis=1)]
    return finite


def read_mesh(path: Path) -> Mesh:
    """Read a triangle mesh as its file has it: no axis is turned, textures become vertex colours.

    Several parts become one mesh, each where the scene graph of the file puts it. Vertices are
    observed as far as ``geometry.mesh_files.write_mesh`` has noted it, else wholly.
    """
    try:
        loaded = trimesh.load(_existing(path), force="mesh", process=False)
    except (OSError, ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise DatasetError(f"{path}: expected a triangle mesh, {error}") from error
    if not isinstance(loaded, trimesh.Trimesh) or not len(loaded.faces):
        raise DatasetError(f"{path}: expected a triangle mesh, got a {type(loaded).__name__}")
    vertices = np.asarray(loaded.vertices, dtype=np.float32)
    if not np.isfinite(vertices).all():
        raise DatasetError(f"{path}: expected finite vertices")
    return Mesh(
        vertices=vertices,
        triangles=np.asarray(loaded.faces, dtype=np.int32),
        colors=_vertex_rgb(loaded),
        observed=_observed(loaded),
    )


def _observed(mesh: trimesh.Trimesh) -> Floats:
    noted = mesh.vertex_attributes.get("_observed", np.ones(len(mesh.vertices)))
    return np.asarray(noted, dtype=np.float32).reshape(len(mesh.vertices))


def _vertex_rgb(mesh: trimesh.Trimesh) -> Bytes:
    """Colour each vertex by what the file has: texture, vertex or face colours, or nothing."""
    visual = mesh.visual
    if isinstance(visual, TextureVisuals):
        visual = visual.to_color()
    colors = np.tile(np.array(UNTEXTURED_RGB, dtype=np.uint8), (len(mesh.vertices), 1))
    if isinstance(visual, ColorVisuals) and visual.defined:
        colors[:] = visual.vertex_colors[:, :3]
    return colors


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DatasetError(f"{path}: expected a file, found none")
    return path


def _decoded(path: Path, mode: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Decode an image file."""
    encoded = np.fromfile(_existing(path), dtype=np.uint8)
    image = cv2.imdecode(encoded, mode) if encoded.size else None
    if image is None:
        raise DatasetError(f"{path}: expected an image, cannot decode {encoded.size} bytes")
    return image


def _sized(
    image: np.ndarray[Any, np.dtype[Any]], path: Path, camera: Camera
) -> np.ndarray[Any, np.dtype[Any]]:
    """Return ``image`` when it has the size of ``camera``."""
    height, width = image.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise DatasetError(
            f"{path}: expected {camera.width}x{camera.height} pixels as camera.json says, "
            f"got {width}x{height}"
        )
    return image
