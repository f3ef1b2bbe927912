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

"""Triangle meshes seen by a camera, by ray casting: what each pixel sees first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d

from sam3d_ros.geometry.cameras import pixel_rays, project
from sam3d_ros.geometry.raycasting import NUM_THREADS, MeshLike, raycasting_scene
from sam3d_ros.structures import Bools, Camera, Floats, Ints

MARGIN_PX = 1.0  # around projected vertices, for rounding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Raster:
    """What each pixel sees first."""

    depth_m: Floats  # (H, W) float32 along z, NaN where no mesh is
    object_index: Ints  # (H, W) int32, position in the list of meshes, -1 where none is
    triangle_index: Ints  # (H, W) int32, row of that mesh's triangles, -1 where none is
    normals_camera: Floats  # (H, W, 3) float32 unit normal by the triangle's winding, NaN


def render(meshes_camera: Sequence[MeshLike], camera: Camera) -> Raster:
    """Render meshes given in the camera frame; a distorted camera gives a distorted picture.

    Rays go through pixel centres. Back faces are seen like front faces.

    Raises:
        IntrinsicsError: The camera has no usable intrinsics.
        DistortionError: The distortion model is not known.
    """
    raster = _empty_raster(camera)
    solid = [index for index, mesh in enumerate(meshes_camera) if len(mesh.triangles)]
    if not solid:
        return raster
    scene = raycasting_scene([meshes_camera[index] for index in solid])
    region = _region([meshes_camera[index] for index in solid], camera)
    rays = pixel_rays(camera)[region]
    hits = _cast(scene, np.nan_to_num(rays))
    hit = np.isfinite(hits["t_hit"]) & np.isfinite(rays).all(axis=-1)
    raster.depth_m[region][hit] = hits["t_hit"][hit]
    raster.object_index[region][hit] = np.asarray(solid)[hits["geometry_ids"][hit]]
    raster.triangle_index[region][hit] = hits["primitive_ids"][hit]
    raster.normals_camera[region][hit] = hits["primitive_normals"][hit]
    return raster


def silhouette(mesh_camera: MeshLike, camera: Camera) -> Bools:
    """Return the pixels ``(H, W)`` whose centres see the mesh."""
    return render([mesh_camera], camera).object_index >= 0


def _empty_raster(camera: Camera) -> Raster:
    size = (camera.height, camera.width)
    return Raster(
        depth_m=np.full(size, np.nan, dtype=np.float32),
        object_index=np.full(size, -1, dtype=np.int32),
        triangle_index=np.full(size, -1, dtype=np.int32),
        normals_camera=np.full((*size, 3), np.nan, dtype=np.float32),
    )


def _region(meshes: Sequence[MeshLike], camera: Camera) -> tuple[slice, slice]:
    """Return the rows and columns outside of which no mesh can be seen."""
    size = np.array([camera.width, camera.height])
    pixels = np.concatenate([project(camera, mesh.vertices) for mesh in meshes])
    if camera.is_distorted or not np.isfinite(pixels).all():
        # Bent edges, and meshes that reach behind the camera, may be seen beyond their vertices.
        return slice(0, camera.height), slice(0, camera.width)
    low = np.clip(np.floor(pixels.min(axis=0) - MARGIN_PX), 0, size).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0) + MARGIN_PX) + 1, 0, size).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _cast(scene: o3d.t.geometry.RaycastingScene, rays: Floats) -> dict[str, Floats]:
    origins_and_directions = np.concatenate([np.zeros_like(rays), rays], axis=-1)
    hits = scene.cast_rays(o3d.core.Tensor(origins_and_directions), nthreads=NUM_THREADS)
    return {name: hits[name].numpy() for name in hits}
