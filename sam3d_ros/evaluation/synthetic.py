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

"""Tabletop scenes made up by this project: exact truth, realistic depth, any number of views.

``render_scene(spec, seed)`` gives what ``datasets.load_scene`` gives for a folder on disk, and
``write_scene_folder`` writes that folder.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.datasets import Scene, TruthObject
from sam3d_ros.evaluation.synthetic_depth import DepthSensor, TrueDepth, measure
from sam3d_ros.evaluation.synthetic_objects import CATALOGUE, VOXEL_M, Model, model
from sam3d_ros.evaluation.synthetic_render import (
    PlacedObject,
    Quality,
    World,
    camera_rays,
    render_rgb,
)
from sam3d_ros.geometry.cameras import camera_from_fov, resized
from sam3d_ros.geometry.mesh_files import write_mesh
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import (
    Bytes,
    Camera,
    DepthImage,
    Floats,
    Frame,
    InstanceMask,
    Ints,
    Similarity,
)

UP = np.array([0.0, 0.0, 1.0])
MAX_ATTEMPTS = 400
SKETCH_VOXEL_M = 0.01  # coarse meshes, to try out arrangements
SKETCH_SIZE_PX = (160, 120)
MM_PER_M = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneSpec:
    """What stands on the table and who looks at it."""

    objects: tuple[str, ...] = tuple(CATALOGUE)
    size_jitter: float = 0.06  # each object is this much larger or smaller at most
    region_m: tuple[float, float] = (0.52, 0.34)  # of the table top that objects stand on
    gap_m: float = 0.025  # between neighbours, at least
    min_visible: float = 0.75  # share of each object's silhouette that others leave open
    camera: Camera = field(default_factory=lambda: camera_from_fov(640, 480, 50.0))
    eye_m: tuple[float, float, float] = (0.05, -0.68, 0.5)
    target_m: tuple[float, float, float] = (0.0, 0.0, 0.05)
    quality: Quality = field(default_factory=Quality)
    sensor: DepthSensor = field(default_factory=DepthSensor)
    voxel_m: float = VOXEL_M

    @property
    def world_from_camera(self) -> Similarity:
        """Pose of the first view."""
        return looking_at(np.array(self.eye_m), np.array(self.target_m))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One look at a scene, with everything that is true about it."""

    rgb: Bytes  # (H, W, 3)
    depth_m: Floats  # (H, W) exact, NaN where nothing is
    depth_noisy_m: Floats  # (H, W), as a depth camera measures it
    labels: Ints  # (H, W): 1 + index of the object, 0 elsewhere
    camera: Camera
    world_from_camera: Similarity


def render_scene(spec: SceneSpec, seed: int, name: str = "tabletop") -> Scene:
    """Arrange the objects of ``spec`` and look at them once.

    Raises:
        DatasetError: When the objects do not fit on the table.
    """
    world = arrange(spec, seed)
    return scene_from_view(world, render_view(world, spec, spec.world_from_camera, seed), name)


def arrange(spec: SceneSpec, seed: int) -> World:
    """Stand the objects on the table, apart from each other and in view of the camera.

    Raises:
        DatasetError: When no arrangement was found.
    """
    rng = np.random.default_rng(seed)
    jitter = 1.0 + spec.size_jitter * rng.uniform(-1.0, 1.0, len(spec.objects))
    models = [model(name).resized(size) for name, size in zip(spec.objects, jitter, strict=True)]
    sketches = [thing.mesh(SKETCH_VOXEL_M) for thing in models]
    for _ in range(MAX_ATTEMPTS):
        poses = _draw_poses(models, spec, rng)
        if poses is None:
            continue
        sketch = [
            PlacedObject(model=thing, mesh=mesh, world_from_object=pose)
            for thing, mesh, pose in zip(models, sketches, poses, strict=True)
        ]
        if _visible_shares(sketch, spec).min() >= spec.min_visible:
            return World([replace(thing, mesh=thing.model.mesh(spec.voxel_m)) for thing in sketch])
    raise DatasetError(
        f"{len(models)} objects do not fit into {spec.region_m[0]} x {spec.region_m[1]} m with "
        f"{spec.min_visible:.0%} of each in view; take fewer, or a larger region_m"
    )


