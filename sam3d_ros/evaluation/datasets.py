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

"""Scene folders: one exposure of a camera on disk, with the truth where it is known.

=====================  ============================================================================
``camera.json``        ``fx fy cx cy width height``; optional ``depth_scale`` (metres per unit,
                       0.001), ``distortion_model`` + ``distortion`` as in ``CameraInfo``,
                       ``T_world_cam`` (camera to world), ``T_cam_lidar`` (LiDAR to camera)
``rgb.png`` / ``.jpg`` colour, 8 bit
``depth_noisy.png``,   16 bit, 0 is no reading; of another size but the same aspect as the image it
``depth.png``          is scaled, any other size is an error
``depth_native.png``   depth in a camera of its own: ``camera_depth.json`` with ``T_color_depth``
``lidar.npz``          ``points`` ``(N, 3)`` in metres in the LiDAR's frame
``masks/NAME.png``     not 0 is the object, of transparency or else of any channel; several areas
                       of other values are an error; also ``mask_NAME.png`` beside the image
``gt.json``            ``objects`` (``T_cam_obj`` takes mesh to camera) or ``people`` (meshes stand
                       in the camera frame); each with ``name`` and optional ``mask``, ``mesh``
=====================  ============================================================================

Instance ids count from 1 in the order of ``gt.json``, then masks that it does not name, by name.
Which way is up is not part of a scene folder, even where the author of one knows it.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from sam3d_ros.errors import DatasetError, DistortionError, IntrinsicsError
from sam3d_ros.evaluation.files import (
    read_depth_m,
    read_json,
    read_mask,
    read_mesh,
    read_points,
    read_rgb,
)
from sam3d_ros.geometry.cameras import check_principal_point, resized
from sam3d_ros.geometry.lenses import NUM_COEFFICIENTS
from sam3d_ros.structures import (
    Bools,
    Bytes,
    Camera,
    DepthImage,
    Floats,
    Frame,
    InstanceMask,
    Mesh,
    PointCloud,
    Similarity,
)

CAMERA_FILE = "camera.json"
NATIVE_CAMERA_FILE = "camera_depth.json"
LIDAR_FILE = "lidar.npz"
TRUTH_FILE = "gt.json"
RGB_FILES = ("rgb.png", "rgb.jpg")
DEPTH_FILES = ("depth_noisy.png", "depth.png", "depth_native.png")
NATIVE_DEPTH = "depth_native"  # files whose name starts so are in the camera of camera_depth.json
ASPECT_TOLERANCE = 0.01
SCALE_TOLERANCE = 1e-3  # of a pose as somebody has typed it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TruthObject:
    """What is known about one object of a scene."""

    instance_id: int  # of its mask in the frame
    name: str
    mask_path: Path
    mask: Bools  # (H, W), visible pixels
    mesh: Mesh | None  # in the object frame, metres
    camera_from_object: Similarity | None
    mesh_path: Path | None = None

    @property
    def mesh_camera(self) -> Mesh | None:
        """The true mesh where it stands; ``None`` where mesh or pose is unknown."""
        if self.mesh is None or self.camera_from_object is None:
            return None
        return self.mesh.transformed(self.camera_from_object)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One scene folder."""

    name: str
    folder: Path
    frame: Frame
    truth: tuple[TruthObject, ...]


def scene_folders(path: Path) -> list[Path]:
    """Return the scene folders at or below ``path``, sorted.

    Raises:
        DatasetError: When there is none.
    """
    folders = sorted(found.parent for found in path.rglob(CAMERA_FILE))
    if not folders:
        raise DatasetError(
            f"expected a scene folder or a folder of scenes, found no {CAMERA_FILE} in {path}"
        )
    return folders


def load_scene(
    folder: Path, depth_file: str | None = None, lidar: bool = False, *, shapes: bool = True
) -> Scene:
    """Read one scene folder.

    Args:
        folder: As the module describes.
        depth_file: Name of the depth image; ``None`` takes the first that exists of
            ``DEPTH_FILES`` and, where there is none, the LiDAR points.
        lidar: Give the LiDAR points instead of any depth image.
        shapes: Read true meshes and poses, too; else they are not known, and need not be there.

    Raises:
        DatasetError: When a file is missing, damaged or contradicts another; names it.
        IntrinsicsError: The camera has a principal point that no image has.
        DistortionError: It has distortion of no model.
    """
    folder = Path(folder)
    description = read_json(folder / CAMERA_FILE)
    camera = _camera(description, folder / CAMERA_FILE)
    rgb = _rgb(folder, camera)
    truth = _truth(folder, camera, shapes=shapes)
    depth_path = None if lidar else _depth_path(folder, depth_file)
    has_points = depth_path is None and (lidar or (folder / LIDAR_FILE).is_file())
    fixed_from_camera = _rigid_pose(description, "T_world_cam", folder / CAMERA_FILE)
    frame = Frame(
        rgb=rgb,
        camera=camera,
        masks=_instances(folder, camera, truth),
        depth=_depth(depth_path) if depth_path else None,
        points=_points(folder, description) if has_points else None,
        fixed_from_camera=fixed_from_camera,
        fixed_frame_id="world" if fixed_from_camera is not None else "",
    )
    return Scene(name=folder.resolve().name, folder=folder, frame=frame, truth=truth)


