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


"""Samples of the procedural source: views and truth belong together, whatever came before."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.objects.volume.box import box_of
from sam3d_ros.objects.volume.prepare import prepare
from sam3d_ros.objects.volume.view import TRUNCATION, VolumeBox, VolumeView
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.scenes.observing import observation_of, truth_mesh
from sam3d_ros.training.scenes.pool import PoolSize
from sam3d_ros.training.scenes.recipes import (
    FULL_SENSOR,
    PASTED,
    RECIPES,
    MaskRecipe,
    PlaneRecipe,
    SceneRecipe,
    SensorRecipe,
)
from sam3d_ros.training.scenes.source import MAX_OUTSIDE, ProceduralSource, SampleSize

SOLIDS = {"can": 1.0, "carton": 1.0, "fruit": 1.0}
POOL = PoolSize(group=2, window=2, views=2, resolution=48)
SMALL = SampleSize(crop_px=64, resolution=32, pool=POOL)
EXACT = replace(
    PASTED,
    sensor=SensorRecipe(
        disparity_noise_px=(1e-6, 1e-5),
        constant_noise_m=(0.0, 0.0),
        focal_baseline=(1e3, 1e4),  # so that no step of disparity is seen
        bias_sigma=0.0,
        ripple_m=0.0,
        flying_share=(0.0, 0.0),
        fattening_share=0.0,
        hole_share=(0.0, 0.0),
    ),
    mask=MaskRecipe(ragged_px=(0.0, 0.0), grown_px=0.0, shift_px=0.0),
    plane=PlaneRecipe(offset_sigma_m=0.0, tilt_sigma_rad=0.0, wrong_share=0.0),
)


def sample(recipe: SceneRecipe, num: int = 8, size: SampleSize = SMALL) -> TrainingBatch:
    """Return one batch of simple solids."""
    return ProceduralSource(recipe, 5, "cpu", SOLIDS, size).batch(0, num)


@pytest.fixture(scope="module")
def exact() -> TrainingBatch:
    """Views without any error, and fine targets."""
    return sample(EXACT, size=SampleSize(crop_px=96, resolution=64, pool=POOL))


@pytest.fixture(scope="module")
def hard() -> TrainingBatch:
    """Views with all errors there are."""
    return sample(FULL_SENSOR, 16)


def points_in_box(batch: TrainingBatch) -> Tensor:
    """Return what the pixels show, in the boxes, ``(B, P, P, 3)``."""
    view, box = batch.view, batch.box
    size = view.mask.shape[-1]
    v, u = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    pixels = torch.stack((u, v, torch.ones_like(u)), dim=-1).float()
    rays = torch.einsum("bij,hwj->bhwi", torch.linalg.inv(view.matrix_px), pixels)
    offset = rays * view.depth_m[..., None] - box.centre_m[:, None, None]
    return torch.einsum("bji,bhwj->bhwi", box.rotation, offset) / box.side_m.view(-1, 1, 1, 1)


def at_points(distance: Tensor, points: Tensor) -> Tensor:
    """Return distances ``(n,)``, in sides of the box, at points ``(n, 3)`` of one box."""
    grid = 2.0 * points.flip(-1)[None, None, None]
    sampled = F.grid_sample(distance[None, None], grid, padding_mode="border", align_corners=False)
    return sampled.flatten() * TRUNCATION


def same(first: TrainingBatch, second: TrainingBatch) -> bool:
    """Tell whether two batches are equal, bit by bit."""

    def equal(one: object, other: object) -> bool:
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return torch.equal(one.nan_to_num(), other.nan_to_num())
        if isinstance(one, VolumeView | VolumeBox):
            return all(equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
        return one == other

    return all(equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))


def test_exact_depth_under_the_mask_lies_on_the_zero_level_of_the_target(
    exact: TrainingBatch,
) -> None:
    points = points_in_box(exact)
    for index, mask in enumerate(exact.view.mask):
        shown = mask & exact.view.depth_m[index].isfinite()
        off = at_points(exact.distance[index], points[index][shown]).abs()
        # Readings are of the nearest pixel of the image: at the rim the surface is seen askew.
        assert off.median() < 0.25 / 64, (index, off.median() * 64)
        assert off.quantile(0.9) < 1.5 / 64, (index, off.quantile(0.9) * 64)


def test_exact_depth_outside_the_mask_never_lies_inside_of_the_object(
    exact: TrainingBatch,
) -> None:
    points = points_in_box(exact)
    for index, mask in enumerate(exact.view.mask):
        within = (points[index].abs() < 0.5).all(dim=-1)
        others = ~mask & exact.view.depth_m[index].isfinite() & within
        assert at_points(exact.distance[index], points[index][others]).quantile(0.02) > -1.0 / 64


def test_no_object_reaches_far_out_of_its_box(hard: TrainingBatch) -> None:
    sides = torch.tensor((-0.5, 0.5))
    corners = torch.cartesian_prod(sides, sides, sides) * hard.extent[:, None]
    placed = corners @ hard.box_rotation_object.mT + hard.box_centre_object[:, None]
    middle = placed.mean(dim=1).abs().amax(dim=1)
    assert (middle < 0.5).all()
    border = hard.distance.clone()
    border[:, 1:-1, 1:-1, 1:-1] = 1.0
    touches = (border < 0).flatten(1).any(dim=1)
    assert touches.float().mean() <= 0.2  # of sixteen; 2 to 4 % of many
    assert MAX_OUTSIDE < 0.05


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_everything_is_finite_but_depth_that_is_not_known(recipe: SceneRecipe) -> None:
    batch = sample(recipe, 4)
    known = batch.view.depth_m[batch.view.depth_m.isfinite()]
    assert ((known > 0.05) & (known < 6.5)).all()
    assert not batch.view.depth_m.isinf().any()
    for values in (batch.rgb, batch.distance, batch.box.rotation, batch.box.centre_m, batch.extent):
        assert values.isfinite().all()
    assert batch.distance.abs().max() <= 1.0
    assert (batch.distance < 0).flatten(1).any(dim=1).all()
    assert (batch.rgb >= 0).all()
    assert (batch.rgb <= 1).all()
    torch.testing.assert_close(batch.view.up.norm(dim=1), torch.ones(4))
    length = batch.view.plane[:, :3].norm(dim=1)
    assert ((length - 1).abs() < 1e-4).logical_or(length == 0).all()
    identity = torch.eye(3).expand(4, 3, 3)
    rotation = batch.box_rotation_object
    torch.testing.assert_close(rotation @ rotation.mT, identity, atol=1e-4, rtol=0)


def test_the_box_is_what_box_of_makes_of_the_view(hard: TrainingBatch) -> None:
    box = box_of(hard.view)
    torch.testing.assert_close(box.centre_m, hard.box.centre_m)
    torch.testing.assert_close(box.side_m, hard.box.side_m)


def test_a_batch_depends_on_seed_step_and_size_alone() -> None:
    first = ProceduralSource(PASTED, 3, "cpu", SOLIDS, SMALL)
    earlier, later = first.batch(0, 4), first.batch(3, 4)
    assert not same(earlier, later)
    again = ProceduralSource(PASTED, 3, "cpu", SOLIDS, SMALL)
    assert same(again.batch(3, 4), later)  # without those between, and before the first
    assert same(again.batch(0, 4), earlier)
    assert set(earlier.seeds) != set(later.seeds)  # the window has moved on
    assert not same(ProceduralSource(PASTED, 4, "cpu", SOLIDS, SMALL).batch(0, 4), earlier)


def test_a_true_mesh_is_the_zero_level_of_the_target(exact: TrainingBatch) -> None:
    for index in range(3):
        mesh = truth_mesh(exact, index)
        rotation, centre = exact.box.rotation[index], exact.box.centre_m[index]
        points = (torch.from_numpy(mesh.vertices) - centre) @ rotation / exact.box.side_m[index]
        within = points[(points.abs() < 0.45).all(dim=1)]
        assert len(within) > 0.5 * len(points)
        assert at_points(exact.distance[index], within).abs().quantile(0.95) < 0.7 / 64


def test_an_observation_leads_back_to_the_box_of_its_sample(exact: TrainingBatch) -> None:
    for index in range(4):
        observation = observation_of(exact, index)
        box = box_of(prepare(observation).view)
        side_m = float(exact.box.side_m[index])
        assert float(box.side_m[0]) == pytest.approx(side_m, rel=0.05)
        off_m = (box.centre_m[0] - exact.box.centre_m[index]).norm()
        assert float(off_m) < 0.05 * side_m
        assert np.array_equal(observation.silhouette, exact.view.mask[index].numpy())


def test_a_plane_that_is_given_is_where_objects_stand(exact: TrainingBatch) -> None:
    given = exact.view.plane.any(dim=1)
    assert given.sum() >= 4
    torch.testing.assert_close(exact.view.up[given], exact.view.plane[given, :3])
    for index in given.nonzero().flatten().tolist():
        mesh = torch.from_numpy(truth_mesh(exact, index).vertices)
        plane = exact.view.plane[index]
        height_m = mesh @ plane[:3] + plane[3]
        assert abs(float(height_m.min())) < 0.02 * float(exact.box.side_m[index])
