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

"""The renderer: closed objects that stand apart, exact truth, honest noise, a readable folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.datasets import load_scene
from sam3d_ros.evaluation.synthetic import (
    SceneSpec,
    View,
    arrange,
    looking_at,
    orbit,
    render_scene,
    render_view,
    write_scene_folder,
)
from sam3d_ros.evaluation.synthetic_objects import CATALOGUE, model
from sam3d_ros.evaluation.synthetic_render import Quality, World, camera_rays
from sam3d_ros.evaluation.synthetic_solids import (
    Solid,
    difference,
    normals,
    revolved,
    rounded_box,
    surface,
    tube,
)
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.structures import Mesh

SPEC = SceneSpec(
    objects=("box", "mug", "can"),
    camera=camera_from_fov(160, 120, 50.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.004,
)


@pytest.fixture(scope="module")
def world() -> World:
    return arrange(SPEC, seed=3)


@pytest.fixture(scope="module")
def view(world: World) -> View:
    return render_view(world, SPEC, SPEC.world_from_camera, seed=3)


def _trimesh(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_object_is_one_closed_body_with_outward_triangles(name: str) -> None:
    mesh = _trimesh(model(name).mesh())

    assert mesh.is_watertight
    assert mesh.body_count == 1
    assert mesh.volume > 0


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_object_lies_within_its_stated_bounds_and_stands_at_zero(name: str) -> None:
    thing = model(name)
    low, high = _trimesh(thing.mesh()).bounds

    assert (low >= thing.bounds_m[0] - 5e-4).all()
    assert (high <= thing.bounds_m[1] + 5e-4).all()
    assert low[2] == pytest.approx(0.0, abs=5e-4)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_object_stands_because_its_centre_of_mass_is_over_its_base(name: str) -> None:
    mesh = _trimesh(model(name).mesh())
    base = mesh.vertices[mesh.vertices[:, 2] < 0.002][:, :2]

    angles = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
    outward = np.stack([np.cos(angles), np.sin(angles)], axis=-1)

    assert (outward @ mesh.center_mass[:2] < (base @ outward.T).max(axis=0) - 0.005).all()


def test_a_mug_is_a_vessel_with_one_handle() -> None:
    thing = model("mug")

    assert _trimesh(thing.mesh()).euler_number == 0  # a torus
    assert thing.solid(np.array([0.0, 0.0, 0.05])) > 0  # hollow


def test_a_resized_object_is_larger_in_all_directions_and_painted_alike() -> None:
    small, large = model("can").mesh(0.004), model("can").resized(2.0).mesh(0.008)

    assert _trimesh(large).volume == pytest.approx(8.0 * _trimesh(small).volume, rel=0.02)
    assert large.colors.mean() == pytest.approx(small.colors.mean(), abs=3.0)


def test_an_unknown_object_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(DatasetError, match="box, can, bowl"):
        model("teapot")


@pytest.mark.parametrize(
    ("solid", "volume_m3"),
    [
        (rounded_box((0.03, 0.04, 0.05), 1e-6), 0.06 * 0.08 * 0.1),
        (revolved([(0.0, -0.05), (0.04, -0.05), (0.04, 0.05), (0.0, 0.05)]), np.pi * 0.04**2 * 0.1),
        (tube([(0, 0, -0.04), (0, 0, 0.04)], 0.01), np.pi * (1e-4 * 0.08 + 4e-6 / 3)),
    ],
    ids=["box", "cylinder", "capsule"],
)
def test_a_meshed_solid_has_the_volume_of_its_formula(solid: Solid, volume_m3: float) -> None:
    vertices, triangles = surface(solid, np.array([[-0.05] * 3, [0.05] * 3]), 0.002)

    assert trimesh.Trimesh(vertices, triangles).volume == pytest.approx(volume_m3, rel=0.03)


def test_normals_of_a_hole_point_into_the_hole() -> None:
    ring = difference(rounded_box((0.05, 0.05, 0.05), 0.001), tube([(0, 0, -1), (0, 0, 1)], 0.02))

    np.testing.assert_allclose(normals(ring, np.array([[0.02, 0.0, 0.0]])), [[-1, 0, 0]], atol=1e-6)


def test_objects_do_not_touch_each_other(world: World) -> None:
    solids = [(thing.model.solid, thing.world_from_object) for thing in world.objects]
    for index, thing in enumerate(world.objects):
        points = thing.world_from_object.apply(thing.mesh.vertices.astype(np.float64))
        for solid, pose in solids[:index] + solids[index + 1 :]:
            assert solid(pose.inverse().apply(points)).min() > 0.01


def test_objects_that_cannot_fit_are_refused() -> None:
    with pytest.raises(DatasetError, match="do not fit"):
        arrange(replace(SPEC, region_m=(0.05, 0.05)), seed=0)


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(world: World) -> None:
    pose = SPEC.world_from_camera
    first, again = (render_view(world, SPEC, pose, seed=1) for _ in range(2))
    other = render_view(world, SPEC, pose, seed=2)

    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.depth_noisy_m, again.depth_noisy_m)
    assert not np.array_equal(first.depth_noisy_m, other.depth_noisy_m, equal_nan=True)
    np.testing.assert_array_equal(first.depth_m, other.depth_m)


def test_points_under_a_mask_lie_on_the_surface_of_that_object(world: World, view: View) -> None:
    points = camera_rays(view.camera) * view.depth_m[..., None]
    for index, thing in enumerate(world.objects):
        seen = points[view.labels == index + 1]
        object_from_camera = thing.world_from_object.inverse() @ view.world_from_camera

        assert len(seen) > 50
        assert np.abs(thing.model.solid(object_from_camera.apply(seen))).max() < SPEC.voxel_m


def test_noise_of_depth_is_millimetres_without_bias_and_some_readings_are_missing(
    view: View,
) -> None:
    inside = view.labels > 0
    error_m = (view.depth_noisy_m - view.depth_m)[inside]

    assert abs(np.nanmedian(error_m)) < 1e-3
    assert 2e-4 < np.nanmedian(np.abs(error_m)) < 8e-3
    assert 0.0 < np.isnan(error_m).mean() < 0.3


def test_a_camera_that_looks_at_a_point_sees_it_ahead_with_the_horizon_level() -> None:
    eye, target = np.array([0.3, -0.5, 0.6]), np.array([0.1, 0.0, 0.0])
    pose = looking_at(eye, target)

    x, y, z = pose.inverse().apply(target)
    assert (x, y) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert z == pytest.approx(np.linalg.norm(target - eye))
    assert pose.rotation[2, 0] == pytest.approx(0.0)  # x axis is level
    assert pose.rotation[2, 1] < 0  # y points down


def test_an_orbit_keeps_its_distance_to_the_target() -> None:
    poses = orbit(SPEC, 5, 0.6)
    distances = [np.linalg.norm(pose.translation_m - SPEC.target_m) for pose in poses]

    assert len(poses) == 5
    np.testing.assert_allclose(distances, distances[0])


def test_a_written_folder_reads_back_as_the_scene(world: World, view: View, tmp_path: Path) -> None:
    write_scene_folder(world, view, tmp_path / "scene")

    scene = load_scene(tmp_path / "scene")
    expected = render_scene(SPEC, seed=3)

    np.testing.assert_array_equal(scene.frame.rgb, view.rgb)
    assert scene.frame.depth is not None
    np.testing.assert_allclose(scene.frame.depth.depth_m, view.depth_noisy_m, atol=6e-4)
    assert [truth.name for truth in scene.truth] == ["box", "mug", "can"]
    for read, made in zip(scene.truth, expected.truth, strict=True):
        assert read.mesh_camera is not None
        assert made.mesh_camera is not None
        np.testing.assert_array_equal(read.mask, made.mask)
        np.testing.assert_allclose(
            np.sort(read.mesh_camera.vertices, axis=0),
            np.sort(made.mesh_camera.vertices, axis=0),
            atol=1e-5,
        )
