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

"""People: what a body model is asked about, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.arrays import Bools, Bytes, Floats, Ints
from sam3d_ros.structures.poses import Similarity
from sam3d_ros.structures.sensing import Camera, ScaleSource

NUM_KEYPOINTS = 70  # MHR70
NUM_JOINTS = 127  # of the MHR rig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonPrompt:
    """One person as somebody marked it in the image; a box is made from the mask if none is given.

    Raises:
        ShapeError: An array has another shape than it says here.
    """

    instance_id: int
    box_px: Floats | None = None  # (4,) x1 y1 x2 y2
    mask: Bools | None = None  # (H, W), not zero on the person
    keypoints_px: Floats | None = None  # (N, 3): x, y, which of the 70 keypoints that is
    score: float = float("nan")

    def __post_init__(self) -> None:
        if self.box_px is not None:
            check_shape(self.box_px, "4", "box_px")
        if self.mask is not None:
            check_shape(self.mask, "H W", "mask")
        if self.keypoints_px is not None:
            check_shape(self.keypoints_px, "N 3", "keypoints_px")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleView:
    """An image, and the people in it that are asked about."""

    rgb: Bytes  # (H, W, 3)
    camera: Camera  # without distortion
    people: tuple[PersonPrompt, ...]

    def __post_init__(self) -> None:
        size = f"{self.camera.height} {self.camera.width}"
        check_shape(self.rgb, f"{size} 3", "rgb")
        for person in self.people:
            if person.mask is not None:
                check_shape(person.mask, size, f"mask of person {person.instance_id}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyParameters:
    """What makes the MHR rig this person; angles in rad, names as in the released model."""

    global_rot: Floats  # (3,)
    body_pose: Floats  # (133,); [124:130] are translations
    hand_pose: Floats  # (108,) continuous, left 54 then right 54
    scale: Floats  # (28,)
    shape: Floats  # (45,)
    expression: Floats  # (72,)
    rig: Floats  # (204,) what the rig itself takes; its own axes (y up), root translation in 0.1 m

    def __post_init__(self) -> None:
        for name, size in (
            ("global_rot", 3),
            ("body_pose", 133),
            ("hand_pose", 108),
            ("scale", 28),
            ("shape", 45),
            ("expression", 72),
            ("rig", 204),
        ):
            check_shape(getattr(self, name), f"{size}", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFit:
    """How a body agrees with the depth under its mask, and by how much it was moved for that.

    NaN where nothing was measured.
    """

    correction_m: float = float("nan")  # along z, of the middle between the hips
    residual_m: float = float("nan")  # median |surface - measured| afterwards
    inlier_fraction: float = float("nan")  # of the readings near the surface afterwards

    @property
    def is_measured(self) -> bool:
        """Whether the body stands where depth was measured."""
        return isfinite(self.residual_m)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyReconstruction:
    """One person, posed in the optical frame of the camera (x right, y down, z forward), metres."""

    vertices_camera: Floats  # (V, 3) float32
    triangles: Ints  # (F, 3) int32; one array that all people share
    keypoints_camera: Floats  # (70, 3)
    keypoints_px: Floats  # (70, 2) the same in the image, by the camera's own matrix
    joints_camera: Floats  # (127, 3)
    camera_from_joint: Floats  # (127, 3, 3) rotations that belong to the pose as it is here
    parameters: BodyParameters
    box_px: Floats  # (4,) that the model looked at
    instance_id: int = 0
    score: float = float("nan")
    backend: str = ""
    scale_source: ScaleSource = ScaleSource.MONOCULAR
    fit: DepthFit = field(default_factory=DepthFit)  # nothing is measured where it came without
    notes: tuple[str, ...] = ()
    stage_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape(self.vertices_camera, "V 3", "vertices_camera")
        check_shape(self.triangles, "F 3", "triangles")
        check_shape(self.keypoints_camera, f"{NUM_KEYPOINTS} 3", "keypoints_camera")
        check_shape(self.keypoints_px, f"{NUM_KEYPOINTS} 2", "keypoints_px")
        check_shape(self.joints_camera, f"{NUM_JOINTS} 3", "joints_camera")
        check_shape(self.camera_from_joint, f"{NUM_JOINTS} 3 3", "camera_from_joint")
        check_shape(self.box_px, "4", "box_px")

    @property
    def origin_camera(self) -> Floats:
        """Middle between the hips ``(3,)``, metres: the origin of the person's frame (REP-155)."""
        hips: Floats = np.mean(self.keypoints_camera[9:11], axis=0)
        return hips


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenePerson:
    """One person over time, as posed in the image at ``last_seen_ns``."""

    person_id: int
    body: BodyReconstruction  # aligned and smoothed
    contacts: Bools  # (70,) keypoints measured to touch something that is not a person
    first_seen_ns: int
    last_seen_ns: int
    fixed_from_camera: Similarity | None = None  # of that image

    def __post_init__(self) -> None:
        check_shape(self.contacts, f"{NUM_KEYPOINTS}", "contacts")

    @property
    def fit(self) -> DepthFit:
        """How the body agrees with the depth that was measured when it was last seen."""
        return self.body.fit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleSnapshot:
    """The people of one image with masks."""

    stamp_ns: int
    people: tuple[ScenePerson, ...] = ()  # seen in it
    gone: tuple[int, ...] = ()  # person ids seen before, not in it
    num_left_out: int = 0  # beyond ``BodyConfig.max_people``
    image_size: tuple[int, int] = (0, 0)  # width, height, px
