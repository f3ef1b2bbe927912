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


"""What scenes are made of: bodies at rest, rays, sensors, masks, planes, each by itself."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.training.scenes.atlas import HALF, Atlas, outside_cube
from sam3d_ros.training.scenes.bodies import Bodies, fallen, hung, rotation_about, sampled_bodies
from sam3d_ros.training.scenes.cameras import Crops, crops_around, sampled_cameras
from sam3d_ros.training.scenes.draws import Draws, mixed
from sam3d_ros.training.scenes.knowledge import MAX_TILT_RAD, known_planes
from sam3d_ros.training.scenes.masking import GROSS_RADIUS, MIN_LEFT, masked, shifted
from sam3d_ros.training.scenes.pool import Shapes, feet_of
from sam3d_ros.training.scenes.recipes import (
    FULL_SENSOR,
    ISOLATED,
    PASTED,
    MaskRecipe,
    PlaneRecipe,
    SensorRecipe,
)
from sam3d_ros.training.scenes.rendering import Exact, World, rendered
from sam3d_ros.training.scenes.sensor import in_shadow, measured
from sam3d_ros.training.scenes.surroundings import sampled_surroundings
from sam3d_ros.training.scenes.tracing import traced

CPU = torch.device("cpu")
RADIUS = 0.5
GRID = 48
QUIET = SensorRecipe(
    disparity_noise_px=(0.1, 0.1001),
    constant_noise_m=(0.0, 0.0),
    focal_baseline=(40.0, 40.001),
    coarse_share=0.0,
    ripple_m=0.0,
    flying_share=(0.0, 0.0),
    edge_loss=(0.0, 0.0),
    fattening_share=0.0,
    shadow_share=0.0,
    hole_share=(0.0, 0.0),
    shine_share=0.0,
)


def middles() -> Tensor:
    """Return the middles of the voxels of a grid, ``(N, N, N, 3)``."""
    axis = ((torch.arange(GRID) + 0.5) / GRID - 0.5) * 2 * HALF
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)


def two_shapes() -> Shapes:
    """Return a pool of a ball of 0.2 m and a box of 0.1 x 0.06 x 0.04 m."""
    points = middles()
    ball = points.norm(dim=-1) - RADIUS
    extent = torch.tensor(((1.0, 1.0, 1.0), (1.0, 0.6, 0.4)))
    past = points.abs() - extent[1] / 2
    box = past.clamp(min=0).norm(dim=-1) + past.amax(dim=-1).clamp(max=0)
    grids = torch.stack((ball, box))
    feet, middle = zip(*(feet_of(grid) for grid in grids), strict=True)
    return Shapes(
        distance=Atlas(grids.reshape(1, -1, GRID, GRID)),
        colors=Atlas(torch.full((3, 2 * GRID, GRID, GRID), 0.5)),
        size_m=torch.tensor((0.2, 0.1)),
        extent=extent,
        middle=torch.stack(middle),
        feet=torch.stack(feet),
        names=[("ball", 0), ("box", 0)],
    )


def wall(depth_m: float, num: int = 4, size: int = 48) -> Exact:
    """Return exact views of a wall across the line of sight."""
    flat = torch.full((num, size, size), depth_m)
    return Exact(
        depth_m=flat,
        body=torch.zeros_like(flat, dtype=torch.long),
        whole=torch.ones_like(flat, dtype=torch.bool),
        cosine=torch.ones_like(flat),
        highlight=torch.zeros_like(flat),
        rgb=torch.zeros(num, size, size, 3),
    )


def whole_image(num: int = 4, size: int = 48, focal_px: float = 400.0) -> Crops:
    """Return crops that are all of an image, pixel by pixel."""
    matrix = torch.tensor(((focal_px, 0.0, 23.5), (0.0, focal_px, 23.5), (0.0, 0.0, 1.0)))
    steps = torch.arange(size).float().expand(num, size)
    return Crops(
        matrix_px=matrix.expand(num, 3, 3),
        u=steps,
        v=steps,
        columns=steps,
        rows=steps,
        inside=torch.ones(num, size, size, dtype=torch.bool),
        step_px=torch.ones(num),
    )


def test_a_grid_has_its_values_at_the_middles_of_its_voxels_and_no_other_grids() -> None:
    values = torch.rand(3, GRID, GRID, GRID)
    atlas = Atlas(values.reshape(1, -1, GRID, GRID))
    points = middles().reshape(-1, 3)
    for index in range(3):
        sampled = atlas.at(torch.full((len(points),), index), points)
        torch.testing.assert_close(sampled[0], values[index].flatten(), atol=2e-4, rtol=0)
    beyond = atlas.at(torch.tensor([1]), torch.tensor([[-9.0, -9.0, -9.0]]))
    torch.testing.assert_close(beyond[0, 0], values[1, 0, 0, 0], atol=2e-4, rtol=0)


def test_slopes_point_outwards() -> None:
    points = 0.4 * F.normalize(torch.randn(50, 3), dim=1)
    slope = two_shapes().distance.slopes(torch.zeros(50, dtype=torch.long), points)
    cosine = (F.normalize(slope, dim=1) * F.normalize(points, dim=1)).sum(dim=1)
    assert cosine.min() > 0.999


def test_a_point_is_outside_of_the_cube_by_its_distance() -> None:
    points = torch.tensor(((0.0, 0.0, 0.0), (HALF + 0.3, 0.0, HALF + 0.4)))
    torch.testing.assert_close(outside_cube(points), torch.tensor((0.0, 0.5)))


def test_keys_have_seeds_of_their_own() -> None:
    keys = [(a, b, c) for a in range(5) for b in range(20) for c in (1, 8, 16)]
    assert len({mixed(*key) for key in keys}) == len(keys)
    assert mixed(1, 2) != mixed(2, 1)


def test_every_object_rests_on_the_support_and_parts_from_the_one_it_stands_beside() -> None:
    shapes = two_shapes()
    bodies = sampled_bodies(Draws(CPU, 1), shapes, FULL_SENSOR, 40)
    feet_m = bodies.feet_m(shapes)
    torch.testing.assert_close(
        feet_m[..., 2].amin(dim=-1), torch.zeros(bodies.shape.shape), atol=1e-6, rtol=0
    )
    for other in range(1, 1 + FULL_SENSOR.num_others):
        heading = F.normalize(bodies.position_m[:, other] - bodies.position_m[:, 0], dim=1)
        heading = F.normalize(heading * torch.tensor((1.0, 1.0, 0.0)), dim=1)[:, None]
        own = (feet_m[:, 0] * heading).sum(dim=-1).amax(dim=1)
        theirs = (feet_m[:, other] * heading).sum(dim=-1).amin(dim=1)
        assert (theirs >= own - 1e-3).float().mean() > 0.9  # headings are of middles here


def test_what_falls_comes_to_lie_on_a_face() -> None:
    draws = Draws(CPU, 2)
    sides = torch.tensor((-0.5, 0.5))
    corners = torch.cartesian_prod(sides, sides, sides) * torch.tensor((1.0, 0.6, 0.3))
    start = rotation_about(draws.directions((32,)), draws.uniform((32,), 0.0, 3.1))
    heights = (corners @ fallen(start, corners.expand(32, 8, 3)).mT)[..., 2]
    lowest = heights.sort(dim=1).values
    assert (lowest[:, 3] - lowest[:, 0]).quantile(0.95) < 0.02  # four corners are down
    begun = (corners @ start.mT)[..., 2].amin(dim=1)
    assert (lowest[:, 0] >= begun - 0.01).all()  # the centre of mass went down, never up


def test_a_traced_ball_is_where_geometry_says() -> None:
    shapes = two_shapes()
    recipe = replace(ISOLATED, size_px=(100.0, 200.0))
    draws = Draws(CPU, 3)
    bodies = sampled_bodies(draws, shapes, recipe, 6)
    bodies = replace(
        bodies,
        shape=torch.zeros_like(bodies.shape),
        size_m=torch.full_like(bodies.size_m, 0.2),
    )
    cameras = sampled_cameras(draws, bodies, recipe)
    crops = crops_around(draws, cameras, bodies, shapes, 40)
    rays = crops.rays_camera() @ cameras.camera_from_world[:, None]
    depth_m = traced(shapes, bodies, cameras, rays)[:, 0]
    away = cameras.position_m - bodies.position_m[:, 0]
    a = rays.square().sum(dim=-1)
    b = torch.einsum("bhwi,bi->bhw", rays, away)
    c = away.square().sum(dim=1).view(-1, 1, 1) - 0.1**2
    inner = b.square() - a * c
    expected = (-b - inner.clamp(min=0).sqrt()) / a
    sure = (b.square() / a - c).abs() > 2e-4  # rays past the rim decide nothing
    assert torch.equal(depth_m.isfinite() & sure, (inner > 0) & sure)
    both = depth_m.isfinite() & (inner > 0) & sure
    assert (depth_m - expected)[both].abs().max() < 1e-3
    assert both.flatten(1).sum(dim=1).min() > 50


def test_what_stands_in_front_hides_but_never_too_much() -> None:
    shapes = two_shapes()
    recipe = replace(PASTED, occluder_share=1.0, neighbour_share=0.0)
    draws = Draws(CPU, 4)
    bodies = sampled_bodies(draws, shapes, recipe, 40)
    cameras = sampled_cameras(draws, bodies, recipe)
    world = World(
        shapes=shapes,
        bodies=bodies,
        surroundings=sampled_surroundings(draws, 40, recipe),
        cameras=cameras,
        crops=crops_around(draws, cameras, bodies, shapes, 64),
    )
    exact = rendered(draws, world, recipe.min_visible)
    visible = ((exact.body == 0) & exact.whole).flatten(1).sum(dim=1)
    share = visible / exact.whole.flatten(1).sum(dim=1)
    assert (share >= recipe.min_visible - 1e-6).all()
    assert (share < 0.97).float().mean() > 0.2
    hidden = exact.whole & (exact.body > 0)
    alone = traced(
        shapes, bodies, cameras, world.crops.rays_camera() @ cameras.camera_from_world[:, None]
    )
    assert (exact.depth_m < alone[:, 0])[hidden].all()


def test_what_hangs_in_front_touches_neither_object_nor_support() -> None:
    shapes = two_shapes()
    draws = Draws(CPU, 12)
    bodies = sampled_bodies(draws, shapes, PASTED, 60)
    toward = F.normalize(draws.directions((60,)).abs() * torch.tensor((-1.0, 1.0, 1.0)), dim=1)
    bodies = hung(draws, bodies, shapes, toward, 1.0)
    feet_m = bodies.feet_m(shapes)
    along = (feet_m[:, :2] * toward[:, None, None]).sum(dim=-1)
    lifted = feet_m[:, 1, :, 2].amin(dim=1) < 1e-6  # moved up, so no longer right in front
    assert (along[:, 1].amin(dim=1) > along[:, 0].amax(dim=1))[~lifted].all()
    assert feet_m[:, 1, :, 2].min() > -1e-6
    assert bodies.active[:, 1].all()


def test_noise_grows_with_the_square_of_the_distance() -> None:
    deviations = []
    for depth_m in (0.5, 1.0, 2.0):
        noisy = measured(Draws(CPU, 5), wall(depth_m), whole_image(), QUIET)
        deviations.append(float((noisy - depth_m)[noisy.isfinite()].std()))
    assert deviations[1] / deviations[0] == pytest.approx(4.0, rel=0.15)
    assert deviations[2] / deviations[1] == pytest.approx(4.0, rel=0.15)
    assert deviations[1] == pytest.approx(0.1 / 40.0, rel=0.15)


def test_disparity_comes_in_steps() -> None:
    recipe = replace(QUIET, coarse_share=1.0)
    noisy = measured(Draws(CPU, 6), wall(1.0), whole_image(), recipe)
    eighths = 8 * 40.0 / noisy[noisy.isfinite()]
    assert (eighths - eighths.round()).abs().max() < 0.01


def test_a_second_eye_misses_the_background_left_of_what_is_near() -> None:
    exact = wall(1.0, num=1)
    exact.depth_m[:, :, 20:30] = 0.5
    hidden = in_shadow(exact.depth_m, whole_image(1), torch.tensor(0.02).view(1, 1, 1))
    # 400 px * 0.02 m * (1 / 0.5 m - 1 / 1 m) = 8 px, the last of them just beside the edge
    assert hidden[0, 5].nonzero().flatten().tolist() == list(range(13, 20))


def test_surfaces_seen_edge_on_and_pixels_outside_of_the_image_have_no_reading() -> None:
    exact, crops = wall(1.0), whole_image()
    exact.cosine[:, :8] = 0.01
    crops.inside[:, :, 40:] = False
    depth_m = measured(Draws(CPU, 7), exact, crops, QUIET)
    assert depth_m[:, :8].isnan().all()
    assert depth_m[:, :, 40:].isnan().all()
    assert depth_m[:, 8:, :40].isfinite().all()


def test_masks_err_no_farther_than_they_may() -> None:
    recipe = MaskRecipe(ragged_px=(2.0, 3.0), grown_px=3.0, gross_share=0.5, gross_px=8.0)
    place = torch.arange(64) - 31.5
    disc = (place.square()[:, None] + place.square()) < 20.0**2
    drawn = masked(Draws(CPU, 8), disc.expand(40, 64, 64), recipe)
    size = 2 * GROSS_RADIUS + 1
    grown = F.max_pool2d(disc[None].float(), size, 1, GROSS_RADIUS)[0] > 0
    shrunk = F.max_pool2d(1.0 - disc[None].float(), size, 1, GROSS_RADIUS)[0] == 0
    assert not (drawn & ~grown).any()
    assert not (shrunk & ~drawn).any()
    changed = (drawn != disc).flatten(1).sum(dim=1)
    assert (changed > 30).float().mean() > 0.8
    bitten = masked(Draws(CPU, 9), disc.expand(40, 64, 64), replace(recipe, bitten_share=1.0))
    assert ((bitten & disc).flatten(1).sum(dim=1) >= MIN_LEFT * disc.sum()).all()


def test_shifted_maps_move_right_and_down() -> None:
    maps = torch.zeros(1, 8, 8)
    maps[0, 3, 4] = 1.0
    moved = shifted(maps, torch.tensor([[1, 2]]))
    assert moved.nonzero().tolist() == [[0, 4, 6]]


def test_planes_that_are_given_are_off_by_no_more_than_they_may() -> None:
    draws = Draws(CPU, 10)
    num = 400
    bodies = Bodies(
        shape=torch.zeros(num, 1, dtype=torch.long),
        rotation=torch.eye(3).expand(num, 1, 3, 3),
        position_m=torch.zeros(num, 1, 3),
        size_m=torch.full((num, 1), 0.2),
        active=torch.ones(num, 1, dtype=torch.bool),
    )
    cameras = sampled_cameras(draws, bodies, ISOLATED)
    recipe = PlaneRecipe(given_share=0.8, wrong_share=0.5)
    supported = torch.arange(num) % 10 > 0
    plane, up = known_planes(draws, cameras, supported, recipe)
    given = plane.any(dim=1)
    assert not (given & ~supported).any()
    assert given.sum() / supported.sum() == pytest.approx(0.8, abs=0.06)
    origin = cameras.points_camera(torch.zeros(num, 1, 3))[:, 0]
    height_m = ((plane[:, :3] * origin).sum(dim=1) + plane[:, 3])[given]
    assert height_m.abs().max() <= recipe.wrong_offset_m + 1e-5
    assert height_m.std() > 0.002
    cosine = (plane[:, :3] * cameras.camera_from_world[:, :, 2]).sum(dim=1)[given]
    assert cosine.clamp(max=1.0).acos().max() <= MAX_TILT_RAD + 1e-3
    torch.testing.assert_close(up[given], plane[given, :3])
    torch.testing.assert_close(up.norm(dim=1), torch.ones(num))


def test_cameras_see_the_object_near_where_they_look_and_keep_their_distance() -> None:
    shapes = two_shapes()
    draws = Draws(CPU, 11)
    bodies = sampled_bodies(draws, shapes, ISOLATED, 200)
    cameras = sampled_cameras(draws, bodies, ISOLATED)
    middle = cameras.points_camera(bodies.position_m[:, :1])[:, 0]
    low, high = ISOLATED.distance_m
    distance_m = middle.norm(dim=1)
    assert (distance_m > low - 1e-4).all()
    assert (distance_m < high + 1e-4).all()
    pixel = (cameras.matrix_px @ (middle / middle[:, 2:])[..., None])[:, :2, 0]
    assert ((pixel > 0) & (pixel < cameras.size_px)).all()
    rotation = cameras.camera_from_world
    torch.testing.assert_close(
        rotation @ rotation.mT, torch.eye(3).expand(200, 3, 3), atol=1e-5, rtol=0
    )
    assert (torch.linalg.det(rotation) > 0.99).all()
