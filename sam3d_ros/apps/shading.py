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

"""Pictures of meshes from where no camera stood: from behind, from above."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sam3d_ros.apps.drawing import PANEL, Color, blank, hatch
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.geometry.raster import Raster, render
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Bools, Bytes, Floats, Mesh, Similarity

FOV_DEG = 20.0  # long lens: little perspective
MARGIN = 1.08  # of the sphere around the meshes
SUPERSAMPLING = 3
AMBIENT = 0.55
BRIGHTNESS = 1.2  # colours come from images, which are shaded already
LIGHT_VIEW = np.array([-0.45, -0.65, -0.62])  # towards the light: left, above, at the viewer
UNSEEN: Color = (150, 165, 190)
UNSEEN_OPACITY = 0.55
HATCH_SHADE = 0.80
EDGE_SHADE = 0.35
PLAIN: Color = (176, 188, 204)  # of meshes shown without their own colours
VIEWS = ("camera side", "from behind", "from above")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Viewpoint:
    """Looks at a sphere; pictures of one size and ``radius_m`` have one scale."""

    centre_camera: Floats  # (3,) metres, in the frame of the real camera
    radius_m: float
    view_from_camera: Floats  # (3, 3), rotation to x right, y down, z away from the viewer


def viewpoints(
    meshes_camera: Sequence[Mesh], up_camera: Floats | None = None
) -> dict[str, Viewpoint]:
    """Return the three ``VIEWS`` of meshes given in the camera frame.

    Args:
        meshes_camera: What must be inside of each picture.
        up_camera: ``(3,)``, upwards; ``None`` takes the camera's own upwards.
    """
    corners = np.concatenate([bounds(mesh) for mesh in meshes_camera])
    centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
    vertices = np.concatenate([mesh.vertices for mesh in meshes_camera])
    radius_m = float(np.linalg.norm(vertices - centre, axis=1).max())
    up = np.array([0.0, -1.0, 0.0]) if up_camera is None else np.asarray(up_camera)
    front = _looking_along(centre, up)
    behind = front @ rotation_from_axis_angle(up, np.pi).T
    # From above, what is near the camera is at the bottom of the picture.
    above = _looking_along(-up, _horizontal(centre, up))
    return {
        name: Viewpoint(centre_camera=centre, radius_m=radius_m, view_from_camera=rotation)
        for name, rotation in zip(VIEWS, (front, behind, above), strict=True)
    }


def shaded(mesh_camera: Mesh, viewpoint: Viewpoint, size_px: int, plain: bool = False) -> Bytes:
    """Render a mesh, ``(size_px, size_px, 3)``; what the camera never saw is tinted and hatched.

    Args:
        mesh_camera: In the camera frame.
        viewpoint: Of ``viewpoints``.
        size_px: Side of the square picture.
        plain: Show the shape alone: one colour, no marks of what was seen.
    """
    size = SUPERSAMPLING * size_px
    camera = camera_from_fov(size, size, FOV_DEG)
    distance_m = MARGIN * viewpoint.radius_m / np.sin(np.radians(FOV_DEG / 2))
    turn = viewpoint.view_from_camera
    offset = np.array([0.0, 0.0, distance_m]) - turn @ viewpoint.centre_camera
    mesh_view = mesh_camera.transformed(Similarity(turn, offset))
    raster = render([mesh_view], camera)
    picture = _lit(mesh_view, raster, plain=plain)
    return cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _lit(mesh_view: Mesh, raster: Raster, *, plain: bool) -> Bytes:
    """Shade what a raster shows after Lambert; the light stands still beside the viewer."""
    hit = raster.object_index >= 0
    corners = mesh_view.triangles[raster.triangle_index[hit]]
    albedo = mesh_view.colors[corners].mean(axis=1)
    seen = mesh_view.observed[corners].mean(axis=1) >= 0.5
    if plain:
        albedo, seen = np.broadcast_to(PLAIN, albedo.shape), np.ones_like(seen)
    albedo = np.where(
        seen[:, None], albedo, (1 - UNSEEN_OPACITY) * albedo + UNSEEN_OPACITY * np.array(UNSEEN)
    )
    normals = raster.normals_camera[hit]
    facing = np.where(normals[:, 2:] > 0, -normals, normals)  # open meshes show their backs, too
    lambert = np.clip(facing @ (LIGHT_VIEW / np.linalg.norm(LIGHT_VIEW)), 0.0, None)
    shade = BRIGHTNESS * (AMBIENT + (1.0 - AMBIENT) * lambert)
    shade = np.where(~seen & _stripes(hit), shade * HATCH_SHADE, shade)
    picture = blank(hit.shape[1], hit.shape[0], PANEL)
    picture[hit] = np.clip(albedo * shade[:, None], 0, 255).astype(np.uint8)
    edge = _edges(hit)
    picture[edge] = (EDGE_SHADE * picture[edge]).astype(np.uint8)
    return picture


def _stripes(hit: Bools) -> Bools:
    """Return hatching that is as wide after supersampling as it is elsewhere."""
    height, width = hit.shape
    coarse = hatch(-(-height // SUPERSAMPLING), -(-width // SUPERSAMPLING))
    stripes = coarse.repeat(SUPERSAMPLING, axis=0).repeat(SUPERSAMPLING, axis=1)
    selected: Bools = stripes[:height, :width][hit]
    return selected


def _edges(hit: Bools) -> Bools:
    """Return the pixels along the inner outline, one final pixel wide."""
    kernel = np.ones((SUPERSAMPLING, SUPERSAMPLING), dtype=np.uint8)
    edges: Bools = hit & ~(cv2.erode(hit.astype(np.uint8), kernel) > 0)
    return edges


def _looking_along(direction: Floats, up: Floats) -> Floats:
    """Return the rotation ``view_from_camera`` whose z is ``direction`` and whose -y is upwards."""
    forward = direction / np.linalg.norm(direction)
    down = -_horizontal(up, forward)
    return np.stack((np.cross(down, forward), down, forward))


def _horizontal(vector: Floats, normal: Floats) -> Floats:
    """Return the unit vector of ``vector`` without its part along the unit vector ``normal``."""
    flat = vector - normal * (vector @ normal)
    length = np.linalg.norm(flat)
    if length < 1e-6:  # parallel: any direction will do
        return _horizontal(np.roll(normal, 1) + np.array([0.0, 0.1, 0.0]), normal)
    unit: Floats = flat / length
    return unit
