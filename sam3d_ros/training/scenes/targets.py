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


"""Distances to an object's surface at the voxels of its box."""

from dataclasses import dataclass

from torch import Tensor

from sam3d_ros.objects.volume.features import voxel_middles
from sam3d_ros.objects.volume.view import TRUNCATION, VolumeBox
from sam3d_ros.training.scenes.atlas import outside_cube
from sam3d_ros.training.scenes.bodies import Bodies
from sam3d_ros.training.scenes.cameras import Cameras
from sam3d_ros.training.scenes.pool import Shapes

CHUNK = 1 << 20  # voxels at a time, that what lies between stays small


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placing:
    """Where objects are in their boxes: a point p of an object is ``scale R p + centre`` there."""

    rotation: Tensor  # (B, 3, 3)
    centre: Tensor  # (B, 3)
    scale: Tensor  # (B,) largest extents, in sides of the box


def placed(bodies: Bodies, cameras: Cameras, box: VolumeBox) -> Placing:
    """Return where the first body of each scene is in its box."""
    in_camera = cameras.points_camera(bodies.position_m[:, :1])[:, 0]
    offset = (in_camera - box.centre_m)[:, None] @ box.rotation
    return Placing(
        rotation=box.rotation.mT @ cameras.camera_from_world @ bodies.rotation[:, 0],
        centre=offset[:, 0] / box.side_m[:, None],
        scale=bodies.size_m[:, 0] / box.side_m,
    )


def distances(shapes: Shapes, shape: Tensor, placing: Placing, resolution: int) -> Tensor:
    """Return distances at the voxels of boxes ``(B, R, R, R)``, clipped, in ``TRUNCATION``.

    Only voxels about the bounds of an object are looked up: the others are clipped anyway.

    Args:
        shapes: The pool.
        shape: ``(B,)`` which of it each box holds.
        placing: Of these in their boxes.
        resolution: R.
    """
    voxels = voxel_middles(resolution, shape.device)
    result = voxels.new_ones(len(shape), len(voxels))
    step = max(1, CHUNK // len(voxels))
    for start in range(0, len(shape), step):
        part = slice(start, start + step)
        scale = placing.scale[part]
        offset = voxels - placing.centre[part, None]
        points = offset @ (placing.rotation[part] / scale[:, None, None])
        reach = shapes.extent[shape[part]] / 2 + (TRUNCATION / scale)[:, None]
        box, voxel = (points.abs() < reach[:, None]).all(dim=-1).nonzero(as_tuple=True)
        near = points[box, voxel]
        outside = shapes.distance.at(shape[part][box], near)[0] + outside_cube(near)
        result[start + box, voxel] = outside * scale[box] / TRUNCATION
    return result.clamp_(-1.0, 1.0).view(-1, resolution, resolution, resolution)
