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

"""Rendered scenes of known solids for the tests of planes, observations and completion."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh

from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.raster import render
from sam3d_ros.structures import (
    Camera,
    DepthImage,
    Floats,
    Frame,
    InstanceMask,
    Mesh,
    Similarity,
)

VGA = Camera(
    width=640,
    height=480,
    matrix_px=np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]]),
)


def mesh_from(solid: trimesh.Trimesh) -> Mesh:
    num = len(solid.vertices)
    return Mesh(
        vertices=solid.vertices.astype(np.float32),
        triangles=solid.faces.astype(np.int32),
        colors=np.full((num, 3), 128, dtype=np.uint8),
        observed=np.ones(num, dtype=np.float32),
    )


def box(x: float, y: float, z: float) -> Mesh:
    """Return a box that stands on z = 0."""
    return placed(mesh_from(trimesh.creation.box((x, y, z))), 0.0, (0.0, 0.0, z / 2))


def can(radius: float, height: float) -> Mesh:
    """Return a cylinder that stands on z = 0."""
    solid = trimesh.creation.cylinder(radius, height, sections=64)
    return placed(mesh_from(solid), 0.0, (0.0, 0.0, height / 2))


def ramp(length: float, width: float, height: float) -> Mesh:
    """Return a wedge that stands on z = 0 and rises along x."""
    x, y = length / 2, width / 2
    corners = [(-x, -y, 0), (-x, y, 0), (x, -y, 0), (x, y, 0), (x, -y, height), (x, y, height)]
    return mesh_from(trimesh.convex.convex_hull(np.array(corners)))


def bowl() -> Mesh:
    """Return half a hollow ball of 8 cm radius with a 6 mm wall, its foot on z = 0."""

    def field(x: Floats, y: Floats, z: Floats) -> Floats:
        radius = np.sqrt(x**2 + y**2 + (z - 0.08) ** 2)
        return np.maximum(np.abs(radius - 0.077) - 0.003, z - 0.06)

    return _mesh_of(field, (0.09, 0.09, 0.07))


def mug() -> Mesh:
    """Return a mug of 4.2 cm radius with a 5 mm wall and a handle, on z = 0."""

    def field(x: Floats, y: Floats, z: Floats) -> Floats:
        radius = np.hypot(x, y)
        outer = np.maximum(radius - 0.042, np.abs(z - 0.048) - 0.048)
        vessel = np.maximum(outer, -np.maximum(radius - 0.037, 0.006 - z))
        ring = np.hypot(np.hypot(y - 0.05, z - 0.048) - 0.026, x) - 0.006
        return np.minimum(vessel, np.maximum(ring, 0.039 - radius))

    return _mesh_of(field, (0.06, 0.09, 0.10))


def drill() -> Mesh:
    """Return a T of two bars, upright on a foot: one mirror, no turn."""
    bars = [
        trimesh.creation.box((0.04, 0.16, 0.05)),
        trimesh.creation.box((0.035, 0.045, 0.12)),
        trimesh.creation.box((0.06, 0.09, 0.03)),
    ]
    for bar, (y, z) in zip(bars, ((-0.03, 0.155), (0.0, 0.08), (0.0, 0.015)), strict=True):
        bar.apply_translation((0.0, y, z))

    def field(x: Floats, y: Floats, z: Floats) -> Floats:
        points = np.stack((x, y, z), axis=-1)
        return np.min(
            [
                (np.abs(points - bar.bounds.mean(axis=0)) - bar.extents / 2).max(axis=-1)
                for bar in bars
            ],
            axis=0,
        )

    return _mesh_of(field, (0.05, 0.13, 0.20))


def placed(mesh: Mesh, yaw_rad: float, position: Sequence[float]) -> Mesh:
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return mesh.transformed(Similarity(rotation, np.asarray(position, dtype=np.float64)))


def camera_from_world(pitch_rad: float, distance_m: float, azimuth_rad: float = 0.0) -> Similarity:
    """Return a camera that looks at the origin from above; world z is up."""
    horizontal = np.array([np.cos(azimuth_rad), np.sin(azimuth_rad), 0.0])
    eye = distance_m * (np.cos(pitch_rad) * horizontal + np.sin(pitch_rad) * np.eye(3)[2])
    forward = -eye / distance_m
    right = np.array([-np.sin(azimuth_rad), np.cos(azimuth_rad), 0.0])
    down = np.cross(forward, right)
    return Similarity(np.stack((right, down, forward), axis=1), eye).inverse()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A frame and what is really there."""

    frame: Frame
    truth_camera: tuple[Mesh, ...]  # objects of the masks, in order
    up_camera: Floats


def scene(
    objects: Sequence[Mesh],
    view: Similarity,
    *,
    table: bool = True,
    noise: float = 0.0,
    background: Sequence[Mesh] = (),
) -> Scene:
    """Render objects on a table at z = 0; ``noise`` multiplies what a sensor has."""
    surroundings = [*background]
    if table:
        surroundings.append(
            placed(mesh_from(trimesh.creation.box((1.6, 1.6, 0.04))), 0.0, (0, 0, -0.02))
        )
    meshes = [mesh.transformed(view) for mesh in (*objects, *surroundings)]
    raster = render(meshes, VGA)
    depth_m = raster.depth_m
    if noise:
        rng = np.random.default_rng(0)
        wobble = rng.normal(size=depth_m.shape).astype(np.float32)
        depth_m = depth_m + noise * wobble * depth_noise_m(depth_m)
    rgb = np.full((VGA.height, VGA.width, 3), 90, dtype=np.uint8)
    palette = np.array([(200, 40, 40), (40, 160, 40), (40, 60, 200)], dtype=np.uint8)
    for index in range(len(objects)):
        rgb[raster.object_index == index] = palette[index % 3]
    masks = tuple(
        InstanceMask(instance_id=index + 1, mask=raster.object_index == index)
        for index in range(len(objects))
    )
    frame = Frame(
        rgb=rgb,
        camera=VGA,
        masks=masks,
        depth=DepthImage(depth_m=depth_m.astype(np.float32), camera=VGA),
    )
    return Scene(
        frame=frame,
        truth_camera=tuple(meshes[: len(objects)]),
        up_camera=view.rotation[:, 2],
    )


def _mesh_of(field, half: Sequence[float]) -> Mesh:  # type: ignore[no-untyped-def]
    step = 0.0015
    low = np.array([-half[0], -half[1], -2 * step])
    axes = [np.arange(low[i], half[i] + step, step) for i in range(3)]
    values = np.maximum(field(*np.meshgrid(*axes, indexing="ij")), -axes[2])
    vertices, triangles = isosurface(values, step)
    return mesh_from(trimesh.Trimesh(vertices + low, triangles, process=False))
