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


"""A rendered table on which objects come and go, for runs that last long and need not look good."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sam3d_ros.evaluation.synthetic import (
    SceneSpec,
    arrange,
    orbit,
    render_view,
    scene_from_view,
)
from sam3d_ros.evaluation.synthetic_render import Quality, World
from sam3d_ros.geometry.cameras import camera_from_fov, pixel_rays
from sam3d_ros.structures import Floats, Frame, PointCloud, Similarity

OBJECTS = ("box", "can", "bowl", "mug", "bottle")
# On the camera's rig; a LiDAR that sees what the camera sees.
CAMERA_FROM_LIDAR = Similarity(np.eye(3), np.array([0.1, 0.0, 0.0]))


def table_spec(width: int = 320, height: int = 240) -> SceneSpec:
    """Return five objects, quickly rendered."""
    return SceneSpec(
        objects=OBJECTS,
        camera=camera_from_fov(width, height, 50.0),
        quality=Quality(supersampling=1, light_samples=1),
        voxel_m=0.004,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangingTable:
    """Objects at fixed places in the world, of which each view shows some."""

    spec: SceneSpec = field(default_factory=table_spec)
    seed: int = 0
    sweep_rad: float = 0.05  # of the camera over all views

    def world(self) -> World:
        """Return the table with everything on it."""
        return arrange(self.spec, self.seed)

    def frames(self, present: Sequence[Collection[int]], lidar_stride: int = 0) -> list[Frame]:
        """Look at the table once for each set of objects; masks keep the ids of their objects.

        Args:
            present: Indices of the objects on the table, view by view.
            lidar_stride: Pixels per LiDAR point along both sides; 0 is no LiDAR.
        """
        world = self.world()
        poses = orbit(self.spec, len(present), self.sweep_rad)
        frames = []
        for number, (indices, pose) in enumerate(zip(present, poses, strict=True)):
            kept = sorted(indices)
            view = render_view(
                World([world.objects[each] for each in kept]), self.spec, pose, number
            )
            frame = scene_from_view(
                World([world.objects[each] for each in kept]), view, "table"
            ).frame
            masks = tuple(
                replace(mask, instance_id=kept[mask.instance_id - 1] + 1) for mask in frame.masks
            )
            frame = replace(frame, masks=masks)
            frames.append(with_lidar(frame, lidar_stride) if lidar_stride else frame)
        return frames

    def centers_m(self) -> Floats:
        """Return the middle of each object's box in the world ``(N, 3)``."""
        boxes = [
            thing.mesh.transformed(thing.world_from_object).vertices
            for thing in self.world().objects
        ]
        return np.array([(each.min(axis=0) + each.max(axis=0)) / 2 for each in boxes])


def with_lidar(frame: Frame, stride: int) -> Frame:
    """Add the points that a LiDAR beside the camera measures, one of ``stride`` x ``stride``."""
    assert frame.depth is not None
    seen = pixel_rays(frame.camera) * frame.depth.depth_m[..., None]
    points: Floats = seen[::stride, ::stride].reshape(-1, 3)
    points = CAMERA_FROM_LIDAR.inverse().apply(points[np.isfinite(points).all(axis=1)])
    cloud = PointCloud(points=points.astype(np.float32), camera_from_sensor=CAMERA_FROM_LIDAR)
    return replace(frame, points=cloud)
