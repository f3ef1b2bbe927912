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

"""Every setting with its default, range and meaning.

These dataclasses are the documentation: ROS parameters (dotted names), ``config/sam3d.yaml`` and
the README table are derived from them. Values are checked when a config is made.
"""

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from sam3d_ros.errors import ConfigError

T = TypeVar("T", bool, int, float, str)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one setting means and which values it takes."""

    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str | float, ...] = ()
    read_only: bool = False

    @property
    def listed_choices(self) -> str:
        """The choices as texts name them; empty where there are none."""
        return ", ".join(map(str, self.choices))

    def check(self, name: str, value: object) -> None:
        """Raise ``ConfigError`` unless ``value`` lies within these limits."""
        if self.choices and value not in self.choices:
            raise ConfigError(f"{name} must be one of {self.listed_choices}, got {value!r}")
        if self.low is None or self.high is None:
            return
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ConfigError(f"{name} must be within [{self.low:g}, {self.high:g}], got {value!r}")


def setting(default: T, description: str, *limits: float, choices: tuple[T, ...] = ()) -> T:
    """Declare a field with its ``Limits``; ``limits`` is empty or (low, high)."""
    low, high = limits or (None, None)
    metadata = {"limits": Limits(description, low, high, choices)}
    result: T = field(default=default, metadata=metadata)
    return result


def limits_of(config_field: "Field[Any]") -> Limits:
    """Return the limits of a leaf field."""
    limits = config_field.metadata["limits"]
    assert isinstance(limits, Limits)
    return limits


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Limits]]:
    """Yield (dotted name, value, limits) of every leaf of a nested config."""
    for leaf in fields(config):
        value = getattr(config, leaf.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{leaf.name}.")
        else:
            yield f"{prefix}{leaf.name}", value, limits_of(leaf)


class Checked:
    """Checks every leaf field of a config when it is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for leaf in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, leaf.name)
            if not is_dataclass(value):
                limits_of(leaf).check(leaf.name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncConfig(Checked):
    """How messages of several topics become one frame."""

    mode: str = setting(
        "exact_then_nearest",
        "How messages are matched to the stamp of the mask",
        choices=("exact", "exact_then_nearest"),
    )
    slop: float = setting(0.04, "Largest stamp difference of a nearest match, s", 0.0, 1.0)
    timeout: float = setting(
        1.0, "How long a mask waits for the other messages of its stamp, s", 0.0, 60.0
    )
    cache_seconds: float = setting(5.0, "How long messages wait for their mask, s", 0.1, 120.0)
    cache_mb: float = setting(512.0, "Most memory for waiting messages, MB", 16.0, 16384.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasksConfig(Checked):
    """How instance masks are read."""

    mode: str = setting(
        "label_image",
        "label_image: value = instance id; binary: one object, any value",
        choices=("label_image", "binary"),
    )
    min_pixels: int = setting(400, "Smaller masks are refused (MASK_EMPTY)", 1, 10_000_000)
    max_age: float = setting(5.0, "Older masks are refused (MASK_STALE), s", 0.0, 600.0)
    max_border_fraction: float = setting(
        0.3, "Share of the outline on the image border from which an object is TRUNCATED", 0.0, 1.0
    )
    erode_px: int = setting(1, "Pixels taken off the mask before depth is read", 0, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthConfig(Checked):
    """How depth images are read."""

    unit: str = setting("auto", "auto: 16UC1 is mm, 32FC1 is m", choices=("auto", "m", "mm"))
    min: float = setting(0.1, "Nearer readings are ignored, m", 0.0, 1000.0)
    max: float = setting(10.0, "Farther readings are ignored, m", 0.0, 1000.0)
    min_valid_fraction: float = setting(
        0.2, "Share of a mask's pixels that must carry a depth", 0.0, 1.0
    )
    on_missing: str = setting(
        "monocular",
        "Objects with too little depth: monocular estimates it, where weights.objects has the "
        "depth model (scale_source MONOCULAR); without it, and with skip: DEPTH_SPARSE",
        choices=("monocular", "skip"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LidarConfig(Checked):
    """How point clouds become a point map of the image."""

    splat_radius_px: int = setting(2, "Radius of a projected point, px", 0, 20)
    max_time_offset: float = setting(0.1, "Largest stamp difference to the image, s", 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig(Checked):
    """How camera_info is read."""

    rectified: bool = setting(
        False, "The image topic is rectified already: use P of camera_info and no distortion"
    )
    fov_fallback_deg: float = setting(
        0.0, "Horizontal field of view to assume without intrinsics, degrees; 0 refuses", 0.0, 170.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TfConfig(Checked):
    """How object frames are published."""

    publish: bool = setting(True, "Publish one TF frame per object")
    prefix: str = setting("sam3d", "First part of every object frame's name")
    timeout: float = setting(0.2, "How long to wait for a transform, s", 0.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerConfig(Checked):
    """When objects are reconstructed."""

    mode: str = setting(
        "on_new_object",
        "on_demand: only what ~/reconstruct asks for; on_new_object: what a mask shows that is not "
        "known, or not from that side; continuous: what every mask shows, anew",
        choices=("on_demand", "on_new_object", "continuous"),
    )
    max_rate: float = setting(
        0.0, "Masks looked at per second of their stamps at most; 0 is no limit", 0.0, 60.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig(Checked):
    """What happens when masks come faster than objects are reconstructed."""

    policy: str = setting(
        "latest",
        "latest drops the waiting frames, oldest drops the new one, none drops nothing",
        choices=("latest", "oldest", "none"),
    )
    depth: int = setting(
        1, "Frames that may wait; beside them as many calls of ~/reconstruct", 1, 100
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig(Checked):
    """How objects keep their identity."""

    match_iou: float = setting(0.3, "Mask overlap that makes two views one object", 0.0, 1.0)
    match_distance: float = setting(0.15, "Distance that makes two views one object, m", 0.0, 10.0)
    lost_after: float = setting(2.0, "Unseen for longer: LOST, s; 0 is never", 0.0, 3600.0)
    remove_after: float = setting(30.0, "Unseen for longer: removed, s; 0 is never", 0.0, 86400.0)
    max_objects: int = setting(50, "Objects remembered at once", 1, 1000)
    keep_on_time_jump: bool = setting(False, "Keep objects when time jumps back (looped bag)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig(Checked):
    """How known objects are followed."""

    enabled: bool = setting(
        True, "Follow known objects from image to image, and reconstruct only what is new"
    )
    max_rate: float = setting(30.0, "Images followed per second; 0 follows every one", 0.0, 240.0)
    max_mask_rate: float = setting(
        2.0,
        "Masks looked at per second while all objects are known and followed; 0 looks at every one",
        0.0,
        240.0,
    )
    reconstruct_if_iou_below: float = setting(
        0.4, "Known objects whose outline fits the mask less are reconstructed anew", 0.0, 1.0
    )
    min_new_surface: float = setting(
        0.1, "Share of its surface that a view must add to improve an object's mesh", 0.0, 1.0
    )
    max_views: int = setting(4, "Views remembered per object, from which its mesh is made", 1, 16)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkersConfig(Checked):
    """What RViz and Foxglove show."""

    style: str = setting(
        "triangle_list", "How a mesh is shown", choices=("triangle_list", "box", "none")
    )
    max_triangles: int = setting(5000, "Meshes are shown decimated to this size", 12, 200_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsConfig(Checked):
    """Which backend reconstructs objects."""

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
        4, "nano: steps from noise to the shape; 1 is the fastest, 25 are as many as help", 1, 100
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

    objects: str = setting("", "Folder with the weights of SAM 3D Objects; empty: there are none")
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
    masks: MasksConfig = field(default_factory=MasksConfig)
    depth: DepthConfig = field(default_factory=DepthConfig)
    lidar: LidarConfig = field(default_factory=LidarConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    objects: ObjectsConfig = field(default_factory=ObjectsConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    gaussians: GaussiansConfig = field(default_factory=GaussiansConfig)
    lift: LiftConfig = field(default_factory=LiftConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    settle: SettleConfig = field(default_factory=SettleConfig)
    markers: MarkersConfig = field(default_factory=MarkersConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig(SceneConfig, Checked):
    """Everything ``sam3d_node`` can be told; each leaf is one ROS parameter."""

    autostart: bool = setting(True, "Configure and activate at start")
    image_transport: str = setting(
        "raw", "Which image topic is subscribed", choices=("raw", "compressed")
    )
    depth_transport: str = setting(
        "raw", "Which depth topic is subscribed", choices=("raw", "compressedDepth")
    )
    output_frame: str = setting("", "Parent of the object frames; empty is the camera's frame")
    gravity_frame: str = setting(
        "", "Frame whose z axis points up, to find the support plane; empty asks the image alone"
    )
    output_directory: str = setting(
        "",
        "Folder below which ~/export and ~/reconstruct write; empty: a temporary one, which is "
        "removed at cleanup",
    )
    sync: SyncConfig = field(default_factory=SyncConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    tf: TfConfig = field(default_factory=TfConfig)
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    queue: QueueConfig = field(default_factory=QueueConfig)
