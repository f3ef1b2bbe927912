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

"""Masks that are too wide all around are narrowed; those that are right stay as they are."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import VGA, Scene, box, camera_from_world, can, placed, scene

from sam3d_ros.config import SceneConfig
from sam3d_ros.scene.margins import NARROWED, without_margin
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Bools, Camera, DepthImage, Floats, Frame, Observation

VIEW = camera_from_world(np.radians(35), 0.9)


@pytest.fixture(scope="module")
def standing() -> Scene:
    return scene([can(0.04, 0.1)], VIEW, noise=1.0)


@pytest.fixture(scope="module")
def empty_table() -> Floats:
    """Return the depth without the can."""
    frame = scene([placed(can(0.04, 0.1), 0.0, (0.0, 0.0, -5.0))], VIEW, noise=1.0).frame
    assert frame.depth is not None
    return frame.depth.depth_m


def resized(mask: Bools, by_px: int) -> Bools:
    """Grow a mask, or shrink it."""
    change = cv2.dilate if by_px > 0 else cv2.erode
    changed: Bools = change(mask.astype(np.uint8), np.ones((2 * abs(by_px) + 1,) * 2)) > 0
    return changed


def seen(frame: Frame, mask: Bools, depth_m: Floats | None = None) -> Observation:
    """Return what is observed of one mask, with other depth if that is given."""
    if depth_m is not None:
        frame = replace(frame, depth=DepthImage(depth_m=depth_m.astype(np.float32), camera=VGA))
    frame = replace(frame, masks=(replace(frame.masks[0], mask=mask),))
    (observation,) = observe(frame, SceneConfig()).observations
    return observation


@pytest.mark.parametrize("width_px", [2, 3, 6, 8])
def test_a_mask_that_is_too_wide_all_around_is_narrowed_and_says_so(
    standing: Scene, width_px: int
) -> None:
    true = standing.frame.masks[0].mask
    observation = seen(standing.frame, resized(true, width_px))
    assert (observation.silhouette & ~true).sum() < 0.06 * true.sum()
    assert (observation.silhouette & true).sum() > 0.97 * true.sum()
    assert observation.notes == (NARROWED,)


def test_a_neighbour_is_hidden_by_what_is_left_of_a_wide_mask() -> None:
    two = scene([can(0.04, 0.1), placed(can(0.04, 0.1), 0.0, (0.0, 0.1, 0.0))], VIEW)
    wide, other = resized(two.frame.masks[0].mask, 6), two.frame.masks[1].mask
    masks = (replace(two.frame.masks[0], mask=wide), two.frame.masks[1])
    first, second = observe(replace(two.frame, masks=masks), SceneConfig()).observations
    np.testing.assert_array_equal(second.others, first.silhouette)
    np.testing.assert_array_equal(second.silhouette, other)


def test_a_mask_of_too_many_pixels_at_one_side_stays_as_it_is(standing: Scene) -> None:
    shifted = np.roll(standing.frame.masks[0].mask, 3, axis=1)
    observation = seen(standing.frame, shifted)
    np.testing.assert_array_equal(observation.silhouette, shifted)
    assert observation.notes == ()


def test_a_mask_of_what_is_no_thicker_than_the_noise_stays_as_it_is() -> None:
    frame = scene([box(0.11, 0.16, 0.001)], VIEW, noise=1.0).frame
    np.testing.assert_array_equal(seen(frame, frame.masks[0].mask).silhouette, frame.masks[0].mask)


@pytest.mark.parametrize("rim_px", [4, 8])
@pytest.mark.parametrize("share", [0.1, 0.2])
def test_specks_of_the_table_at_a_rim_without_readings_narrow_nothing(
    standing: Scene, empty_table: Floats, rim_px: int, share: float
) -> None:
    true = standing.frame.masks[0].mask
    rim = true & ~resized(true, -rim_px)
    coarse = np.random.default_rng(1).random((120, 160))
    speck = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_NEAREST) < share
    assert standing.frame.depth is not None
    depth_m = np.where(rim, np.nan, standing.frame.depth.depth_m)
    depth_m[rim & speck] = empty_table[rim & speck]
    np.testing.assert_array_equal(seen(standing.frame, true, depth_m).silhouette, true)


def test_what_is_seen_through_the_walls_of_a_glass_narrows_nothing(
    standing: Scene, empty_table: Floats
) -> None:
    true = standing.frame.masks[0].mask
    core = resized(true, -10)
    assert standing.frame.depth is not None
    depth_m = np.where(true & ~core, empty_table, standing.frame.depth.depth_m)
    np.testing.assert_array_equal(seen(standing.frame, true, depth_m).silhouette, true)


@pytest.mark.parametrize("step", [2, 4])
@pytest.mark.parametrize("pitch_deg", [15, 25, 50])
def test_right_masks_of_coarse_cameras_stay_as_they_are(step: int, pitch_deg: float) -> None:
    view = camera_from_world(np.radians(pitch_deg), 0.6)
    frame = scene([box(0.06, 0.2, 0.08)], view, noise=1.0).frame
    assert frame.depth is not None
    scale = np.array([[1 / step], [1 / step], [1.0]])
    camera = Camera(
        width=VGA.width // step, height=VGA.height // step, matrix_px=VGA.matrix_px * scale
    )
    depth = DepthImage(depth_m=frame.depth.depth_m[::step, ::step], camera=camera)
    true = frame.masks[0].mask[::step, ::step]
    coarse = replace(
        frame,
        rgb=frame.rgb[::step, ::step],
        camera=camera,
        depth=depth,
        masks=(replace(frame.masks[0], mask=true),),
    )
    np.testing.assert_array_equal(seen(coarse, true).silhouette, true)


def test_a_mask_without_any_outline_stays_as_it_is() -> None:
    full = np.ones((40, 60), dtype=bool)
    points = np.ones((40, 60, 3), dtype=np.float32)
    assert without_margin(full, full, points, None) is full
