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

"""Depth images of a table, and where a follower finds what stands on it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import trimesh
from scenes import VGA, camera_from_world, can, drill, mesh_from, mug, placed

from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.registration.poses import rotations_from_vectors
from sam3d_ros.geometry.tracking.turns import vectors_from_rotations
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.following import Expected, Followed
from sam3d_ros.structures import (
    Camera,
    DepthFrame,
    DepthImage,
    Floats,
    InstanceMask,
    Mesh,
    Similarity,
)

VIEW = camera_from_world(np.radians(40), 0.75, azimuth_rad=0.4)
TABLE = placed(mesh_from(trimesh.creation.box((1.6, 1.6, 0.04))), 0.0, (0.0, 0.0, -0.02))
DRILL, MUG, CAN = drill(), mug(), can(0.033, 0.11)
STANDING = Similarity.identity()


def at(x: float, y: float, z: float = 0.0, yaw_rad: float = 0.0) -> Similarity:
    rotation = rotations_from_vectors(np.array([[0.0, 0.0, yaw_rad]]))[0]
    return Similarity(rotation, np.array([x, y, z]))


def depth_of(
    things: Sequence[tuple[Mesh, Similarity]],
    camera: Camera = VGA,
    camera_from_world: Similarity = VIEW,
    seed: int | None = None,
) -> Floats:
    """Render things on the table; with a seed there is noise."""
    meshes = [mesh.transformed(camera_from_world @ pose) for mesh, pose in things]
    depth_m = render([*meshes, TABLE.transformed(camera_from_world)], camera).depth_m
    return depth_m if seed is None else noisy(depth_m, seed)


def noisy(depth_m: Floats, seed: int) -> Floats:
    """Add noise that grows with the distance, and holes."""
    rng = np.random.default_rng(seed)
    wobble = rng.normal(size=depth_m.shape) * depth_noise_m(depth_m)
    holes = rng.random(depth_m.shape) < 0.05
    return np.where(holes, np.nan, depth_m + wobble).astype(np.float32)


def frame_of(depth_m: Floats, masks: tuple[InstanceMask, ...] = ()) -> DepthFrame:
    return DepthFrame(
        stamp_ns=0,
        frame_id="camera",
        camera=VGA,
        depth=DepthImage(depth_m=depth_m, camera=VGA),
        masks=masks,
    )


def expected(mesh: Mesh, world_from_object: Similarity, **more: float) -> Expected:
    given = Expected(
        track_id=1, revision=1, mesh_object=mesh, camera_from_object=VIEW @ world_from_object
    )
    return replace(given, **more)  # type: ignore[arg-type]  # checked there


def follow(frame: DepthFrame, *expectations: Expected) -> list[Followed]:
    return DepthFollower().follow(frame, expectations)


def follow_one(frame: DepthFrame, expectation: Expected) -> Followed:
    return follow(frame, expectation)[0]


def off_by(found: Followed, world_from_object: Similarity) -> tuple[float, float]:
    """Return how far the middle of something 10 cm high is off, m, and its turn, degrees."""
    pose, true = found.camera_from_object, VIEW @ world_from_object
    middle = np.array([0.0, 0.0, 0.05])
    turn = vectors_from_rotations((pose.rotation @ true.rotation.T)[None])[0]
    return (
        float(np.linalg.norm(pose.apply(middle) - true.apply(middle))),
        float(np.degrees(np.linalg.norm(turn))),
    )


def is_where_expected(found: Followed, expectation: Expected) -> bool:
    return np.allclose(
        found.camera_from_object.matrix, expectation.camera_from_object.matrix, atol=1e-9
    )
