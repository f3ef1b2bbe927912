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


"""Cases of several views with known answers: scenes seen from all around, poses a little off."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from sam3d_ros.config import SceneConfig
from sam3d_ros.evaluation.synthetic import SceneSpec, arrange, looking_at, render_view
from sam3d_ros.evaluation.synthetic import scene_from_view as scene_of
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import EarlierView, Floats, Mesh, Observation, Similarity

UP = np.array([0.0, 0.0, 1.0])
MARGIN_PX = 24  # of earlier views around the silhouette


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationError:
    """How far the poses between views are off; of this size, in a random direction."""

    shift_m: float = 0.003
    turn_deg: float = 1.0  # about the middle of the object


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsSpec:
    """From where the camera looks, the present view first."""

    azimuths_deg: tuple[float, ...] = (0.0, 110.0, -120.0, 180.0)
    scene: SceneSpec = field(
        default_factory=lambda: SceneSpec(
            quality=Quality(supersampling=1, light_samples=1), voxel_m=0.002
        )
    )
    error: RegistrationError = field(default_factory=RegistrationError)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewsCase:
    """One object with all its views; fewer are taken by ``observation``."""

    name: str
    present: Observation
    earlier: tuple[EarlierView, ...]
    truth_camera: Mesh

    def observation(self, num_views: int) -> Observation:
        """Return the present view with the first of the others."""
        return replace(self.present, earlier=self.earlier[: num_views - 1])


def cases(seeds: range, spec: ViewsSpec, config: SceneConfig) -> Iterator[ViewsCase]:
    """Yield the objects of seeded scenes that could be observed in every view.

    Raises:
        DatasetError: When the objects do not fit on the table.
    """
    for seed in seeds:
        yield from _scene_cases(seed, spec, config)


def misplaced(
    camera_from_earlier: Similarity,
    center: Floats,
    error: RegistrationError,
    rng: np.random.Generator,
) -> Similarity:
    """Turn and shift where an earlier view is thought to be, about a point ``(3,)``."""
    turn = rotation_from_axis_angle(_direction(rng), np.radians(error.turn_deg))
    shift_m = error.shift_m * _direction(rng)
    return Similarity(turn, center - turn @ center + shift_m) @ camera_from_earlier


def _scene_cases(seed: int, spec: ViewsSpec, config: SceneConfig) -> Iterator[ViewsCase]:
    world = arrange(spec.scene, seed)
    poses = [_pose(spec.scene, azimuth) for azimuth in spec.azimuths_deg]
    views = [
        render_view(world, spec.scene, pose, seed + 1000 * number)
        for number, pose in enumerate(poses)
    ]
    scenes = [scene_of(world, view, f"seed_{seed}") for view in views]
    observed = [
        {item.instance.instance_id: item for item in observe(scene.frame, config).observations}
        for scene in scenes
    ]
    for truth in scenes[0].truth:
        number = truth.instance_id
        if truth.mesh_camera is None or any(number not in items for items in observed):
            continue
        rng = np.random.default_rng((seed, number))
        center = truth.mesh_camera.vertices.mean(axis=0).astype(np.float64)
        earlier = tuple(
            EarlierView(
                observation=items[number].cropped(MARGIN_PX),
                camera_from_earlier=misplaced(poses[0].inverse() @ pose, center, spec.error, rng),
            )
            for items, pose in zip(observed[1:], poses[1:], strict=True)
        )
        yield ViewsCase(
            name=truth.name,
            present=observed[0][number],
            earlier=earlier,
            truth_camera=truth.mesh_camera,
        )


def _pose(scene: SceneSpec, azimuth_deg: float) -> Similarity:
    """Return the pose of a camera that went around the target."""
    target = np.array(scene.target_m)
    turn = rotation_from_axis_angle(UP, np.radians(azimuth_deg))
    return looking_at(target + turn @ (np.array(scene.eye_m) - target), target)


def _direction(rng: np.random.Generator) -> Floats:
    vector = rng.standard_normal(3)
    return np.asarray(vector / np.linalg.norm(vector))
