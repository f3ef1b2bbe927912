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

"""What flows through the house: frozen dataclasses, built at the edge, read-only afterwards.

Frames: ``camera`` is REP-103 optical (x right, y down, z forward), ``object`` the frame of a mesh.
``a_from_b`` maps coordinates in b to coordinates in a. Metres; column vectors; right-handed.
Unknown is NaN, never 0 or infinity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam3d_ros.errors import ReportCode, ShapeError
from sam3d_ros.shapes import check_shape

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.integer[Any]]

NS_PER_S = 1_000_000_000  # stamps are integers in nanoseconds


class ScaleSource(IntEnum):
    """Where the metric scale of an object comes from; equal to the constants of ``Object.msg``."""

    UNKNOWN = 0
    MONOCULAR = 1
    DEPTH = 2
    LIDAR = 3
    USER = 4


class ObjectState(IntEnum):
    """Life of an object in the registry; equal to the constants of ``Object.msg``."""

    NEW = 0
    TRACKED = 1
    LOST = 2
    LOCKED = 3


class RefinementStatus(IntEnum):
    """What became of fitting a pose to what was measured; equal to the constants of ``Object.msg``.

    A pose is refined where ``ACCEPTED``, otherwise it is the one that there was before.
    """

    NOT_RUN = 0
    ACCEPTED = 1
    REJECTED = 2  # no pose near the given one explains the view
    OCCLUDED = 3  # too little of the object is visible
    FAILED = 4


class ObjectFlag(IntEnum):
    """Bits of ``Object.flags``: what to know before trusting an object."""

    TRUNCATED = 1  # the mask touches the image border
    UNCALIBRATED = 2  # intrinsics were guessed from a field of view
    MOTION = 4  # the camera moved too fast between exposure and result
    RESIZED = 8  # the mask had another size than the image


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """``x_a = scale * rotation @ x_b + translation_m``; composes with ``@``.

    Rigid (scale 1) everywhere outside a backend, because TF and Pose carry no scale.
    """

    rotation: Floats  # (3, 3)
    translation_m: Floats  # (3,)
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_shape(self.rotation, "3 3", "rotation")
        check_shape(self.translation_m, "3", "translation_m")
        if not self.scale > 0:
            raise ShapeError(f"scale must be positive, got {self.scale}")

    @classmethod
    def identity(cls) -> "Similarity":
        """Return the transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: Floats) -> "Similarity":
        """Split a 4x4 matrix ``[[s R, t], [0, 1]]``; the scale is the cube root of det(s R)."""
        check_shape(matrix, "4 4", "matrix")
        linear = np.asarray(matrix, dtype=np.float64)[:3, :3]
        scale = float(np.cbrt(np.linalg.det(linear)))
        if not scale > 0:
            raise ShapeError(f"matrix must keep handedness, its determinant is {scale**3:g}")
        return cls(linear / scale, np.asarray(matrix, dtype=np.float64)[:3, 3].copy(), scale)

    @property
    def matrix(self) -> Floats:
        """The 4x4 matrix ``[[s R, t], [0, 1]]``."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.translation_m
        return matrix

    def inverse(self) -> "Similarity":
        """Return ``b_from_a`` for ``a_from_b``."""
        rotation = self.rotation.T
        return Similarity(rotation, -rotation @ self.translation_m / self.scale, 1.0 / self.scale)

    def __matmul__(self, other: "Similarity") -> "Similarity":
        """Compose: ``a_from_b @ b_from_c = a_from_c``."""
        return Similarity(
            self.rotation @ other.rotation,
            self.apply(other.translation_m),
            self.scale * other.scale,
        )

    def apply(self, points: Floats) -> Floats:
        """Map points ``(..., 3)``."""
        return self.scale * (points @ self.rotation.T) + self.translation_m


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Camera:
    """A pinhole camera with lens distortion; pixel centres are integers.

    ``distortion_model`` is one of ``none``, ``plumb_bob`` (k1 k2 p1 p2 k3), ``rational_polynomial``
    (k1 k2 p1 p2 k3 k4 k5 k6) and ``equidistant`` (k1 k2 k3 k4), as in ``sensor_msgs/CameraInfo``.
    """

    width: int
    height: int
    matrix_px: Floats  # (3, 3)
    distortion_model: str = "none"
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_shape(self.matrix_px, "3 3", "matrix_px")

    @property
    def is_distorted(self) -> bool:
        """Whether the image differs from that of an ideal pinhole camera.

        The equidistant projection does even with all coefficients zero.
        """
        if self.distortion_model == "equidistant":
            return len(self.distortion) > 0
        return self.distortion_model != "none" and any(self.distortion)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthImage:
    """Depth along z as one camera measured it, which need not be the colour camera."""

    depth_m: Floats  # (h, w) float32, NaN where unknown
    camera: Camera
    color_from_depth: Similarity = field(default_factory=Similarity.identity)

    def __post_init__(self) -> None:
        check_shape(self.depth_m, f"{self.camera.height} {self.camera.width}", "depth_m")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointCloud:
    """Points of a LiDAR or any other range sensor."""

    points: Floats  # (N, 3) metres in the sensor's frame, no NaN
    camera_from_sensor: Similarity

    def __post_init__(self) -> None:
        check_shape(self.points, "N 3", "points")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InstanceMask:
    """One object as a mask provider marked it in the image."""

    instance_id: int
    mask: Bools  # (H, W)
    class_id: str = "object"
    score: float = float("nan")
    resized: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """Everything that belongs to one exposure of the camera."""

    rgb: Bytes  # (H, W, 3)
    camera: Camera
    stamp_ns: int = 0
    frame_id: str = "camera"
    masks: tuple[InstanceMask, ...] = ()
    depth: DepthImage | None = None
    points: PointCloud | None = None
    fixed_from_camera: Similarity | None = None  # pose in ``fixed_frame_id`` at the stamp
    fixed_frame_id: str = ""
    up_camera: Floats | None = None  # (3,) unit vector against gravity, where it is known
    uncalibrated: bool = False  # intrinsics are a guess

    def __post_init__(self) -> None:
        size = f"{self.camera.height} {self.camera.width}"
        check_shape(self.rgb, f"{size} 3", "rgb")
        for mask in self.masks:
            check_shape(mask.mask, size, f"mask {mask.instance_id}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SupportPlane:
    """The surface that objects stand on: ``normal_camera @ x + offset_m = 0``, normal upwards."""

    normal_camera: Floats  # (3,) unit vector, towards the free side (up)
    offset_m: float
    confidence: float  # 0..1, how much of the evidence agrees

    def height_m(self, points_camera: Floats) -> Floats:
        """Signed height of points ``(..., 3)`` above the plane, ``(...)`` in metres."""
        return points_camera @ self.normal_camera + self.offset_m


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """One object as one rectified camera saw it, with the rest of the view as evidence.

    ``points_camera`` covers the whole image: outside the mask it says what is free space.
    """

    instance: InstanceMask
    rgb: Floats  # (H, W, 3) float32 in [0, 1]
    mask: Bools  # (H, W), cleaned: pixels whose point belongs to the object
    silhouette: Bools  # (H, W), the mask as given, in this camera
    points_camera: Floats  # (H, W, 3) float32, metres, NaN where unknown
    camera: Camera  # without distortion
    others: Bools  # (H, W), pixels of other instances
    support: SupportPlane | None = None
    up_camera: Floats | None = None  # (3,)
    scale_source: ScaleSource = ScaleSource.UNKNOWN
    flags: int = 0

    def __post_init__(self) -> None:
        size = f"{self.camera.height} {self.camera.width}"
        for name, spec in (
            ("rgb", f"{size} 3"),
            ("mask", size),
            ("silhouette", size),
            ("points_camera", f"{size} 3"),
            ("others", size),
        ):
            check_shape(getattr(self, name), spec, name)

    @property
    def object_points_camera(self) -> Floats:
        """Known points of the object, ``(N, 3)`` in metres."""
        points = self.points_camera[self.mask]
        return points[np.isfinite(points).all(axis=-1)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mesh:
    """A triangle mesh with a colour and a degree of being observed per vertex."""

    vertices: Floats  # (V, 3) float32
    triangles: Ints  # (F, 3) int32, counter-clockwise seen from outside
    colors: Bytes  # (V, 3)
    observed: Floats  # (V,) float32 in [0, 1]; 0 was never seen, 1 was seen by the camera

    def __post_init__(self) -> None:
        num_vertices = check_shape(self.vertices, "V 3", "vertices")["V"]
        check_shape(self.triangles, "F 3", "triangles")
        check_shape(self.colors, f"{num_vertices} 3", "colors")
        check_shape(self.observed, f"{num_vertices}", "observed")

    def transformed(self, a_from_b: Similarity) -> "Mesh":
        """Return the mesh with its vertices mapped from frame b to frame a."""
        return replace(self, vertices=a_from_b.apply(self.vertices).astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How far a reconstruction agrees with what was measured; NaN is "not measured"."""

    silhouette_iou: float = float("nan")  # of the projected mesh and the mask
    depth_residual_m: float = float("nan")  # median |rendered - measured| on the visible surface
    inlier_fraction: float = float("nan")  # of the measured points within the noise of the mesh
    observed_fraction: float = float("nan")  # of the mesh's area that the camera saw


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refinement:
    """How a pose was fitted to what was measured, and how far it may be off."""

    status: RefinementStatus = RefinementStatus.NOT_RUN
    score_before: float = float("nan")  # 0..1, of silhouette and depth
    score_after: float = float("nan")  # of the best pose found, accepted or not
    # (7, 7) of the origin (m), a turn about the camera's axes (rad) and the logarithm of the scale,
    # all in the camera frame; zero is "not estimated".
    covariance: Floats = field(default_factory=lambda: np.zeros((7, 7)))

    def __post_init__(self) -> None:
        check_shape(self.covariance, "7 7", "covariance")

    def with_origin_moved(self, arm_m: Floats) -> "Refinement":
        """Give the covariance of a point that lies ``arm_m`` (3,) from the origin.

        It moves by ``shift + turn x arm + growth arm``.
        """
        x, y, z = arm_m
        moved_from_origin = np.eye(7)
        moved_from_origin[:3, 3:6] = np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]])
        moved_from_origin[:3, 6] = arm_m
        covariance = moved_from_origin @ self.covariance @ moved_from_origin.T
        return replace(self, covariance=covariance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a reconstruction comes from."""

    backend: str
    seed: int = 0
    scale_source: ScaleSource = ScaleSource.UNKNOWN
    hypothesis: str = ""  # what closed the unseen side
    notes: tuple[str, ...] = ()  # sentences for a person: what was unsure, what was left out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectReconstruction:
    """A closed mesh in the object frame, and where that frame stands in the camera frame."""

    mesh_object: Mesh
    camera_from_object: Similarity
    quality: Quality
    provenance: Provenance
    refinement: Refinement = field(default_factory=Refinement)
    preview: Mesh | None = None  # the mesh again, light enough to look at
    volume_m3: float = float("nan")  # that the mesh encloses; NaN unless it is watertight
    stage_s: Mapping[str, float] = field(default_factory=dict)  # seconds per stage
    gpu_peak_mb: float = float("nan")  # most memory of a GPU at once; NaN where none was used

    def reframed(self, object_from_new: Similarity) -> "ObjectReconstruction":
        """Express the object in another frame of its own; nothing moves in the camera frame."""
        new_from_object = object_from_new.inverse()
        camera_from_new = self.camera_from_object @ object_from_new
        arm_m = camera_from_new.translation_m - self.camera_from_object.translation_m
        return replace(
            self,
            refinement=self.refinement.with_origin_moved(arm_m),
            mesh_object=self.mesh_object.transformed(new_from_object),
            preview=self.preview.transformed(new_from_object) if self.preview else None,
            camera_from_object=camera_from_new,
            volume_m3=self.volume_m3 * new_from_object.scale**3,
        )

    def baked(self) -> "ObjectReconstruction":
        """Return the same object with the scale in the vertices and a rigid pose."""
        shrinking = Similarity(np.eye(3), np.zeros(3), 1.0 / self.camera_from_object.scale)
        return self.reframed(shrinking)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneObject:
    """One object of the registry: identity, geometry in metres, pose at ``last_seen_ns``."""

    track_id: int
    class_id: str
    score: float
    state: ObjectState
    reconstruction: ObjectReconstruction  # baked
    size_m: Floats  # (3,) extent of the mesh along the axes of the object frame
    revision: int  # of the mesh; 1 is the first
    first_seen_ns: int
    last_seen_ns: int
    fixed_from_object: Similarity | None = None
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFailure:
    """Why one object of a frame has no reconstruction."""

    instance_id: int
    code: ReportCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneSnapshot:
    """All objects known after one frame, and what happened in it."""

    stamp_ns: int
    frame_id: str
    objects: tuple[SceneObject, ...]
    updated: tuple[int, ...] = ()  # track ids seen in this frame
    removed: tuple[int, ...] = ()  # track ids dropped in this frame
    failures: tuple[ObjectFailure, ...] = ()
    support: SupportPlane | None = None
    stage_s: Mapping[str, float] = field(default_factory=dict)
    gpu_peak_mb: float = float("nan")
