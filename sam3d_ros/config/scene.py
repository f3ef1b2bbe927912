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

"""Objects over time, and everything between a frame and a scene."""

from dataclasses import dataclass, field

from sam3d_ros.config.inputs import DepthConfig, LidarConfig, MasksConfig
from sam3d_ros.config.limits import Checked, choice_list, setting
from sam3d_ros.config.models import (
    BodyConfig,
    GaussiansConfig,
    LiftConfig,
    ObjectsConfig,
    RefineConfig,
    SettleConfig,
    WeightsConfig,
)
from sam3d_ros.errors import ConfigError

MESH_FORMATS = ("glb", "ply", "obj", "stl")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig(Checked):
    """How objects keep their identity."""

    match_iou: float = setting(
        0.3, "Mask overlap that makes two views one object", 0.0, 1.0, dynamic=True
    )
    match_distance: float = setting(
        0.15, "Distance that makes two views one object, m", 0.0, 10.0, dynamic=True
    )
    lost_after: float = setting(
        2.0, "Unseen for longer: LOST, s; 0 is never", 0.0, 3600.0, dynamic=True
    )
    remove_after: float = setting(
        30.0, "Unseen for longer: removed, s; 0 is never", 0.0, 86400.0, dynamic=True
    )
    max_objects: int = setting(50, "Objects remembered at once", 1, 1000)
    keep_on_time_jump: bool = setting(
        False, "Keep objects when time jumps back (looped bag)", dynamic=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig(Checked):
    """How known objects are followed."""

    enabled: bool = setting(
        True, "Follow known objects from image to image, and reconstruct only what is new"
    )
    max_rate: float = setting(
        30.0, "Images followed per second; 0 follows every one", 0.0, 240.0, dynamic=True
    )
    max_mask_rate: float = setting(
        2.0,
        "Masks looked at per second while all objects are known and followed; 0 looks at every one",
        0.0,
        240.0,
        dynamic=True,
    )
    reconstruct_if_iou_below: float = setting(
        0.4,
        "Known objects whose outline fits the mask less are reconstructed anew",
        0.0,
        1.0,
        dynamic=True,
    )
    min_new_surface: float = setting(
        0.1,
        "Share of its surface that a view must add to improve an object's mesh",
        0.0,
        1.0,
        dynamic=True,
    )
    max_views: int = setting(
        4, "Views remembered per object, from which its mesh is made", 1, 16, dynamic=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig(Checked):
    """How object frames and meshes leave the package."""

    origin: str = setting(
        "bbox_center",
        "Origin of the object frame at its first mesh, it stays as that improves; model keeps the "
        "backend's",
        choices=("bbox_center", "bottom_center", "model"),
    )
    max_triangles: int = setting(50_000, "Meshes are decimated to this size", 100, 5_000_000)
    glb_up_axis: str = setting("z", "z: the object frame; y: for glTF viewers", choices=("z", "y"))
    watertight: bool = setting(
        True,
        "sam3d: close the holes that a mesh has; false leaves them, and the volume unknown. lift "
        "and nano leave none",
    )
    smoothing_rounds: int = setting(
        0,
        "sam3d, nano: rounds of Taubin's smoothing, which keeps the size; 0 leaves the surface as "
        "the model made it",
        0,
        100,
    )
    min_part_share: float = setting(
        0.01,
        "sam3d, nano: loose parts with a smaller share of the largest part's area are dropped; 0 "
        "keeps all",
        0.0,
        0.9,
    )
    formats: tuple[str, ...] = choice_list(
        ("glb",),
        "Files of each mesh revision, where output_directory is given; mesh_uri is the first. "
        "sam3d offline writes them beside glb and ply",
        MESH_FORMATS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkersConfig(Checked):
    """What RViz and Foxglove show."""

    style: str = setting(
        "triangle_list",
        "How a mesh is shown: triangle_list in the colours of its vertices, texture with an image "
        "and light, mesh_resource as a textured file, which viewers on this machine read",
        choices=("triangle_list", "texture", "mesh_resource", "box", "none"),
    )
    max_triangles: int = setting(5000, "Meshes are shown decimated to this size", 12, 200_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneConfig(Checked):
    """Everything between a frame and a scene; what the node and ``sam3d offline`` share."""

    device: str = setting(
        "auto", "Where models run: cpu, cuda:0; auto takes the first GPU there is"
    )
    precision: str = setting(
        "auto",
        "In which models compute; auto: bf16 on a GPU that has it, else fp32",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    low_memory: bool = setting(
        False, "Keep the weights of a model on the GPU only while it runs: less memory, slower"
    )
    gpu_memory_limit_gb: float = setting(
        0.0,
        "Most memory of the GPU that models may take, GB; 0 is all; no effect on a CPU",
        0.0,
        256.0,
    )
    warmup: bool = setting(
        True,
        "Let models look at something made up before the first frame, where that makes them "
        "faster; false: the first frame pays for it",
    )
    masks: MasksConfig = field(default_factory=MasksConfig)
    depth: DepthConfig = field(default_factory=DepthConfig)
    lidar: LidarConfig = field(default_factory=LidarConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    objects: ObjectsConfig = field(default_factory=ObjectsConfig)
    body: BodyConfig = field(default_factory=BodyConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    gaussians: GaussiansConfig = field(default_factory=GaussiansConfig)
    lift: LiftConfig = field(default_factory=LiftConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    settle: SettleConfig = field(default_factory=SettleConfig)
    markers: MarkersConfig = field(default_factory=MarkersConfig)

    def __post_init__(self) -> None:
        """Check each setting, and that there is anything to look at."""
        Checked.__post_init__(self)  # not super(): slots make another class of this one
        if not (self.objects.enabled or self.body.enabled):
            raise ConfigError(
                "objects.enabled and body.enabled are both false, so that nothing would be looked "
                "at; set one of them to true"
            )
