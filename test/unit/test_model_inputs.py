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

"""Model inputs obey geometry, and what cannot be prepared says why."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sam3d_ros.errors import (
    DepthSparseError,
    EncodingError,
    MaskEmptyError,
    MaskSizeError,
    ShapeError,
)
from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.objects.batches import stack_objects
from sam3d_ros.objects.crop import Box, cropped, object_box, squared
from sam3d_ros.objects.inputs import PreparedObjects
from sam3d_ros.objects.normalise import normalised, scene_normaliser
from sam3d_ros.objects.preprocess import (
    observation_normaliser,
    prepare_observation,
    without_points,
)
from sam3d_ros.objects.reference_inputs import (
    points_p3d_from_depth_model,
    prepare_reference,
    rgba_with_mask,
)
from sam3d_ros.structures import Bools, Camera, Floats, InstanceMask, Observation

SIDE = 28
WIDTH, HEIGHT = 40, 31
CAMERA = Camera(
    width=WIDTH,
    height=HEIGHT,
    matrix_px=np.array([[50.0, 0.0, 19.5], [0.0, 50.0, 15.0], [0.0, 0.0, 1.0]]),
)


def observed(mask: Bools | None = None, points_camera: Floats | None = None) -> Observation:
    """Return a bumpy wall with a hole in its depth, and a mask that is off the middle."""
    rng = np.random.default_rng(0)
    if mask is None:
        mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
        mask[4:18, 20:39] = True
    if points_camera is None:
        depth_m = rng.uniform(0.8, 1.4, (HEIGHT, WIDTH, 1)).astype(np.float32)
        points_camera = pixel_rays(CAMERA) * depth_m
        points_camera[6:10, 15:25] = np.nan
    return Observation(
        instance=InstanceMask(instance_id=7, mask=mask),
        rgb=rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32) / np.float32(255),
        mask=np.zeros_like(mask),
        silhouette=mask,
        points_camera=points_camera,
        camera=CAMERA,
        others=np.zeros_like(mask),
    )


def marked(*pixels: tuple[int, int]) -> Bools:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for row, column in pixels:
        mask[row, column] = True
    return mask


def assert_same_conditions(first: PreparedObjects, second: PreparedObjects, atol: float) -> None:
    for name in ("image", "rgb_image", "mask", "rgb_image_mask", "pointmap", "rgb_pointmap"):
        torch.testing.assert_close(
            getattr(first.conditions, name),
            getattr(second.conditions, name),
            atol=atol,
            rtol=0,
            equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_an_observation_gives_what_the_reference_gets_of_the_same_view() -> None:
    observation = observed()
    rgb = np.round(observation.rgb * 255).astype(np.uint8)
    points_camera = np.nan_to_num(observation.points_camera, nan=np.inf)

    ours = prepare_observation(observation, SIDE)
    theirs = prepare_reference(
        rgba_with_mask(rgb, observation.silhouette),
        points_p3d_from_depth_model(torch.from_numpy(points_camera)),
        SIDE,
    )

    assert_same_conditions(ours, theirs, atol=0)
    assert torch.equal(ours.normaliser.shift_m, theirs.normaliser.shift_m)
    assert torch.equal(ours.normaliser.scale_m, theirs.normaliser.scale_m)


def test_mirrored_and_read_only_images_are_taken_like_others() -> None:
    plain, rgb = observed(), observed().rgb.copy()
    rgb.flags.writeable = False
    mirrored = replace(
        plain,
        rgb=rgb[:, ::-1],
        silhouette=plain.silhouette[:, ::-1],
        points_camera=plain.points_camera[:, ::-1],
    )
    copied = replace(
        plain,
        rgb=mirrored.rgb.copy(),
        silhouette=mirrored.silhouette.copy(),
        points_camera=mirrored.points_camera.copy(),
    )

    assert_same_conditions(
        prepare_observation(mirrored, SIDE), prepare_observation(copied, SIDE), atol=0
    )


def test_metres_scale_the_normaliser_and_leave_the_inputs_alone() -> None:
    observation = observed()
    larger = replace(observation, points_camera=observation.points_camera * np.float32(2.5))

    once, scaled = prepare_observation(observation, SIDE), prepare_observation(larger, SIDE)

    assert_same_conditions(once, scaled, atol=1e-5)
    torch.testing.assert_close(scaled.normaliser.scale_m, 2.5 * once.normaliser.scale_m)
    torch.testing.assert_close(scaled.normaliser.shift_m, 2.5 * once.normaliser.shift_m)


def test_moving_the_scene_moves_the_shift_and_leaves_the_inputs_alone() -> None:
    observation = observed()
    moved_by = np.array([0.3, -0.2, 0.5], dtype=np.float32)
    moved = replace(observation, points_camera=observation.points_camera + moved_by)

    once, after = prepare_observation(observation, SIDE), prepare_observation(moved, SIDE)

    known = once.conditions.pointmap.isfinite() & (once.conditions.pointmap != 0)
    torch.testing.assert_close(
        after.conditions.pointmap[known], once.conditions.pointmap[known], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        after.normaliser.shift_m - once.normaliser.shift_m, torch.tensor([[-0.3, 0.2, 0.5]])
    )


def test_the_middle_point_of_the_object_is_the_origin() -> None:
    observation = observed()
    normaliser = observation_normaliser(observation)
    points = torch.from_numpy(observation.points_camera) * torch.tensor([-1.0, -1.0, 1.0])
    inside = normalised(points.movedim(-1, 0)[None], normaliser)[0][:, observation.silhouette]

    assert torch.equal(inside.nanmedian(dim=1).values, torch.zeros(3))


def test_measured_gaps_stay_unknown() -> None:
    conditions = prepare_observation(observed(), SIDE).conditions

    assert conditions.pointmap.isnan().any()
    assert conditions.rgb_pointmap.isnan().any()
    assert torch.equal(conditions.pointmap.isnan().any(1), conditions.pointmap.isnan().all(1))


def test_what_lies_beyond_the_image_is_black_unmasked_and_at_the_origin() -> None:
    box = Box(-2, 1, 6, 9)

    crop = cropped(torch.ones(3, 8, 8), box, square_fill=torch.nan)

    assert crop.shape == (3, 8, 8)
    assert (crop[:, :, :2] == 0).all()
    assert (crop[:, 7] == 0).all()
    assert (crop[:, :7, 2:] == 1).all()


def test_only_the_line_that_a_square_lacks_takes_the_fill() -> None:
    crop = cropped(torch.ones(3, 8, 8), Box(1, 1, 7, 6), square_fill=torch.nan)

    assert crop.shape == (3, 6, 6)
    assert crop[:, 5].isnan().all()
    assert (crop[:, :5] == 1).all()


def test_an_uneven_margin_of_a_square_goes_after() -> None:
    assert squared(torch.ones(1, 2, 5))[0].sum(dim=1).tolist() == [0, 5, 5, 0, 0]


def test_a_box_rounds_towards_zero() -> None:
    mask = torch.zeros(1, 30, 30)
    mask[0, 1:22, 10:15] = 1  # the box is 24 pixels around (12, 11): it begins at row -1
    assert object_box(mask) == Box(0, -1, 24, 23)
    mask[0, 22] = mask[0, 21]  # 25 pixels around (12, 11.5): from row -0.5
    assert object_box(mask) == Box(0, 0, 24, 23)


def test_the_lower_one_of_two_middle_points_counts() -> None:
    points = torch.zeros(3, 2, 2)
    points[0] = torch.tensor([[1.0, 2.0], [3.0, 7.0]])
    normaliser = scene_normaliser(points, torch.ones(1, 2, 2))

    assert normaliser.shift_m.tolist() == [[2.0, 0.0, 0.0]]
    assert normaliser.scale_m.tolist() == [1.0]


def test_the_reference_takes_a_map_without_the_object_as_it_is() -> None:
    points = torch.full((3, HEIGHT, WIDTH), torch.nan)
    points[:, :3] = 2.0
    rgba = rgba_with_mask(np.zeros((HEIGHT, WIDTH, 3), np.uint8), observed().silhouette)

    prepared = prepare_reference(rgba, points, SIDE)

    assert prepared.normaliser.scale_m.tolist() == [1.0]
    assert prepared.normaliser.shift_m.tolist() == [[0.0, 0.0, 0.0]]
    assert (prepared.conditions.rgb_pointmap == 2.0).any()


def test_objects_of_a_batch_are_those_alone() -> None:
    objects = [
        prepare_observation(observed(), SIDE),
        prepare_observation(observed(mask=marked((5, 5), (9, 12), (20, 9))), SIDE),
    ]

    stacked = stack_objects([stack_objects(objects), objects[1]])

    for index, single in enumerate((*objects, objects[1])):
        one = slice(index, index + 1)
        for name in ("image", "mask", "rgb_pointmap"):
            torch.testing.assert_close(
                getattr(stacked.conditions, name)[one],
                getattr(single.conditions, name),
                equal_nan=True,
                atol=0,
                rtol=0,
            )
        assert torch.equal(stacked.normaliser.shift_m[one], single.normaliser.shift_m)
        assert torch.equal(stacked.normaliser.scale_m[one], single.normaliser.scale_m)


def test_objects_that_do_not_fit_make_no_batch() -> None:
    first = prepare_observation(observed(), SIDE)
    pointless = replace(first, conditions=without_points(first.conditions))

    with pytest.raises(ShapeError, match="one or more, got none"):
        stack_objects([])
    with pytest.raises(ShapeError, match=r"one side in pixels, got \[14, 28\]"):
        stack_objects([first, prepare_observation(observed(), 14)])
    with pytest.raises(ShapeError, match="all have point maps or none, got 1 of 2"):
        stack_objects([first, pointless])


def test_a_view_without_any_depth_says_what_to_do() -> None:
    nothing = np.full((HEIGHT, WIDTH, 3), np.nan, dtype=np.float32)

    with pytest.raises(DepthSparseError, match=r"mask 7 must have known points.* 0 at its 266 "):
        prepare_observation(observed(points_camera=nothing), SIDE)


def test_an_object_in_a_gap_of_the_depth_says_how_much_is_known_elsewhere() -> None:
    points = observed().points_camera.copy()
    points[observed().silhouette] = np.nan

    with pytest.raises(DepthSparseError, match="0 at its 266 pixels, with 954 in the whole view"):
        prepare_observation(observed(points_camera=points), SIDE)


def test_points_at_one_place_have_no_scale() -> None:
    points = np.full((HEIGHT, WIDTH, 3), np.nan, dtype=np.float32)
    points[10, 30] = 1.0

    with pytest.raises(DepthSparseError, match="more than one place, has 1 at"):
        prepare_observation(observed(points_camera=points), SIDE)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(MaskEmptyError, match="no pixel set among 40x31; check that the mask"):
        prepare_observation(observed(mask=marked()), SIDE)


@pytest.mark.parametrize(
    ("pixels", "span"),
    [(((3, 3),), "1x1"), (((3, 3), (3, 20)), "18x1"), (((3, 3), (20, 4)), "2x18")],
)
def test_a_mask_too_thin_to_crop_is_refused(pixels: tuple[tuple[int, int], ...], span: str) -> None:
    with pytest.raises(MaskEmptyError, match=f"at least 3 pixels wide and high, .* span {span};"):
        prepare_observation(observed(mask=marked(*pixels)), SIDE)


def test_a_mask_of_another_size_is_refused() -> None:
    rgb = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)

    with pytest.raises(MaskSizeError, match=r"size of its image, 40x31, has shape \(31, 20\); use"):
        rgba_with_mask(rgb, np.zeros((HEIGHT, WIDTH // 2), dtype=bool))
    with pytest.raises(ShapeError, match="silhouette must have shape"):
        replace(observed(), silhouette=np.zeros((HEIGHT, WIDTH // 2), dtype=bool))


@pytest.mark.parametrize(
    ("rgba", "error", "match"),
    [
        (np.zeros((8, 8, 3), np.uint8), ShapeError, r"shape \(H, W, 4\), got \(8, 8, 3\); add"),
        (np.zeros((8, 8), np.uint8), ShapeError, r"got \(8, 8\)"),
        (np.zeros((8, 8, 4), np.float32), EncodingError, "type uint8, 0 to 255, got float32;"),
    ],
)
def test_an_image_of_another_kind_is_refused(
    rgba: np.ndarray, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        prepare_reference(rgba, torch.ones(3, 8, 8), SIDE)


def test_a_point_map_of_another_layout_is_refused() -> None:
    rgba = rgba_with_mask(np.zeros((HEIGHT, WIDTH, 3), np.uint8), observed().silhouette)

    with pytest.raises(ShapeError, match=r"points_p3d must have shape \(3, h, w\)"):
        prepare_reference(rgba, torch.ones(HEIGHT, WIDTH, 3), SIDE)
