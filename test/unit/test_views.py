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


"""Which views of an object are kept, and how much they take."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import World, at, brick

from sam3d_ros.config import SceneConfig
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.reconstructor import RememberedView
from sam3d_ros.scene.views import (
    MAX_PIXELS,
    direction,
    earlier_views,
    is_repeated,
    kept_views,
    remembered,
)
from sam3d_ros.structures import Camera, InstanceMask, Observation, Similarity


@pytest.fixture(scope="module")
def world() -> World:
    return World(meshes={"brick": brick(0.10, 0.06, 0.08)}, places={"brick": at(0.0, 0.0, 0.04)})


def view_at(world: World, azimuth_rad: float, distance_m: float = 0.6) -> RememberedView:
    world = replace(world, azimuth_rad=azimuth_rad, distance_m=distance_m)
    frame = world.frame(1.0)
    (observation,) = observe(frame, SceneConfig()).observations
    return remembered(observation, world.camera_from("brick"), frame.fixed_from_camera)


def test_the_views_that_stay_are_those_from_the_most_different_sides(world: World) -> None:
    views: tuple[RememberedView, ...] = ()
    for azimuth_rad in (0.0, 0.4, 0.8, 2.1, 4.2):
        views = kept_views(views, view_at(world, azimuth_rad), 3)
    azimuths = sorted(float(np.arctan2(*direction(view)[1::-1])) % (2 * np.pi) for view in views)
    np.testing.assert_allclose(azimuths, [0.8, 2.1, 4.2], atol=1e-6)


def test_of_two_views_of_one_side_the_nearer_camera_does_not_count_as_more(world: World) -> None:
    far, near = view_at(world, 0.0, 0.7), view_at(world, 0.05, 0.5)
    assert is_repeated([far], near)
    assert is_repeated([near], far)
    assert len(kept_views([far], near, 4)) == 1


def test_a_view_of_which_half_was_hidden_gives_way_to_a_whole_one(world: World) -> None:
    whole = view_at(world, 0.0)
    mask = whole.observation.mask.copy()
    mask[:, : mask.shape[1] // 2] = False
    half = replace(whole, observation=replace(whole.observation, mask=mask))
    assert not is_repeated([half], whole)
    assert kept_views([half], whole, 4) == (whole,)
    assert kept_views([whole], half, 4) == (whole,)


def test_earlier_points_of_the_object_lie_on_it_now(world: World) -> None:
    view = view_at(world, 0.0)
    pose = Similarity(np.eye(3), np.array([0.1, -0.2, 0.9]))
    (earlier,) = earlier_views([view], pose, None)
    points = earlier.observation.object_points_camera.astype(np.float64)
    on_object = pose.inverse().apply(earlier.camera_from_earlier.apply(points))
    half_m = np.array([0.05, 0.03, 0.04])
    assert (np.abs(on_object) < half_m + 0.01).all()
    assert earlier.moved  # a pose that differs, and no fixed frame that says why


def test_what_is_kept_of_a_view_is_bounded_and_means_the_same(vga: Camera) -> None:
    camera = replace(
        vga, width=1280, height=960, matrix_px=np.diag([2.0, 2.0, 1.0]) @ vga.matrix_px
    )
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:960, :1280]
    rays = np.stack((u, v, np.ones_like(u)), axis=-1) @ np.linalg.inv(camera.matrix_px).T
    mask = np.zeros((960, 1280), dtype=bool)
    mask[100:900, 100:1200] = True
    whole = Observation(
        instance=InstanceMask(instance_id=1, mask=mask),
        rgb=rng.random((960, 1280, 3), dtype=np.float32),
        mask=mask,
        silhouette=mask,
        points_camera=rays.astype(np.float32),
        camera=camera,
        others=~mask,
    )
    kept = remembered(whole, Similarity(np.eye(3), np.array([0.0, 0.0, 1.0]))).observation
    assert kept.mask.size <= MAX_PIXELS
    assert kept.points_camera.base is None  # a copy: the whole image can go
    uvw = kept.points_camera @ kept.camera.matrix_px.T
    rows, columns = np.mgrid[: kept.camera.height, : kept.camera.width]
    np.testing.assert_allclose(uvw[..., 0] / uvw[..., 2], columns, atol=1e-2)
    np.testing.assert_allclose(uvw[..., 1] / uvw[..., 2], rows, atol=1e-2)
