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

"""The box around an object, and what every voxel of it is told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes import box, camera_from_world, can, placed, scene
from torch import Tensor

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import DepthSparseError
from sam3d_ros.objects.volume.box import (
    box_of,
    covering_matrix,
    points_in_camera,
    with_sure_plane,
)
from sam3d_ros.objects.volume.features import (
    CHANNELS,
    mirrored,
    volume_features,
    voxel_middles,
)
from sam3d_ros.objects.volume.model import carved
from sam3d_ros.objects.volume.prepare import prepare
from sam3d_ros.objects.volume.view import (
    TRUNCATION,
    VolumeBox,
    VolumeView,
    joined_boxes,
    joined_views,
)
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Observation

SIZE, FOCAL = 33, 60.0
MIDDLE = (SIZE - 1) / 2
LOOKING_DOWN = torch.tensor([[0.0, -np.cos(0.6), -np.sin(0.6)]])


def wall(depth_m: float, beside_m: float, up: Tensor = LOOKING_DOWN) -> VolumeView:
    """Return a square of the object at one depth, and something else around it."""
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    mask[:, 10:23, 10:23] = True
    return VolumeView(
        depth_m=torch.where(mask, depth_m, beside_m),
        mask=mask,
        matrix_px=torch.tensor([[[FOCAL, 0.0, MIDDLE], [0.0, FOCAL, MIDDLE], [0.0, 0.0, 1.0]]]),
        up=up.float(),
        plane=torch.zeros(1, 4),
    )


def level_box(depth_m: float, side_m: float = 0.4) -> VolumeBox:
    """Return a box whose x runs along the optical axis and whose middle is on it."""
    rotation = torch.tensor([[[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]])
    return VolumeBox(
        rotation=rotation,
        centre_m=torch.tensor([[0.0, 0.0, depth_m]]),
        side_m=torch.tensor([side_m]),
    )


def channel(features: Tensor, name: str) -> Tensor:
    return features[:, CHANNELS.index(name)]


@pytest.fixture(scope="module")
def observation() -> Observation:
    solids = [placed(box(0.10, 0.06, 0.12), 0.4, (0.0, 0.0, 0.0))]
    view = camera_from_world(np.radians(35), 0.8, azimuth_rad=0.3)
    (only,) = observe(scene(solids, view, noise=0.5).frame, SceneConfig()).observations
    return only


def test_distance_runs_along_the_depth_and_is_truncated() -> None:
    features = volume_features(wall(1.0, 3.0), level_box(1.0), 8)
    along = channel(features, "distance")[0, :, 4, 4]
    x_m = (torch.arange(8) + 0.5) / 8 * 0.4 - 0.2
    expected = (-x_m / (TRUNCATION * 0.4)).clamp(-1.0, 1.0)
    torch.testing.assert_close(along, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(channel(features, "masked_distance")[0, :, 4, 4], along)


def test_voxels_beside_the_mask_before_the_background_are_free_and_not_the_object_s() -> None:
    features = volume_features(wall(1.0, 3.0), level_box(1.0), 8)
    assert (channel(features, "distance")[0, :, 0] == 1.0).all()
    assert (channel(features, "mask")[0, :, 0] == 0.0).all()
    assert (carved(features)[0, :, 0] == 1.0).all()


def test_what_lies_behind_an_occluder_is_unknown_not_free() -> None:
    features = volume_features(wall(1.0, 0.5), level_box(1.0), 8)
    beside = channel(features, "distance")[0, :, 0]
    assert (beside == -1.0).all()


def test_pixels_without_depth_and_places_out_of_the_crop_are_not_valid() -> None:
    view = wall(1.0, float("nan"))
    features = volume_features(view, level_box(1.0), 8)
    assert (channel(features, "valid")[0, :, 0] == 0.0).all()
    assert (channel(features, "distance")[0, :, 0] == 0.0).all()
    assert channel(features, "valid")[0, :, 4, 4].all()
    wide = volume_features(view, level_box(1.0, 2.0), 8)
    assert (channel(wide, "valid")[0, 0, 0, 0] == 0.0).all()
    assert features.isfinite().all()


def test_the_surface_is_marked_where_it_was_measured_only() -> None:
    features = volume_features(wall(1.0, 1.0), level_box(1.0), 16)
    surface = channel(features, "surface")
    assert surface[0, 7:9, 8, 8].min() > 0.7
    assert surface[0, [0, 3, 12, 15], 8, 8].max() == 0.0
    assert surface[0, 7:9, 0].max() == 0.0  # of something else


def test_the_mirror_image_of_features_is_that_of_the_scene() -> None:
    view, box = wall(1.0, 3.0), level_box(1.0)
    view.mask[:, 10:16, 10:14] = False  # not the same on both sides
    view.depth_m[:, :, 20:] = 0.9
    in_a_mirror = replace(view, mask=view.mask.flip(2), depth_m=view.depth_m.flip(2))
    features = volume_features(view, box, 16)
    expected = volume_features(in_a_mirror, box, 16)
    assert (features - expected).abs().max() > 0.5
    torch.testing.assert_close(mirrored(features), expected, atol=1e-5, rtol=0.0)


def test_height_is_that_above_the_support() -> None:
    view = replace(wall(1.0, 3.0), plane=torch.tensor([[0.0, -1.0, 0.0, 0.1]]))
    features = volume_features(view, level_box(1.0), 8)
    z_m = (torch.arange(8) + 0.5) / 8 * 0.4 - 0.2
    expected = ((z_m + 0.1) / (4 * TRUNCATION * 0.4)).clamp(-1.0, 1.0)
    torch.testing.assert_close(channel(features, "height")[0, 4, 4], expected, atol=1e-5, rtol=0)
    assert channel(features, "has_plane").all()
    below = carved(features)[0, 4, 4, z_m < -0.13]
    assert (below > 0).all()


def test_no_plane_leaves_height_at_zero() -> None:
    features = volume_features(wall(1.0, 3.0), level_box(1.0), 8)
    assert not channel(features, "height").any()
    assert not channel(features, "has_plane").any()


def test_the_box_holds_all_that_is_visible_and_the_foot(observation: Observation) -> None:
    prepared = prepare(observation)
    laid = prepared.box
    points = torch.from_numpy(observation.object_points_camera).double()
    rotation, centre = laid.rotation[0].double(), laid.centre_m[0].double()
    inside = ((points - centre) @ rotation / laid.side_m.double()).abs().amax(dim=1) < 0.45
    assert inside.double().mean() > 0.99
    assert observation.support is not None
    floor = points_in_camera(laid, torch.tensor([[0.0, 0.0, -0.45]]))[0].double().numpy()
    assert observation.support.height_m(floor)[0] < 0.0
    assert 0.12 < float(laid.side_m) < 0.35


def test_the_box_is_upright_and_looks_away_from_the_camera(observation: Observation) -> None:
    laid = prepare(observation).box
    rotation = laid.rotation[0].double().numpy()
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(rotation) == pytest.approx(1.0, abs=1e-5)
    assert observation.support is not None
    np.testing.assert_allclose(rotation[:, 2], observation.support.normal_camera, atol=1e-5)
    assert rotation[:, 0] @ laid.centre_m[0].double().numpy() > 0


def test_a_camera_that_is_turned_sees_the_same_box() -> None:
    view = wall(1.0, 3.0)
    angle = 0.5
    cosine, sine = np.cos(angle), np.sin(angle)
    roll = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]).float()
    y, x = torch.meshgrid(*[torch.arange(SIZE) - MIDDLE] * 2, indexing="ij")
    back = torch.stack((x, y), dim=-1).float() @ roll[:2, :2]
    columns, rows = (back + MIDDLE).round().long().clamp(0, SIZE - 1).unbind(-1)
    turned = replace(
        view,
        depth_m=view.depth_m[:, rows, columns],
        mask=view.mask[:, rows, columns],
        up=view.up @ roll.T,
    )
    first, second = box_of(view), box_of(turned)
    torch.testing.assert_close(second.rotation, roll @ first.rotation, atol=0.02, rtol=0)
    torch.testing.assert_close(second.centre_m, first.centre_m @ roll.T, atol=0.01, rtol=0)
    torch.testing.assert_close(second.side_m, first.side_m, atol=0.02, rtol=0)


def test_a_leak_of_the_mask_onto_the_background_does_not_widen_the_box() -> None:
    view = wall(1.0, 3.0)
    leaking = view.mask.clone()
    leaking[:, 10:14, 23:27] = True
    clean, leaky = box_of(view), box_of(replace(view, mask=leaking))
    torch.testing.assert_close(leaky.side_m, clean.side_m)
    torch.testing.assert_close(leaky.centre_m, clean.centre_m)


def test_a_plane_far_below_an_object_is_not_its_support() -> None:
    height_m = 13 / FOCAL
    near = replace(wall(1.0, 3.0), plane=torch.tensor([[0.0, -1.0, 0.0, height_m / 2 + 0.02]]))
    far = replace(near, plane=torch.tensor([[0.0, -1.0, 0.0, 1.0]]))
    above = replace(near, plane=torch.tensor([[0.0, -1.0, 0.0, 0.0]]))
    assert with_sure_plane(near).plane.any()
    assert not with_sure_plane(far).plane.any()
    assert not with_sure_plane(above).plane.any()


def test_a_batch_says_what_singles_do(observation: Observation) -> None:
    other = wall(1.0, 3.0)
    one = prepare(observation, SIZE)
    views = joined_views([one.view, other])
    boxes = box_of(views)
    torch.testing.assert_close(boxes.centre_m[:1], one.box.centre_m)
    both = volume_features(views, joined_boxes([one.box, level_box(1.0)]), 8)
    torch.testing.assert_close(both[:1], volume_features(one.view, one.box, 8))
    torch.testing.assert_close(both[1:], volume_features(other, level_box(1.0), 8))


def test_the_crop_shows_the_whole_box_and_the_pixels_of_the_image(
    observation: Observation,
) -> None:
    prepared = prepare(observation)
    corners = points_in_camera(prepared.box, torch.cartesian_prod(*[torch.tensor([-0.5, 0.5])] * 3))
    pixels = (corners / corners[..., 2:] @ prepared.view.matrix_px.mT)[..., :2]
    size = prepared.view.mask.shape[-1]
    assert pixels.min() > -0.1 * size
    assert pixels.max() < 1.1 * size
    whole = torch.from_numpy(observation.camera.matrix_px)[None].float()
    matrix = covering_matrix(prepared.box, whole, size)
    pixels = (corners / corners[..., 2:] @ matrix.mT)[..., :2]
    assert pixels.min() >= -0.5
    assert pixels.max() <= size - 0.5
    share = float(prepared.view.mask.sum()) / size**2
    assert 0.03 < share < 0.5


def test_an_object_without_depth_is_refused(observation: Observation) -> None:
    blind = replace(observation, points_camera=np.full_like(observation.points_camera, np.nan))
    with pytest.raises(DepthSparseError, match="needs at least 30 points"):
        prepare(blind)


def test_a_measured_surface_lies_at_distance_zero() -> None:
    solids = [placed(can(0.04, 0.10), 0.0, (0.0, 0.0, 0.0))]
    view = camera_from_world(np.radians(35), 0.8)
    (seen,) = observe(scene(solids, view, noise=0.0).frame, SceneConfig()).observations
    prepared = prepare(seen)
    features = volume_features(prepared.view, prepared.box, 32)
    points = points_in_camera(prepared.box, voxel_middles(32, torch.device("cpu")))[0]
    near = channel(features, "surface").flatten() > 0.9
    radius = view.inverse().apply(points[near].double().numpy())
    off_axis = np.hypot(radius[:, 0], radius[:, 1])
    on_side = np.abs(off_axis - 0.04) < 0.004
    on_top = np.abs(radius[:, 2] - 0.10) < 0.004
    assert near.sum() > 50
    assert (on_side | on_top).mean() > 0.9
