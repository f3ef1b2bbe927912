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

"""The weights of nano that come with the package: small, measured, and of use."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scenes import box, camera_from_world, can, drill, placed, scene
from scipy.ndimage import binary_dilation, binary_erosion

from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.evaluation.datasets import load_scene
from sam3d_ros.evaluation.families import family_objects
from sam3d_ros.evaluation.metrics import volume_iou
from sam3d_ros.geometry.measures import bounds, enclosed_volume_m3, is_watertight
from sam3d_ros.geometry.meshes import occupancy, to_trimesh
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.objects.files import NANO_FILE, NANO_FOLDER, PROVENANCE_FILE
from sam3d_ros.objects.provenance import why_not_trusted
from sam3d_ros.scene.backends import make_object_backend, wired_backend
from sam3d_ros.scene.choosing import agreeing
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Bools, Mesh, ObjectReconstruction, Observation

MAX_BYTES = 30e6
CAN, DRILL = can(0.034, 0.102), placed(drill(), 0.9, (0, 0, 0))
VIEW = camera_from_world(0.6, 0.8)


def seen(mesh: Mesh) -> tuple[Observation, Mesh]:
    made = scene([mesh], VIEW, noise=0.5)
    return observe(made.frame, SceneConfig()).observations[0], made.truth_camera[0]


def reconstructed(observation: Observation, backend: str) -> ObjectReconstruction:
    config = SceneConfig(objects=ObjectsConfig(backend=backend))
    chooser = agreeing(make_object_backend(config), config.refine)
    (outcome,) = chooser.reconstruct([observation])
    assert isinstance(outcome, ObjectReconstruction), outcome
    return outcome


def test_they_are_small_and_say_where_they_come_from() -> None:
    assert sum(path.stat().st_size for path in NANO_FOLDER.iterdir()) < MAX_BYTES
    said = json.loads((NANO_FOLDER / PROVENANCE_FILE).read_text())
    assert said["samples"] > 0
    for stage in said["stages"]:
        assert all(len(each["commit"]) == 40 and each["hardware"] for each in stage["origins"])


def test_auto_takes_them() -> None:
    assert (NANO_FOLDER / NANO_FILE).is_file()
    assert not why_not_trusted(NANO_FOLDER)
    assert wired_backend(SceneConfig()).backend.name == "nano+lift"


def fit(reconstruction: ObjectReconstruction, truth: Mesh) -> float:
    in_camera = reconstruction.mesh_object.transformed(reconstruction.camera_from_object)
    return volume_iou(in_camera, truth)


def test_what_symmetry_explains_is_left_to_lift() -> None:
    observation, truth = seen(CAN)
    best = reconstructed(observation, "auto")
    assert best.provenance.backend == "lift"
    assert fit(best, truth) > 0.8


def test_objects_of_unseen_families_come_out_better_than_by_lift_alone() -> None:
    gains, makers = [], set()
    for each in family_objects(4, 1, "isolated"):
        assert each.truth.mesh_camera is not None
        best = reconstructed(each.observation, "auto")
        alone = reconstructed(each.observation, "lift")
        gains.append(fit(best, each.truth.mesh_camera) - fit(alone, each.truth.mesh_camera))
        makers.add(best.provenance.backend)
    assert "nano" in makers
    assert np.mean(gains) > 0.0


@pytest.mark.parametrize("name", ["blue_mug", "green_bowl"])
def test_thin_shells_come_out_closed_in_one_piece_and_hollow(name: str, shared_data: Path) -> None:
    frame = load_scene(shared_data / "realsense_single" / name).frame
    (observation,) = observe(frame, SceneConfig()).observations
    mesh = reconstructed(observation, "nano").mesh_object
    assert is_watertight(mesh)
    assert to_trimesh(mesh).body_count == 1
    low, high = bounds(mesh)
    heights = np.linspace(low[2], high[2], 60)
    middle = (low + high) / 2
    inside = occupancy(mesh, np.stack([np.full(60, middle[0]), np.full(60, middle[1]), heights], 1))
    assert inside.any()  # the bottom
    assert not inside[heights > low[2] + (high[2] - low[2]) / 3].any()  # and nothing above it
    assert enclosed_volume_m3(mesh) < 0.5 * to_trimesh(mesh).convex_hull.volume


def _with_mask(observation: Observation, change: Callable[[Bools], Bools]) -> Observation:
    instance = replace(observation.instance, mask=change(observation.instance.mask))
    return replace(
        observation,
        mask=change(observation.mask),
        silhouette=change(observation.silhouette),
        instance=instance,
    )


def _without_some_depth(observation: Observation) -> Observation:
    points = observation.points_camera.copy()
    points[np.random.default_rng(0).random(points.shape[:2]) < 0.1] = np.nan
    return replace(observation, points_camera=points)


def _with_plane(observation: Observation, offset_m: float, tilt_deg: float) -> Observation:
    support = observation.support
    if support is None:
        return observation
    normal = support.normal_camera
    foot = np.nanmedian(observation.object_points_camera, axis=0)
    foot = foot - normal * (normal @ foot + support.offset_m)
    turned = rotation_from_axis_angle(np.array([1.0, 0.0, 0.0]), np.radians(tilt_deg)) @ normal
    wrong = replace(support, normal_camera=turned, offset_m=offset_m - float(turned @ foot))
    return replace(observation, support=wrong)


def test_small_errors_of_the_view_cost_little() -> None:
    """Of what a household camera gets wrong nothing may cost more than 0.03 of the volume."""
    nano = make_object_backend(SceneConfig(objects=ObjectsConfig(backend="nano")))
    objects = [seen(CAN), seen(DRILL), seen(placed(box(0.09, 0.05, 0.12), 0.5, (0, 0, 0)))]

    def quality(change: Callable[[Observation], Observation]) -> float:
        made = nano.reconstruct([change(observation) for observation, _ in objects])
        assert all(isinstance(each, ObjectReconstruction) for each in made), made
        return float(np.mean([fit(m, t) for m, (_, t) in zip(made, objects, strict=True)]))

    errors: dict[str, Callable[[Observation], Observation]] = {
        "mask a pixel too small": lambda o: _with_mask(o, binary_erosion),
        "mask a pixel too wide": lambda o: _with_mask(o, binary_dilation),
        "a tenth of the depth lost": _without_some_depth,
        "plane 3 mm too high": lambda o: _with_plane(o, 0.003, 0.0),
        "plane tilted by 1.5 degrees": lambda o: _with_plane(o, 0.0, 1.5),
        "plane unknown": lambda o: replace(o, support=None, up_camera=o.up_camera),
    }
    undisturbed = quality(lambda observation: observation)
    assert undisturbed > 0.8
    lost = {name: undisturbed - quality(change) for name, change in errors.items()}
    assert max(lost.values()) < 0.03, lost


def test_the_same_view_gives_the_same_mesh() -> None:
    observation, _ = seen(DRILL)
    first, second = (reconstructed(observation, "nano") for _ in range(2))
    np.testing.assert_array_equal(first.mesh_object.vertices, second.mesh_object.vertices)