def render_view(world: World, spec: SceneSpec, world_from_camera: Similarity, seed: int) -> View:
    """Look at a world from a pose; ``seed`` is that of the noise."""
    rng = np.random.default_rng(seed)
    true, labels = true_depth(world, spec.camera, world_from_camera, spec.sensor.baseline_m)
    return View(
        rgb=render_rgb(world, spec.camera, world_from_camera, spec.quality, rng),
        depth_m=true.depth_m,
        depth_noisy_m=measure(true, spec.camera, spec.sensor, rng),
        labels=labels,
        camera=spec.camera,
        world_from_camera=world_from_camera,
    )


def orbit(spec: SceneSpec, num_views: int, sweep_rad: float) -> list[Similarity]:
    """Poses of a camera that swings around the target, centred on the first view's."""
    target, eye = np.array(spec.target_m), np.array(spec.eye_m)
    angles = np.linspace(-0.5, 0.5, num_views) * sweep_rad if num_views > 1 else np.zeros(1)
    turns = [rotation_from_axis_angle(UP, float(angle)) for angle in angles]
    return [looking_at(target + turn @ (eye - target), target) for turn in turns]


def looking_at(eye_m: Floats, target_m: Floats) -> Similarity:
    """Pose ``world_from_camera`` of a level optical frame (x right, y down, z forward)."""
    forward = (target_m - eye_m) / np.linalg.norm(target_m - eye_m)
    right = np.cross(forward, UP)
    right = right / np.linalg.norm(right)
    return Similarity(np.stack([right, np.cross(forward, right), forward], axis=1), eye_m)


def scene_from_view(world: World, view: View, name: str) -> Scene:
    """Describe a view as the data sets describe a scene folder."""
    masks = [view.labels == index + 1 for index in range(len(world.objects))]
    camera_from_world = view.world_from_camera.inverse()
    frame = Frame(
        rgb=view.rgb,
        camera=view.camera,
        masks=tuple(
            InstanceMask(instance_id=index + 1, mask=mask, class_id=thing.model.name)
            for index, (thing, mask) in enumerate(zip(world.objects, masks, strict=True))
        ),
        depth=DepthImage(depth_m=view.depth_noisy_m, camera=view.camera),
        fixed_from_camera=view.world_from_camera,
        fixed_frame_id="world",
    )
    truth = tuple(
        TruthObject(
            instance_id=index + 1,
            name=thing.model.name,
            mask_path=_mask_path(Path(name), thing.model.name),
            mask=mask,
            mesh=thing.mesh,
            camera_from_object=camera_from_world @ thing.world_from_object,
        )
        for index, (thing, mask) in enumerate(zip(world.objects, masks, strict=True))
    )
    return Scene(name=name, folder=Path(name), frame=frame, truth=truth)


def write_scene_folder(world: World, view: View, folder: Path) -> None:
    """Write one view in the layout that ``datasets.load_scene`` reads."""
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    _write_image(folder / "rgb.png", view.rgb[..., ::-1])
    _write_image(folder / "depth.png", _millimetres(view.depth_m))
    _write_image(folder / "depth_noisy.png", _millimetres(view.depth_noisy_m))
    entries = []
    for index, thing in enumerate(world.objects):
        name, mask = thing.model.name, view.labels == index + 1
        _write_image(_mask_path(folder, name), mask.astype(np.uint8) * 255)
        write_mesh(thing.mesh, folder / "meshes" / f"{name}.glb")
        entries.append(_truth_json(thing, view, int(mask.sum())))
    _write_json(folder / "camera.json", _camera_json(view))
    _write_json(folder / "gt.json", {"length_unit": "m", "objects": entries})


def _draw_poses(
    models: Sequence[Model], spec: SceneSpec, rng: np.random.Generator
) -> list[Similarity] | None:
    """Draw one place and yaw per object; ``None`` when two come closer than the gap."""
    radii = [float(np.linalg.norm(np.abs(thing.bounds_m[:, :2]).max(axis=0))) for thing in models]
    half = np.array(spec.region_m) / 2
    places: list[Floats] = []
    for radius in radii:
        place = _free_place(places, radii, radius + spec.gap_m, half, rng)
        if place is None:
            return None
        places.append(place)
    yaws = rng.uniform(-np.pi, np.pi, len(models))
    return [
        Similarity(rotation_from_axis_angle(UP, float(yaw)), np.array([*place, 0.0]))
        for place, yaw in zip(places, yaws, strict=True)
    ]


