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

"""Ray-traced pictures of tabletop scenes: one soft light, ambient occlusion, procedural wood.

Everything visible is one ``open3d`` ray casting scene, so colour, depth, masks and shadows come
from the same triangles. The world frame has z up, the table top at z = 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d
import trimesh
from scipy.ndimage import map_coordinates

from sam3d_ros.evaluation.synthetic_objects import Model, bytes_from_unit
from sam3d_ros.evaluation.synthetic_solids import normals
from sam3d_ros.structures import Bools, Bytes, Camera, Floats, Ints, Mesh, Similarity

TABLE_SIZE_M = (1.5, 1.0, 0.03)
WALL_DISTANCE_M = 1.7
FLOOR_DEPTH_M = 0.74
LIGHT_M = np.array([-0.75, -0.45, 1.35])
LIGHT_RADIUS_M = 0.09
LIGHT_COLOR = np.array([1.0, 0.94, 0.85]) * 2.9
SKY_COLOR = np.array([0.62, 0.7, 0.82]) * 0.62
OCCLUSION_REACH_M = 0.25
SURFACE_OFFSET_M = 1e-3
SHININESS = 40.0
GAMMA = 2.2
NOTHING = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedObject:
    """One object and where it stands."""

    model: Model
    mesh: Mesh  # in the object frame, metres
    world_from_object: Similarity


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How much work goes into a picture."""

    supersampling: int = 2  # rays per pixel and axis
    light_samples: int = 3  # shadow and occlusion rays per ray
    image_noise: float = 0.006  # of the full range


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hits:
    """Where rays end; NaN and -2 where they do not."""

    distance: Floats  # (N,) in lengths of the direction
    surface: Ints  # (N,): index of the object, -1 for table, wall and floor, -2 for nothing
    points: Floats  # (N, 3) in the world
    normals: Floats  # (N, 3) unit, of the triangles, towards the ray's origin


class World:
    """A table with objects on it, ready to be looked at."""

    def __init__(self, objects: Sequence[PlacedObject]) -> None:
        self.objects = tuple(objects)
        self._scene = o3d.t.geometry.RaycastingScene()
        for thing in objects:
            placed = thing.mesh.transformed(thing.world_from_object)
            _add(self._scene, placed.vertices, placed.triangles)
        for part in _room():
            _add(self._scene, part.vertices, part.faces)

    def cast(self, origin: Floats, directions: Floats) -> Hits:
        """Follow rays from one origin ``(3,)`` along ``(N, 3)`` to the first surface."""
        rays = np.concatenate([np.broadcast_to(origin, directions.shape), directions], axis=-1)
        answer = self._scene.cast_rays(o3d.core.Tensor(rays.astype(np.float32)))
        distance = answer["t_hit"].numpy().astype(np.float64)
        identity = answer["geometry_ids"].numpy()
        missed = identity == NOTHING
        surface = np.where(identity < len(self.objects), identity.astype(np.int64), -1)
        distance[missed], surface[missed] = np.nan, -2
        normal = answer["primitive_normals"].numpy().astype(np.float64)
        facing = np.sign(np.sum(normal * directions, axis=-1, keepdims=True))
        points = origin + distance[:, None] * directions
        return Hits(distance=distance, surface=surface, points=points, normals=-facing * normal)

    def is_free(self, starts: Floats, ends: Floats) -> Bools:
        """Whether nothing lies on the segments from ``starts`` to ``ends``, ``(N,)``."""
        rays = np.concatenate([starts, ends - starts], axis=-1).astype(np.float32)
        blocked = self._scene.test_occlusions(o3d.core.Tensor(rays), tnear=0.0, tfar=1.0)
        free: Bools = ~blocked.numpy()
        return free


def camera_rays(camera: Camera, supersampling: int = 1) -> Floats:
    """Directions ``(h * s, w * s, 3)`` with z = 1 through the cells of each pixel."""
    step = 1.0 / supersampling
    u = (np.arange(camera.width * supersampling) + 0.5) * step - 0.5
    v = (np.arange(camera.height * supersampling) + 0.5) * step - 0.5
    pixels = np.stack([*np.meshgrid(u, v), np.ones((len(v), len(u)))], axis=-1)
    rays: Floats = pixels @ np.linalg.inv(camera.matrix_px).T
    return rays


def render_rgb(
    world: World,
    camera: Camera,
    world_from_camera: Similarity,
    quality: Quality,
    rng: np.random.Generator,
) -> Bytes:
    """Return the picture ``(H, W, 3)`` that an ideal pinhole camera takes."""
    rays = camera_rays(camera, quality.supersampling)
    directions = (rays @ world_from_camera.rotation.T).reshape(-1, 3)
    hits = world.cast(world_from_camera.translation_m, directions)
    radiance = _shade(world, hits, directions, quality.light_samples, rng)
    size = (camera.height, quality.supersampling, camera.width, quality.supersampling, 3)
    linear = radiance.reshape(size).mean(axis=(1, 3))
    exposed = 1.0 - np.exp(-linear)
    noise = rng.normal(scale=quality.image_noise, size=exposed.shape)
    return bytes_from_unit(exposed ** (1.0 / GAMMA) + noise)


