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

"""Which models reconstruct, and what is done with what they give."""

from dataclasses import dataclass

from sam3d_ros.config.limits import Checked, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsConfig(Checked):
    """Which backend reconstructs objects."""

    enabled: bool = setting(
        True, "Reconstruct and follow objects; false: only people, which body.enabled asks for"
    )
    backend: str = setting(
        "auto",
        "sam3d needs weights.objects, nano and lift need nothing; auto takes the best that is "
        "there, and says in diagnostics why it is no better one",
        choices=("auto", "sam3d", "nano", "lift"),
    )
    seed: int = setting(42, "Results repeat for equal inputs and seed", 0, 2_147_483_647)
    candidates: int = setting(
        1, "sam3d, nano: seeds tried per object, of which the one that agrees best is kept", 1, 16
    )
    nano_steps: int = setting(
        1, "nano: steps from noise to the shape; 1 is the fastest, 25 are as many as help", 1, 100
    )
    stage1_steps: int = setting(25, "sam3d: steps to coarse shape and pose", 1, 100)
    stage2_steps: int = setting(25, "sam3d: steps to the fine shape", 1, 100)
    shortcut: bool = setting(
        False, "sam3d: stage 1 in steps that have guidance learned in; 4 of them do then"
    )
    batch_size: int = setting(4, "sam3d: objects reconstructed at once", 1, 64)
    mesh_detail: str = setting(
        "full",
        "sam3d: full decodes the fine shape, fast takes the coarse one and leaves out stage 2",
        choices=("fast", "full"),
    )
    splats_per_voxel: int = setting(
        32, "sam3d: splats of each voxel, where gaussians.publish asks for them", choices=(32, 4)
    )
    texture: str = setting(
        "vertex_color",
        "Colours in the mesh files of sam3d offline; baked: .glb have an image (extra: texture), "
        "which shows splats where there are any",
        choices=("none", "vertex_color", "baked"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsConfig(Checked):
    """Where the weights of models lie."""

    objects: str = setting(
        "",
        "Weights of SAM 3D Objects: a folder, or the name of a repository on the Hugging Face hub; "
        "empty: none, with allow_download facebook/sam-3d-objects",
    )
    body: str = setting(
        "",
        "Weights of SAM 3D Body: a folder, or the name of a repository; empty: none, with "
        "allow_download facebook/sam-3d-body-dinov3",
    )
    allow_download: bool = setting(
        False,
        "Fetch repositories that are not in the hub's cache on this machine (gigabytes, by the "
        "process that runs models); needs huggingface_hub and access: accept the licence on the "
        "hub, hf auth login",
    )
    nano: str = setting("", "Folder with weights of nano; empty: those that come with the package")


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussiansConfig(Checked):
    """Objects as splats, beside their meshes."""

    publish: bool = setting(
        False,
        "sam3d: make splats, too: ~/gaussians, .ply of sam3d offline; takes a decoder, its time, "
        "and about 50 MB per object",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftConfig(Checked):
    """The geometry-only backend."""

    grid: int = setting(56, "Cube root of the number of cells around an object", 24, 160)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineConfig(Checked):
    """How poses and sizes of backends are fitted to what was measured."""

    enabled: bool = setting(
        True, "Fit pose, size and proportions to depth and mask, and estimate covariances"
    )
    min_iou: float = setting(
        0.5, "Silhouettes that overlap less after the fit are REJECTED", 0.0, 1.0
    )
    max_iterations: int = setting(7, "Steps of the fit", 1, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleConfig(Checked):
    """How the objects of one image are made to stand beside each other and on their support."""

    enabled: bool = setting(
        False, "Move reconstructed objects so that they do not overlap, float or sink"
    )
    max_shift: float = setting(0.02, "Objects are moved no farther, m", 0.0, 1.0)
    max_turn_deg: float = setting(
        3.0, "Objects on an edge are tilted onto a face by no more, degrees", 0.0, 30.0
    )
    max_departure: float = setting(
        0.002, "The visible surface leaves the measured depth by no more, m", 0.0, 1.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyConfig(Checked):
    """How people are reconstructed."""

    enabled: bool = setting(
        False, "Reconstruct people, too: masks of class person; needs weights.body"
    )
    max_people: int = setting(8, "People per image, the largest first; others are counted", 1, 64)
    inference: str = setting(
        "full",
        "full looks at the hands once more, in crops of their own; body takes a third of the time",
        choices=("body", "full"),
    )
    classes: str = setting("person", "Classes of masks that are people, separated by commas")
    first_label: int = setting(
        0, "Label images: values from this one up are people; 0: only classes tell", 0, 2**31 - 1
    )
    align: bool = setting(
        True, "Move bodies along the ray through their hips to the depth measured under their mask"
    )
    smoothing_hz: float = setting(
        1.0,
        "Slow motion of people is smoothed with this cut-off, fast motion less, what touches "
        "something not at all, Hz; 0 is off",
        0.0,
        100.0,
    )
    match_distance: float = setting(
        0.8, "Largest step of a person from image to image beyond their motion, m", 0.0, 10.0
    )
    lost_after: float = setting(
        1.0, "Unseen for longer: a person that comes back is somebody new, s", 0.0, 3600.0
    )
    parent: str = setting(
        "camera",
        "Parent of the frames body_<id>: camera as REP-155 has it, or output_frame",
        choices=("camera", "output_frame"),
    )
    joint_frames: bool = setting(True, "Publish frames of the large joints below body_<id>")
    mesh: bool = setting(False, "Put vertices into ~/bodies, 220 kB per person and image")
    collision: bool = setting(
        False,
        "With planning.enabled: people whose distance was measured are collision objects, too, a "
        "convex hull each, while they are in view",
    )