def _camera(description: dict[str, Any], path: Path) -> Camera:
    """Build the camera that a ``camera.json`` describes."""
    fx, fy, cx, cy, width, height = (
        _number(description, key, path) for key in ("fx", "fy", "cx", "cy", "width", "height")
    )
    if min(fx, fy, width, height) <= 0:
        raise DatasetError(f"{path}: fx, fy, width and height must be positive")
    distortion = _numbers(description, "distortion", path)
    camera = Camera(
        width=int(width),
        height=int(height),
        matrix_px=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
        # Files of ideal cameras say so in prose, "none (pinhole, as delivered)".
        distortion_model=str(description.get("distortion_model") or "") if distortion else "none",
        distortion=distortion,
    )
    if camera.is_distorted and not camera.distortion_model:
        raise DistortionError(
            f"{path}: distortion needs distortion_model, which is missing; add the model that it "
            f"was calibrated with, one of {', '.join(sorted(NUM_COEFFICIENTS.keys() - {'none'}))}"
        )
    try:
        check_principal_point(camera)
    except IntrinsicsError as error:
        raise IntrinsicsError(f"{path}: {error}") from error
    return camera


def _number(description: dict[str, Any], key: str, path: Path) -> float:
    value = description.get(key)
    if not _is_number(value):
        raise DatasetError(f"{path}: expected a number {key!r}, got {value!r}")
    return float(value)


def _numbers(description: dict[str, Any], key: str, path: Path) -> tuple[float, ...]:
    """Read a list of numbers; empty where it is absent or null."""
    values = _list(description, key, path)
    if not all(_is_number(value) for value in values):
        raise DatasetError(f"{path}: expected a list of numbers {key!r}, got {values!r}")
    return tuple(float(value) for value in values)


def _is_number(value: Any) -> TypeGuard[int | float]:
    # Python takes true for 1; JSON has integers that are no float.
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and abs(value) <= sys.float_info.max


def _list(description: dict[str, Any], key: str, path: Path) -> list[Any]:
    """Read a list; empty where it is absent or null."""
    value = description.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise DatasetError(f"{path}: expected a list {key!r}, got {value!r}")
    return value


def _name(description: dict[str, Any], key: str, path: Path) -> str | None:
    """Read the name of a file; ``None`` where it is absent, null or empty."""
    value = description.get(key)
    if value is not None and not isinstance(value, str):
        raise DatasetError(f"{path}: expected the name of a file {key!r}, got {value!r}")
    return value or None


def _rigid_pose(description: dict[str, Any], key: str, path: Path) -> Similarity | None:
    """Read the 4x4 transform of a sensor, which scales nothing; ``None`` where it is absent."""
    pose = _pose(description, key, path)
    if pose is not None and abs(pose.scale - 1.0) > SCALE_TOLERANCE:
        raise DatasetError(
            f"{path}: {key} must be a rotation and a translation in metres, got scale "
            f"{pose.scale:.4g}; divide what is scaled by it"
        )
    return pose


