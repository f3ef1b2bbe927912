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


"""Rendered sequences of a tabletop with exact truth: what following objects is judged by.

``RenderedSequence(SequenceSpec(seed=1)).steps()`` gives depth at camera rate, full frames with
masks now and then and late, and where every object truly is. Any seed, camera and choice of
objects of the catalogue gives another sequence; the same gives the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import open3d as o3d
from scipy.ndimage import gaussian_filter

from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.sequences_motion import Choreography, Schedule, Viewpoint, choreograph
from sam3d_ros.evaluation.synthetic import SceneSpec, arrange, true_depth
from sam3d_ros.evaluation.synthetic_depth import DepthSensor, measure
from sam3d_ros.evaluation.synthetic_objects import CATALOGUE, Model
from sam3d_ros.evaluation.synthetic_render import (
    PlacedObject,
    Quality,
    World,
    camera_rays,
    render_rgb,
)
from sam3d_ros.evaluation.synthetic_solids import tube
from sam3d_ros.geometry.cameras import camera_from_fov, cropped, project
from sam3d_ros.geometry.raycasting import NUM_THREADS, raycasting_scene
from sam3d_ros.structures import (
    NS_PER_S,
    Bools,
    Camera,
    DepthFrame,
    DepthImage,
    Floats,
    Frame,
    InstanceMask,
    Ints,
    Mesh,
    Similarity,
)

FRAME_ID, FIXED_FRAME_ID, CLASS_ID = "camera", "world", "object"
START_NS = 1_700_000_000 * NS_PER_S
MAX_ARRANGEMENTS = 20
MIN_MASK_PX = 120  # providers report nothing smaller
MASK_BLUR_PX, MASK_ERROR = 1.2, 0.12  # how outlines of masks err
ARM_RADIUS_M, ARM_LENGTH_M = 0.035, 0.7
PIXEL_MARGIN = 2
# Streams of random numbers per frame.
DEPTH_NOISE, IMAGE_NOISE, MASK_NOISE = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SequenceSpec:
    """What stands on the table, who looks at it, and how often masks come."""

    seed: int = 0
    objects: tuple[str, ...] = ()  # of the catalogue; empty draws five
    num_frames: int = 300
    rate_hz: float = 30.0
    mask_every: int = 10  # frames
    mask_delay: int = 3  # frames that masks come late
    camera: Camera = field(default_factory=lambda: camera_from_fov(640, 480, 55.0))
    sensor: DepthSensor = field(default_factory=DepthSensor)
    quality: Quality = field(default_factory=lambda: Quality(supersampling=1, light_samples=2))
    voxel_m: float = 0.0025
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectTruth:
    """Where one object is in one frame."""

    camera_from_object: Similarity | None  # None where it was taken away
    visible: float  # share of its silhouette that is in the image and not hidden


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One image, what is true in it, and the masks that arrive with it."""

    index: int
    frame: DepthFrame  # without masks
    labels: Ints  # (H, W): 1 + index of the object, 0 elsewhere
    truth: tuple[ObjectTruth, ...]
    # An earlier image with masks that has become known by now. Masks name no object: class and
    # order say nothing, as with a segmenter that is asked anew each time.
    late: Frame | None = None


class RenderedSequence:
    """A tabletop on which things move, and a camera that looks at it.

    Raises:
        DatasetError: When the objects do not fit on the table.
    """

    def __init__(self, spec: SequenceSpec) -> None:
        self.spec = spec
        rng = np.random.default_rng(spec.seed)
        drawn = rng.permutation(list(CATALOGUE))[:5]
        self._scene_spec = _scene_spec(spec, spec.objects or tuple(str(name) for name in drawn))
        self._objects = _arranged(self._scene_spec, spec.seed)
        viewpoint = Viewpoint(
            camera=spec.camera,
            eye_m=np.array(self._scene_spec.eye_m),
            target_m=np.array(self._scene_spec.target_m),
        )
        self.choreography: Choreography = choreograph(
            self._objects, viewpoint, spec.schedule, spec.num_frames, rng
        )
        self._arm = _arm()
        self._silhouettes = [raycasting_scene([thing.mesh]) for thing in self._objects]

    @property
    def names(self) -> tuple[str, ...]:
        """What each object is, in the order of the truth."""
        return tuple(thing.model.name for thing in self._objects)

    @property
    def meshes(self) -> tuple[Mesh, ...]:
        """The true meshes in their object frames, metres, in the order of the truth."""
        return tuple(thing.mesh for thing in self._objects)

    def steps(self) -> Iterator[Step]:
        """Render frame after frame."""
        spec = self.spec
        due: dict[int, Frame] = {}
        for index in range(spec.num_frames):
            step = self.step(index)
            if index % spec.mask_every == 0:
                due[index + spec.mask_delay] = self.masked(step)
            yield replace(step, late=due.pop(index, None))

    def step(self, index: int) -> Step:
        """Render the depth of one frame; without masks."""
        spec, pose = self.spec, self.choreography.world_from_camera[index]
        true, surface = true_depth(self._world(index), spec.camera, pose, spec.sensor.baseline_m)
        present = self._present(index)
        labels = np.zeros_like(surface)
        for position, number in enumerate(present, start=1):
            labels[surface == position] = number + 1
        depth_m = measure(true, spec.camera, spec.sensor, self._rng(index, DEPTH_NOISE))
        return Step(
            index=index,
            frame=DepthFrame(
                stamp_ns=START_NS + round(index * NS_PER_S / spec.rate_hz),
                frame_id=FRAME_ID,
                camera=spec.camera,
                depth=DepthImage(depth_m=depth_m, camera=spec.camera),
                fixed_from_camera=pose,
                fixed_frame_id=FIXED_FRAME_ID,
            ),
            labels=labels,
            truth=tuple(self._truth(index, number, labels) for number in range(len(self._objects))),
        )

    def masked(self, step: Step) -> Frame:
        """Return the same image in colour and with masks, as a segmenter gives them."""
        spec, depth = self.spec, step.frame
        rng = self._rng(step.index, IMAGE_NOISE)
        pose = self.choreography.world_from_camera[step.index]
        return Frame(
            rgb=render_rgb(self._world(step.index), spec.camera, pose, spec.quality, rng),
            camera=depth.camera,
            stamp_ns=depth.stamp_ns,
            frame_id=depth.frame_id,
            masks=_masks(step.labels, self._rng(step.index, MASK_NOISE)),
            depth=depth.depth,
            fixed_from_camera=pose,
            fixed_frame_id=depth.fixed_frame_id,
        )

    def _present(self, index: int) -> list[int]:
        poses = self.choreography.world_from_objects[index]
        return [number for number, pose in enumerate(poses) if pose is not None]

    def _world(self, index: int) -> World:
        """Put everything where it is in a frame; the arm comes after all objects."""
        poses = self.choreography.world_from_objects[index]
        placed = [
            replace(thing, world_from_object=pose)
            for thing, pose in zip(self._objects, poses, strict=True)
            if pose is not None
        ]
        arm = self.choreography.world_from_arm[index]
        return World(
            [*placed, *([] if arm is None else [replace(self._arm, world_from_object=arm)])]
        )

    def _truth(self, index: int, number: int, labels: Ints) -> ObjectTruth:
        pose = self.choreography.world_from_objects[index][number]
        if pose is None:
            return ObjectTruth(camera_from_object=None, visible=0.0)
        camera_from_object = self.choreography.world_from_camera[index].inverse() @ pose
        mesh = self._objects[number].mesh
        whole = _num_pixels(self._silhouettes[number], mesh, self.spec.camera, camera_from_object)
        visible = np.count_nonzero(labels == number + 1) / max(whole, 1)
        return ObjectTruth(camera_from_object=camera_from_object, visible=min(1.0, float(visible)))

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.spec.seed, index, stream))


