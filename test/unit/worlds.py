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


"""A world whose objects are known exactly, with a backend and a follower that know them, too."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import trimesh
from scenes import camera_from_world, mesh_from, placed

from sam3d_ros.errors import ReconstructionError
from sam3d_ros.geometry.measures import vertex_normals
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.protocols import Cancelled, ObjectOutcome, never
from sam3d_ros.scene.following import Expected, Followed, FollowStatus
from sam3d_ros.structures import (
    NS_PER_S,
    Camera,
    DepthFrame,
    DepthImage,
    Floats,
    Frame,
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    Observation,
    Provenance,
    Quality,
    Similarity,
)

UP = np.array([0.0, 0.0, 1.0])
CAMERA = Camera(
    width=320,
    height=240,
    matrix_px=np.array([[300.0, 0.0, 159.5], [0.0, 300.0, 119.5], [0.0, 0.0, 1.0]]),
)
TABLE = placed(mesh_from(trimesh.creation.box((1.6, 1.6, 0.04))), 0.0, (0.0, 0.0, -0.02))


def brick(x: float, y: float, z: float, color: Sequence[int] = (128, 128, 128)) -> Mesh:
    """Return a box about the origin whose vertices are close enough to say what was seen."""
    solid = trimesh.creation.box((x, y, z)).subdivide().subdivide().subdivide()
    mesh = mesh_from(solid)
    colors = np.tile(np.array(color, dtype=np.uint8), (len(mesh.vertices), 1))
    return replace(mesh, colors=colors)


def ball(radius: float) -> Mesh:
    """Return a ball about the origin."""
    return mesh_from(trimesh.creation.icosphere(subdivisions=3, radius=radius))


def at(x: float, y: float, z: float, yaw_rad: float = 0.0) -> Similarity:
    """Return a place in the world."""
    return Similarity(rotation_from_axis_angle(UP, yaw_rad), np.array([x, y, z]))


def ns(seconds: float) -> int:
    """Return a stamp."""
    return round(seconds * NS_PER_S)


@dataclass
class World:
    """Objects on a table, and the camera that looks at them."""

    meshes: dict[str, Mesh]
    places: dict[str, Similarity]  # world_from_object
    azimuth_rad: float = 0.3
    distance_m: float = 0.6

    @property
    def view(self) -> Similarity:
        """``camera_from_world``."""
        return camera_from_world(np.radians(40), self.distance_m, self.azimuth_rad)

    def frame(
        self, seconds: float, masks: Sequence[str] | None = None, *, fixed: bool = True
    ) -> Frame:
        """Return what the camera sees, with masks of some objects, in their order."""
        names = list(self.places)
        meshes = [self.meshes[name].transformed(self.view @ self.places[name]) for name in names]
        raster = render([*meshes, TABLE.transformed(self.view)], CAMERA)
        noise_m = np.random.default_rng(round(1000 * seconds)).normal(size=raster.depth_m.shape)
        depth_m = raster.depth_m + 0.3 * noise_m * depth_noise_m(raster.depth_m)
        order = names if masks is None else list(masks)
        return Frame(
            rgb=np.full((CAMERA.height, CAMERA.width, 3), 90, dtype=np.uint8),
            camera=CAMERA,
            stamp_ns=ns(seconds),
            masks=tuple(
                InstanceMask(instance_id=number, mask=raster.object_index == names.index(name))
                for number, name in enumerate(order, start=1)
            ),
            depth=DepthImage(depth_m=depth_m.astype(np.float32), camera=CAMERA),
            fixed_from_camera=self.view.inverse() if fixed else None,
            fixed_frame_id="world" if fixed else "",
            up_camera=self.view.rotation[:, 2],
        )

    def image(self, seconds: float, *, fixed: bool = True) -> DepthFrame:
        """Return the same without masks and colour."""
        frame = self.frame(seconds, fixed=fixed)
        assert frame.depth is not None
        return DepthFrame(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            camera=frame.camera,
            depth=frame.depth,
            fixed_from_camera=frame.fixed_from_camera,
            fixed_frame_id=frame.fixed_frame_id,
        )

    def camera_from(self, name: str) -> Similarity:
        """Return where an object is in the camera."""
        return self.view @ self.places[name]


@dataclass
class KnowingBackend:
    """Answers with the object whose middle is nearest; remembers what it was asked."""

    world: World
    asked: list[Observation] = field(default_factory=list)
    spoil: float = 1.0  # how much too large the meshes are
    refuses: bool = False
    name: str = "knowing"
    wants_warmup: bool = False

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        self.asked += observations
        if self.refuses:
            return [ReconstructionError("told to refuse") for _ in observations]
        return [self._made(each) for each in observations]

    def _made(self, observation: Observation) -> ObjectReconstruction:
        middle = np.median(observation.object_points_camera, axis=0)
        name = min(
            self.world.places,
            key=lambda each: float(
                np.linalg.norm(self.world.camera_from(each).translation_m - middle)
            ),
        )
        views = [Similarity.identity(), *(e.camera_from_earlier for e in observation.earlier)]
        mesh = self.world.meshes[name]
        pose = self.world.camera_from(name)
        eyes = [(pose.inverse() @ view).translation_m for view in views]
        return ObjectReconstruction(
            mesh_object=replace(
                mesh,
                vertices=(self.spoil * mesh.vertices).astype(np.float32),
                observed=_faces_any(mesh, eyes),
            ),
            camera_from_object=pose,
            quality=Quality(),
            provenance=Provenance(backend=self.name),
        )


@dataclass
class KnowingFollower:
    """Finds objects where they are by the nearest middle, unless told what to say."""

    world: World
    says: dict[int, FollowStatus] = field(default_factory=dict)
    expected: list[Sequence[Expected]] = field(default_factory=list)

    def start(self) -> None:
        """Be ready."""

    def follow(self, frame: DepthFrame, expected: Sequence[Expected]) -> list[Followed]:
        self.expected.append(expected)
        return [self._followed(each) for each in expected]

    def close(self) -> None:
        """Hold nothing."""

    def _followed(self, expected: Expected) -> Followed:
        status = self.says.get(expected.track_id, FollowStatus.FOLLOWED)
        poses = [self.world.camera_from(name) for name in self.world.places]
        pose = min(
            poses,
            key=lambda each: float(
                np.linalg.norm(each.translation_m - expected.camera_from_object.translation_m)
            ),
        )
        if status is not FollowStatus.FOLLOWED:
            pose = expected.camera_from_object
        return Followed(track_id=expected.track_id, status=status, camera_from_object=pose)


def _faces_any(mesh: Mesh, eyes: Sequence[Floats]) -> Floats:
    """Tell which vertices of a convex mesh any of the eyes sees, ``(V,)``."""
    normals = vertex_normals(mesh)
    seen = [((eye - mesh.vertices) * normals).sum(axis=1) > 0 for eye in eyes]
    observed: Floats = np.any(seen, axis=0).astype(np.float32)
    return observed