def _free_place(
    places: Sequence[Floats],
    radii: Sequence[float],
    radius_m: float,
    half_m: Floats,
    rng: np.random.Generator,
) -> Floats | None:
    """Draw a point that keeps ``radius_m`` plus their own radius from all ``places``."""
    candidates: Floats = rng.uniform(-half_m, half_m, size=(60, 2))
    for candidate in candidates:
        distances = [float(np.linalg.norm(candidate - place)) for place in places]
        if all(d > radius_m + r for d, r in zip(distances, radii, strict=False)):
            return np.asarray(candidate)
    return None


def _visible_shares(objects: Sequence[PlacedObject], spec: SceneSpec) -> Floats:
    """Share of each object's silhouette that the others leave open; 0 beyond the border."""
    camera = resized(spec.camera, *SKETCH_SIZE_PX)
    together = _labels(World(objects), camera, spec.world_from_camera)
    shares = []
    for index, thing in enumerate(objects):
        alone = _labels(World([thing]), camera, spec.world_from_camera) == 1
        border = np.ones_like(alone)
        border[1:-1, 1:-1] = False
        is_cut = not alone.any() or (alone & border).any()
        shares.append(0.0 if is_cut else float((together == index + 1).sum() / alone.sum()))
    return np.array(shares)


def _labels(world: World, camera: Camera, world_from_camera: Similarity) -> Ints:
    rays = (camera_rays(camera) @ world_from_camera.rotation.T).reshape(-1, 3)
    surface = world.cast(world_from_camera.translation_m, rays).surface
    labels: Ints = np.maximum(surface + 1, 0).reshape(camera.height, camera.width)
    return labels


def true_depth(
    world: World, camera: Camera, world_from_camera: Similarity, baseline_m: float
) -> tuple[TrueDepth, Ints]:
    """Cast one ray through each pixel centre, and one from each hit to the second eye.

    The labels ``(H, W)`` are 1 + index of the object, 0 elsewhere.
    """
    size = camera.height, camera.width
    rays = (camera_rays(camera) @ world_from_camera.rotation.T).reshape(-1, 3)
    hits = world.cast(world_from_camera.translation_m, rays)
    second_eye = world_from_camera.apply(np.array([baseline_m, 0.0, 0.0]))
    starts = hits.points + 1e-3 * hits.normals
    seen_twice = world.is_free(starts, np.broadcast_to(second_eye, starts.shape))
    view = -rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    true = TrueDepth(
        depth_m=hits.distance.reshape(size),  # rays have z = 1 in the camera
        cosine=np.sum(view * hits.normals, axis=-1).reshape(size),
        seen_twice=seen_twice.reshape(size),
    )
    return true, np.maximum(hits.surface + 1, 0).reshape(size)


def _truth_json(thing: PlacedObject, view: View, mask_pixels: int) -> dict[str, Any]:
    name = thing.model.name
    camera_from_object = view.world_from_camera.inverse() @ thing.world_from_object
    return {
        "name": name,
        "mask": f"masks/{name}.png",
        "mask_source": "exact",
        "mask_pixels": mask_pixels,
        "mesh": f"meshes/{name}.glb",
        "extents_m": np.ptp(thing.mesh.vertices, axis=0).round(5).tolist(),
        "T_cam_obj": camera_from_object.matrix.tolist(),
        "pose_source": "exact (rendered)",
    }


def _mask_path(folder: Path, name: str) -> Path:
    return folder / "masks" / f"{name}.png"


def _camera_json(view: View) -> dict[str, Any]:
    matrix = view.camera.matrix_px
    return {
        "fx": float(matrix[0, 0]),
        "fy": float(matrix[1, 1]),
        "cx": float(matrix[0, 2]),
        "cy": float(matrix[1, 2]),
        "width": view.camera.width,
        "height": view.camera.height,
        "depth_scale": 1.0 / MM_PER_M,
        "distortion": [],
        "T_world_cam": view.world_from_camera.matrix.tolist(),
    }


def _millimetres(depth_m: Floats) -> Ints:
    """Depth as 16-bit millimetres, 0 where unknown or beyond 65 m."""
    millimetres = np.nan_to_num(depth_m * MM_PER_M, nan=0.0)
    return np.where(millimetres < 2**16 - 1, millimetres + 0.5, 0.0).astype(np.uint16)


def _write_image(path: Path, image: Any) -> None:
    if not cv2.imwrite(str(path), image):
        raise DatasetError(f"cannot write {path}; check that the disk has room")


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