def _shade(
    world: World, hits: Hits, directions: Floats, num_samples: int, rng: np.random.Generator
) -> Floats:
    """Lambert and Blinn-Phong under an area light, plus a sky dimmed by ambient occlusion."""
    albedo, normal, gloss = _materials(world, hits)
    lit, open_sky = _visibility(world, hits.points, normal, num_samples, rng)
    to_light = LIGHT_M - hits.points
    squared = np.sum(to_light**2, axis=-1, keepdims=True)
    to_light = to_light / np.sqrt(squared)
    incidence = np.maximum(np.sum(normal * to_light, axis=-1, keepdims=True), 0.0)
    view = -directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    half = to_light + view
    half = half / np.linalg.norm(half, axis=-1, keepdims=True)
    shine = np.maximum(np.sum(normal * half, axis=-1, keepdims=True), 0.0) ** SHININESS
    key = lit * LIGHT_COLOR * 1.9 / squared
    sky = open_sky * SKY_COLOR * (0.6 + 0.4 * normal[:, 2:])
    return albedo * (key * incidence + sky) + gloss * shine * (incidence > 0) * key * 0.5


def _materials(world: World, hits: Hits) -> tuple[Floats, Floats, Floats]:
    """Linear albedo ``(N, 3)``, shading normals ``(N, 3)`` and gloss ``(N, 1)``."""
    albedo = _room_albedo(hits.points)
    normal = hits.normals.copy()
    gloss = np.where(np.abs(hits.points[:, 2:]) < SURFACE_OFFSET_M, 0.12, 0.0)
    for index, thing in enumerate(world.objects):
        on = hits.surface == index
        points = thing.world_from_object.inverse().apply(hits.points[on])
        albedo[on] = thing.model.paint(points) ** GAMMA
        smooth = normals(thing.model.solid, points) @ thing.world_from_object.rotation.T
        faces = np.sum(smooth * hits.normals[on], axis=-1, keepdims=True) > 0
        normal[on] = np.where(faces, smooth, hits.normals[on])
        gloss[on] = thing.model.gloss
    return albedo, normal, gloss


def _visibility(
    world: World, points: Floats, normal: Floats, num_samples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Shares ``(N, 1)`` of the light and of the sky that reach each point, by random rays."""
    starts = points + SURFACE_OFFSET_M * normal
    lit = np.zeros(len(points))
    open_sky = np.zeros(len(points))
    for _ in range(num_samples):
        lit += world.is_free(starts, LIGHT_M + LIGHT_RADIUS_M * _ball(len(points), rng))
        # A unit normal plus a point of the unit sphere is cosine distributed about the normal.
        sphere = _ball(len(points), rng)
        sphere /= np.linalg.norm(sphere, axis=-1, keepdims=True)
        open_sky += world.is_free(starts, starts + OCCLUSION_REACH_M * (normal + 0.98 * sphere) / 2)
    return lit[:, None] / num_samples, open_sky[:, None] / num_samples


def _ball(num: int, rng: np.random.Generator) -> Floats:
    """Random points with a density that falls smoothly from the origin, ``(num, 3)``."""
    return rng.normal(scale=0.5, size=(num, 3))


def _room() -> list[trimesh.Trimesh]:
    """Table, floor and back wall in the world."""
    table = trimesh.creation.box(extents=TABLE_SIZE_M)
    table.apply_translation([0.0, 0.0, -TABLE_SIZE_M[2] / 2])
    floor = trimesh.creation.box(extents=(12.0, 12.0, 0.1))
    floor.apply_translation([0.0, 0.0, -FLOOR_DEPTH_M - 0.05])
    wall = trimesh.creation.box(extents=(12.0, 0.1, 6.0))
    wall.apply_translation([0.0, WALL_DISTANCE_M + 0.05, 0.0])
    return [table, floor, wall]


def _add(scene: o3d.t.geometry.RaycastingScene, vertices: Floats, triangles: Ints) -> None:
    scene.add_triangles(
        o3d.core.Tensor(np.ascontiguousarray(vertices, dtype=np.float32)),
        o3d.core.Tensor(np.ascontiguousarray(triangles, dtype=np.uint32)),
    )


def _room_albedo(points: Floats) -> Floats:
    """Colour of table, wall and floor, linear ``(N, 3)``."""
    albedo = np.full(points.shape, 0.42)
    albedo[points[:, 1] > WALL_DISTANCE_M - 0.01] = (0.50, 0.53, 0.52)
    albedo[points[:, 2] < -FLOOR_DEPTH_M + 0.01] = (0.10, 0.10, 0.11)
    table = points[:, 2] > -TABLE_SIZE_M[2] - 0.01
    table &= (np.abs(points[:, :2]) < np.array(TABLE_SIZE_M[:2]) / 2 + 0.01).all(axis=1)
    albedo[table] = _wood(points[table])
    return albedo


def _wood(points: Floats) -> Floats:
    """Planks along x: growth rings bent by noise, each plank cut from another tree."""
    plank = np.floor(points[:, 1] / 0.125 + 0.37)
    across = points[:, 1] + 0.731 * plank
    along = points[:, 0] + 3.17 * plank
    rings = across * 26.0 + 1.9 * _noise(along * 2.2, across * 9.0) + 0.25 * along
    grain = _noise(along * 14.0, across * 420.0)
    tone = 0.5 + 0.5 * np.sin(2.0 * np.pi * rings)
    shade = 0.72 + 0.22 * tone + 0.12 * grain + 0.10 * np.sin(plank * 12.9898)
    seam = np.abs(np.mod(points[:, 1] / 0.125 + 0.37, 1.0) - 0.5) > 0.492
    color = np.array([0.50, 0.30, 0.155]) * shade[:, None] ** 1.3
    return np.where(seam[:, None], color * 0.35, color)


def _noise(x: Floats, y: Floats) -> Floats:
    """Smooth value noise in [-0.5, 0.5] with period 256, the same in every call."""
    lattice = np.random.default_rng(7).random((256, 256)) - 0.5
    values: Floats = map_coordinates(lattice, [x, y], order=1, mode="grid-wrap")
    return values