def _scene_spec(spec: SequenceSpec, names: tuple[str, ...]) -> SceneSpec:
    return SceneSpec(objects=names, camera=spec.camera, voxel_m=spec.voxel_m, min_visible=0.6)


def _arranged(spec: SceneSpec, seed: int) -> tuple[PlacedObject, ...]:
    """Find an arrangement; some seeds need more than one try."""
    for attempt in range(MAX_ARRANGEMENTS):
        try:
            return arrange(spec, seed + 1000 * attempt).objects
        except DatasetError:
            if attempt == MAX_ARRANGEMENTS - 1:
                raise
    return ()


def _arm() -> PlacedObject:
    """Return something round and long that hangs from above; its lower end is the origin."""
    radius, length = ARM_RADIUS_M, ARM_LENGTH_M
    bounds_m = np.array([[-radius, -radius, 0.0], [radius, radius, length]])
    model = Model(
        name="arm",
        solid=tube([(0.0, 0.0, radius), (0.0, 0.0, length - radius)], radius),
        paint=lambda points: np.broadcast_to((0.85, 0.62, 0.5), points.shape),
        bounds_m=bounds_m,
    )
    return PlacedObject(
        model=model, mesh=model.mesh(0.005), world_from_object=Similarity.identity()
    )


def _num_pixels(
    scene: o3d.t.geometry.RaycastingScene, mesh: Mesh, camera: Camera, pose: Similarity
) -> int:
    """Count the pixels that an object alone would cover in an image without a border."""
    pixels = project(camera, pose.apply(mesh.vertices.astype(np.float64)))
    low = np.floor(pixels.min(axis=0)).astype(int) - PIXEL_MARGIN
    size = np.ceil(pixels.max(axis=0)).astype(int) + PIXEL_MARGIN - low
    window = cropped(camera, int(low[0]), int(low[1]), int(size[0]), int(size[1]))
    object_from_camera = pose.inverse()
    directions = camera_rays(window).reshape(-1, 3) @ object_from_camera.rotation.T
    starts = np.broadcast_to(object_from_camera.translation_m, directions.shape)
    rays = np.concatenate([starts, directions], axis=-1).astype(np.float32)
    return int(scene.test_occlusions(o3d.core.Tensor(rays), nthreads=NUM_THREADS).numpy().sum())


def _masks(labels: Ints, rng: np.random.Generator) -> tuple[InstanceMask, ...]:
    """Give masks whose outlines err a little, in any order."""
    numbers = [int(number) for number in np.unique(labels) if number > 0]
    masks = [_erring(labels == number, rng) for number in rng.permutation(numbers)]
    kept = [mask for mask in masks if np.count_nonzero(mask) >= MIN_MASK_PX]
    return tuple(
        InstanceMask(instance_id=number, mask=mask, class_id=CLASS_ID)
        for number, mask in enumerate(kept, start=1)
    )


def _erring(mask: Bools, rng: np.random.Generator) -> Bools:
    noise: Floats = gaussian_filter(rng.normal(size=mask.shape), MASK_BLUR_PX)
    soft = gaussian_filter(mask.astype(np.float64), MASK_BLUR_PX)
    blurred: Bools = soft + MASK_ERROR * noise / noise.std() > 0.5
    return blurred
