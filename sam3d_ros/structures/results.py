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

"""What backends make: meshes with poses, and what is known of how good they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.arrays import Bytes, Floats, Ints
from sam3d_ros.structures.poses import Similarity
from sam3d_ros.structures.sensing import ScaleSource
from sam3d_ros.structures.splats import Splats


class RefinementStatus(IntEnum):
    """What became of fitting a pose to what was measured; equal to the constants of ``Object.msg``.

    A pose is refined where ``ACCEPTED``, otherwise it is the one that there was before.
    """

    NOT_RUN = 0
    ACCEPTED = 1
    REJECTED = 2  # no pose near the given one explains the view
    OCCLUDED = 3  # too little of the object is visible
    FAILED = 4


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
class Settling:
    """How an object was moved so that it neither overlaps others nor floats nor sinks."""

    shift_m: float = 0.0  # of the middle; 0, exactly, where nothing was wrong
    turn_rad: float = 0.0
    overlap_before_m: float = 0.0  # depth of the deepest point in or of another object
    overlap_m: float = 0.0  # what is left of it
    height_before_m: float = float("nan")  # of the lowest point over the support; NaN without one
    height_m: float = float("nan")  # negative: below the support
    balance_m: float = float("nan")  # of the centre of mass from the edge; negative: would topple
    inside: bool = False  # nearly all of it is in another object: the two were not parted


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How a reconstruction was chosen among several of the same object."""

    num_candidates: int = 1  # that were compared; failed ones are not
    score: float = float("nan")  # 0..1, agreement with all views; NaN is "nothing was compared"
    # Of the score over the best of the others, NaN where there is none; negative where one agrees
    # better, and what is known of the unseen side decided (``Provenance.prior``), or the order.
    margin: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a reconstruction comes from."""

    backend: str
    seed: int = 0
    scale_source: ScaleSource = ScaleSource.UNKNOWN
    hypothesis: str = ""  # what closed the unseen side
    # How much more agreement a candidate needs to be preferred to this one, whose maker knows so
    # much of the unseen side; less than 0: so much less.
    prior: float = 0.0
    choice: Choice = field(default_factory=Choice)
    notes: tuple[str, ...] = ()  # sentences for a person: what was unsure, what was left out


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """An image, and where on it the corners of triangles lie."""

    uv: Floats  # (F, 3, 2) to the right and upwards from the image's lower left corner, in [0, 1]
    image: Bytes  # (H, W, 3) red, green, blue

    def __post_init__(self) -> None:
        check_shape(self.uv, "F 3 2", "uv")
        check_shape(self.image, "H W 3", "image")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectReconstruction:
    """A closed mesh in the object frame, and where that frame stands in the camera frame.

    Mesh, preview and splats lie in one frame.
    """

    mesh_object: Mesh
    camera_from_object: Similarity
    quality: Quality
    provenance: Provenance
    refinement: Refinement = field(default_factory=Refinement)
    settling: Settling | None = None  # where objects were made to stand beside each other
    preview: Mesh | None = None  # the mesh again, light enough to look at
    preview_texture: Texture | None = None  # of the preview's triangles, where one was wanted
    splats: Splats | None = None  # the object again, where a backend was asked for them
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
            preview=self.preview and self.preview.transformed(new_from_object),
            splats=None if self.splats is None else self.splats.transformed(new_from_object),
            camera_from_object=camera_from_new,
            volume_m3=self.volume_m3 * new_from_object.scale**3,
        )

    def baked(self) -> "ObjectReconstruction":
        """Return the same object with the scale in the vertices and a rigid pose."""
        shrinking = Similarity(np.eye(3), np.zeros(3), 1.0 / self.camera_from_object.scale)
        small = self.reframed(shrinking)
        pose = small.camera_from_object  # of which rounding leaves a scale that is almost 1
        return replace(small, camera_from_object=Similarity(pose.rotation, pose.translation_m))