def _pose(description: dict[str, Any], key: str, path: Path) -> Similarity | None:
    """Read a 4x4 transform; ``None`` where it is absent or null."""
    value = description.get(key)
    if value is None:
        return None
    try:
        pose = Similarity.from_matrix(np.array(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: {key} must be a 4x4 transform, {error}") from error
    if not np.allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-3):
        raise DatasetError(f"{path}: {key} must hold a rotation, got {pose.rotation.tolist()}")
    return pose


def _rgb(folder: Path, camera: Camera) -> Bytes:
    found = [folder / name for name in RGB_FILES if (folder / name).is_file()]
    if not found:
        raise DatasetError(f"{folder}: expected {' or '.join(RGB_FILES)}, found neither")
    return read_rgb(found[0], camera)


def _depth_path(folder: Path, depth_file: str | None) -> Path | None:
    if depth_file is not None:
        return folder / depth_file
    return next((folder / name for name in DEPTH_FILES if (folder / name).is_file()), None)


def _depth(path: Path) -> DepthImage:
    """Read a depth image together with the camera that it belongs to."""
    native = path.stem.startswith(NATIVE_DEPTH)
    camera_path = path.with_name(NATIVE_CAMERA_FILE if native else CAMERA_FILE)
    description = read_json(camera_path)
    metres_per_unit = _number({"depth_scale": 0.001, **description}, "depth_scale", camera_path)
    if metres_per_unit <= 0:
        raise DatasetError(
            f"{camera_path}: expected a positive 'depth_scale' in metres per unit (0.001 for "
            f"millimetres), got {metres_per_unit:g}"
        )
    depth_m = read_depth_m(path, metres_per_unit)
    color_from_depth = _rigid_pose(description, "T_color_depth", camera_path) if native else None
    if native and color_from_depth is None:
        raise DatasetError(f"{camera_path}: expected T_color_depth, the pose of the depth camera")
    return DepthImage(
        depth_m=depth_m,
        camera=_camera_of_size(_camera(description, camera_path), depth_m, path),
        color_from_depth=color_from_depth or Similarity.identity(),
    )


def _camera_of_size(camera: Camera, depth_m: Floats, path: Path) -> Camera:
    """Return ``camera`` as it is for a depth image of another resolution."""
    height, width = depth_m.shape
    if (width, height) == (camera.width, camera.height):
        return camera
    if abs(width * camera.height / (height * camera.width) - 1.0) > ASPECT_TOLERANCE:
        raise DatasetError(
            f"{path}: expected {camera.width}x{camera.height} pixels or the same aspect ratio, "
            f"got {width}x{height}; depth of another camera is {NATIVE_DEPTH}.png with "
            f"{NATIVE_CAMERA_FILE}"
        )
    return resized(camera, width, height)


def _points(folder: Path, description: dict[str, Any]) -> PointCloud:
    camera_from_lidar = _rigid_pose(description, "T_cam_lidar", folder / CAMERA_FILE)
    if camera_from_lidar is None:
        raise DatasetError(f"{folder / CAMERA_FILE}: expected T_cam_lidar for {LIDAR_FILE}")
    return PointCloud(points=read_points(folder / LIDAR_FILE), camera_from_sensor=camera_from_lidar)


def _truth(folder: Path, camera: Camera, *, shapes: bool) -> tuple[TruthObject, ...]:
    """Read ``gt.json``; a folder without one has no truth, without ``shapes`` it has but masks."""
    path = folder / TRUTH_FILE
    if not path.is_file():
        return ()
    description = read_json(path)
    if (unit := description.get("length_unit", "m")) != "m":
        raise DatasetError(f"{path}: expected lengths in 'm', got {unit!r}")
    objects = [(entry, False) for entry in _list(description, "objects", path)]
    people = [(entry, True) for entry in _list(description, "people", path)]
    found = []
    for instance_id, (entry, in_camera) in enumerate(objects + people, start=1):
        item = _truth_object(entry, instance_id, camera, path)
        found.append(_with_shape(item, entry, path, in_camera=in_camera) if shapes else item)
    return tuple(found)


def _truth_object(
    entry: dict[str, Any], instance_id: int, camera: Camera, path: Path
) -> TruthObject:
    """Read name and mask of one entry of ``gt.json``."""
    if not isinstance(entry, dict):
        raise DatasetError(
            f"{path}: expected a JSON object for object {instance_id}, got {entry!r}"
        )
    name = entry.get("name")
    if not isinstance(name, str):
        raise DatasetError(f"{path}: expected a name for object {instance_id}, got {name!r}")
    mask_path = path.parent / (_name(entry, "mask", path) or f"masks/{name}.png")
    return TruthObject(
        instance_id=instance_id,
        name=name,
        mask_path=mask_path,
        mask=read_mask(mask_path, camera),
        mesh=None,
        camera_from_object=None,
    )


def _with_shape(
    item: TruthObject, entry: dict[str, Any], path: Path, *, in_camera: bool
) -> TruthObject:
    """Read mesh and pose of one entry of ``gt.json``; ``in_camera`` meshes need no pose."""
    mesh_name = _name(entry, "mesh", path)
    mesh_path = path.parent / mesh_name if mesh_name else None
    return replace(
        item,
        mesh=read_mesh(mesh_path) if mesh_path else None,
        camera_from_object=Similarity.identity() if in_camera else _pose(entry, "T_cam_obj", path),
        mesh_path=mesh_path,
    )


def _instances(
    folder: Path, camera: Camera, truth: tuple[TruthObject, ...]
) -> tuple[InstanceMask, ...]:
    """Return the masks of the true objects, then all others by name."""
    known = [
        InstanceMask(instance_id=item.instance_id, mask=item.mask, class_id=item.name)
        for item in truth
    ]
    taken = {item.mask_path.resolve() for item in truth}
    paths = sorted((*folder.glob("masks/*.png"), *folder.glob("mask_*.png")))
    others = [path for path in paths if path.resolve() not in taken]
    unknown = [
        InstanceMask(
            instance_id=instance_id,
            mask=read_mask(path, camera),
            class_id=path.stem.removeprefix("mask_"),
        )
        for instance_id, path in enumerate(others, start=len(known) + 1)
    ]
    return (*known, *unknown)
