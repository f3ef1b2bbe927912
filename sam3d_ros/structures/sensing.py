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

"""What cameras and range sensors saw: whole frames, and single objects in them."""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.arrays import Bools, Bytes, Floats, window_of
from sam3d_ros.structures.poses import Similarity


class ScaleSource(IntEnum):
    """Where the metric scale of an object comes from; equal to the constants of ``Object.msg``."""

    UNKNOWN = 0
    MONOCULAR = 1
    DEPTH = 2
    LIDAR = 3
    USER = 4


class ObjectFlag(IntEnum):
    """Bits of ``Object.flags``: what to know before trusting an object."""

    TRUNCATED = 1  # the mask touches the image border
    UNCALIBRATED = 2  # intrinsics were guessed from a field of view
    MOTION = 4  # the camera moved too fast between exposure and result
    RESIZED = 8  # the mask had another size than the image


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


@dataclass(frozen=True, slots=True, eq=False)
class EstimatedPoints:
    """What a model sees in a single image: a scene up to its scale, so these are no metres."""

    points_camera: Floats  # (H, W, 3) float32 in the optical frame, NaN where unknown
    matrix_normalised: Floats  # (3, 3) camera matrix, pixels in units of the image's width, height


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
    box_px: Floats | None = None  # (4,) x1 y1 x2 y2 of a detector, edges of its pixels
    is_box: bool = False  # the mask is that box, filled: nobody has seen an outline


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
    in_motion: bool = False  # the camera moved too fast to trust where it was at the stamp
    # Instance ids of the masks whose objects are asked for, empty for all; the others still tell
    # what is no part of these.
    chosen: tuple[int, ...] = ()
    fit: bool | None = None  # meshes that are made to what was measured; None as settings say

    def __post_init__(self) -> None:
        size = f"{self.camera.height} {self.camera.width}"
        check_shape(self.rgb, f"{size} 3", "rgb")
        for mask in self.masks:
            check_shape(mask.mask, size, f"mask {mask.instance_id}")

    def wants(self, instance_id: int) -> bool:
        """Tell whether the object of a mask is asked for."""
        return not self.chosen or instance_id in self.chosen


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
    notes: tuple[str, ...] = ()  # on the points, for ``Provenance.notes``
    flags: int = 0
    earlier: "tuple[EarlierView, ...]" = ()  # other views of the same object, if it is known

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

    def cropped(self, margin_px: int) -> "Observation":
        """Return the part of the view around the silhouette; copies, so the whole may be freed.

        Earlier views are left out. An empty silhouette gives the whole view.
        """
        return self.part(*window_of(self.silhouette, margin_px))

    def part(self, rows: slice, columns: slice) -> "Observation":
        """Return some rows and columns of the view; copies, so the whole may be freed.

        Slices have a start, or a step, or both. Earlier views are left out.
        """
        chosen = (rows, columns)
        mask, silhouette = self.mask[chosen].copy(), self.silhouette[chosen].copy()
        matrix_px = self.camera.matrix_px.astype(np.float64)
        matrix_px[:2, 2] -= (columns.start or 0, rows.start or 0)
        # Pixel centres are integers: the first one stays where it is.
        matrix_px[:2] /= np.array([[columns.step or 1], [rows.step or 1]])
        return replace(
            self,
            instance=replace(self.instance, mask=silhouette),
            rgb=self.rgb[chosen].copy(),
            mask=mask,
            silhouette=silhouette,
            points_camera=self.points_camera[chosen].copy(),
            camera=replace(
                self.camera, width=mask.shape[1], height=mask.shape[0], matrix_px=matrix_px
            ),
            others=self.others[chosen].copy(),
            earlier=(),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarlierView:
    """The same object as it was seen before, from elsewhere or after it was moved."""

    observation: Observation  # cropped around the object, without earlier views of its own
    # Where what stood at a point of the earlier camera stands now; holds for the object only: if
    # it was moved, not for what stood around it.
    camera_from_earlier: Similarity
    moved: bool = False  # the object moved on its support: the rest of that view is no evidence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthFrame:
    """What it takes to follow known objects from one image to the next; no colour.

    Poses are those of the colour camera, as everywhere; its image is not needed.
    """

    stamp_ns: int
    frame_id: str  # of the colour camera
    camera: Camera  # the colour camera, in which the masks are
    depth: DepthImage
    masks: tuple[InstanceMask, ...] = ()
    fixed_from_camera: Similarity | None = None  # pose of the colour camera at the stamp
    fixed_frame_id: str = ""
    in_motion: bool = False  # as of ``Frame``

    def __post_init__(self) -> None:
        for mask in self.masks:
            check_shape(mask.mask, f"{self.camera.height} {self.camera.width}", "mask")
