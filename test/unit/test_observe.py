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

"""From frame to observations: what belongs to an object, and what is wrong with the others."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import VGA, Scene, bowl, box, camera_from_world, can, placed, scene

from sam3d_ros.config import MasksConfig, SceneConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import (
    Bools,
    Camera,
    DepthImage,
    Frame,
    ObjectFlag,
    Observation,
    PointCloud,
    ScaleSource,
    Similarity,
)

VIEW = camera_from_world(np.radians(35), 0.9)


@pytest.fixture(scope="module")
def two() -> Scene:
    return scene([box(0.08, 0.06, 0.12), placed(can(0.04, 0.1), 0.0, (0.0, 0.2, 0.0))], VIEW)


def with_masks(frame: Frame, *masks: Bools) -> Frame:
    instances = [
        replace(frame.masks[0], instance_id=index, mask=mask)
        for index, mask in enumerate(masks, start=1)
    ]
    return replace(frame, masks=tuple(instances))


def with_depth(frame: Frame, depth_m: np.ndarray) -> Frame:
    return replace(frame, depth=DepthImage(depth_m=depth_m.astype(np.float32), camera=VGA))


def only(frame: Frame) -> Observation:
    observed = observe(frame, SceneConfig())
    assert observed.failures == ()
    return observed.observations[0]


def grown(mask: Bools, radius_px: int) -> Bools:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * radius_px + 1,) * 2)) > 0


def test_every_mask_becomes_an_observation_with_the_support(two: Scene) -> None:
    observed = observe(two.frame, SceneConfig())
    assert [seen.instance.instance_id for seen in observed.observations] == [1, 2]
    for seen, mask in zip(observed.observations, two.frame.masks, strict=True):
        assert seen.support is observed.support is not None
        assert seen.scale_source == ScaleSource.DEPTH
        np.testing.assert_array_equal(seen.silhouette, mask.mask)
        assert not (seen.mask & ~seen.silhouette).any()
        assert seen.mask.sum() > 0.85 * seen.silhouette.sum()
    np.testing.assert_array_equal(observed.observations[0].others, two.frame.masks[1].mask)


def test_an_empty_mask_fails_alone(two: Scene) -> None:
    frame = with_masks(two.frame, np.zeros((480, 640), dtype=bool), two.frame.masks[1].mask)
    observed = observe(frame, SceneConfig())
    assert [failure.code for failure in observed.failures] == [ReportCode.MASK_EMPTY]
    assert "at least 400 pixels, has 0" in observed.failures[0].message
    assert len(observed.observations) == 1


def test_a_mask_of_the_whole_image_fails_alone(two: Scene) -> None:
    frame = with_masks(two.frame, np.ones((480, 640), dtype=bool), two.frame.masks[1].mask)
    observed = observe(frame, SceneConfig())
    assert [failure.code for failure in observed.failures] == [ReportCode.BAD_INPUT]
    assert "covers all of 640x480 pixels" in observed.failures[0].message
    assert [seen.instance.instance_id for seen in observed.observations] == [2]


def test_a_mask_without_depth_fails_alone(two: Scene) -> None:
    assert two.frame.depth is not None
    depth_m = np.where(two.frame.masks[0].mask, np.nan, two.frame.depth.depth_m)
    observed = observe(with_depth(two.frame, depth_m), SceneConfig())
    assert [failure.code for failure in observed.failures] == [ReportCode.DEPTH_SPARSE]
    assert [seen.instance.instance_id for seen in observed.observations] == [2]


def test_a_frame_without_any_depth_gives_only_failures(two: Scene) -> None:
    observed = observe(replace(two.frame, depth=None), SceneConfig())
    assert {failure.code for failure in observed.failures} == {ReportCode.DEPTH_SPARSE}
    assert "neither a depth image nor points" in observed.failures[0].message
    assert observed.support is None


@pytest.mark.parametrize(
    ("factor", "code", "median"),
    [
        (1000.0, ReportCode.DEPTH_UNIT, "900"),
        (1e-3, ReportCode.DEPTH_UNIT, "0.0009"),
        (20.0, ReportCode.DEPTH_SPARSE, "18"),
    ],
)
def test_readings_out_of_range_are_named_with_the_range(
    two: Scene, factor: float, code: ReportCode, median: str
) -> None:
    depth_m = np.full((480, 640), 0.9 * factor)
    observed = observe(with_depth(two.frame, depth_m), SceneConfig())
    assert [failure.code for failure in observed.failures] == [code, code]
    for failure in observed.failures:
        assert "too few readings of 0.1 to 10 m" in failure.message
        assert f"the median of all that the frame has is {median} m" in failure.message


def test_an_object_without_readings_in_a_frame_within_range_says_nothing_of_units(
    two: Scene,
) -> None:
    assert two.frame.depth is not None
    depth_m = np.where(two.frame.masks[0].mask, 30.0, two.frame.depth.depth_m)
    (failure,) = observe(with_depth(two.frame, depth_m), SceneConfig()).failures
    assert failure.code == ReportCode.DEPTH_SPARSE
    assert "registered to the image" in failure.message


def test_a_sparse_grid_of_readings_is_enough(two: Scene) -> None:
    assert two.frame.depth is not None
    sparse = np.full((480, 640), np.nan)
    sparse[::5, ::5] = two.frame.depth.depth_m[::5, ::5]
    assert len(observe(with_depth(two.frame, sparse), SceneConfig()).observations) == 2


def test_a_mask_that_leaks_onto_the_table_keeps_only_the_object(two: Scene) -> None:
    true = two.frame.masks[0].mask
    seen = only(with_masks(two.frame, grown(true, 8)))
    assert (seen.mask & ~true).sum() < 0.02 * true.sum()
    assert (seen.mask & true).sum() > 0.85 * true.sum()


def test_table_seen_between_unknown_pixels_is_not_the_object(two: Scene) -> None:
    assert two.frame.depth is not None
    true = two.frame.masks[0].mask
    top = int(np.nonzero(true.any(axis=1))[0][0])
    column = int(np.nonzero(true[top])[0].mean())
    depth_m = two.frame.depth.depth_m.copy()
    speck = np.s_[top - 7 : top - 4, column - 1 : column + 2]
    depth_m[top - 9 : top, column - 3 : column + 4] = np.nan
    depth_m[speck] = two.frame.depth.depth_m[speck]
    seen = only(with_masks(with_depth(two.frame, depth_m), grown(true, 12)))
    assert not seen.mask[speck].any()
    assert (seen.mask & true).sum() > 0.85 * true.sum()


def test_the_low_bottom_of_a_bowl_is_not_taken_for_the_table() -> None:
    view = camera_from_world(np.radians(60), 0.7)
    seen = only(scene([bowl()], view).frame)
    bottom = view.apply(np.array([0.0, 0.0, 0.006]))
    u, v = (VGA.matrix_px @ bottom / bottom[2])[:2].round().astype(int)
    assert seen.support is not None
    assert seen.mask[v, u]


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_thin_plate_is_not_taken_for_the_table(noise: float) -> None:
    seen = only(scene([box(0.11, 0.16, 0.0057)], VIEW, noise=noise).frame)
    assert seen.support is not None
    assert seen.mask.sum() > 0.9 * seen.silhouette.sum()


def test_what_is_seen_through_a_mask_is_not_the_object(two: Scene) -> None:
    assert two.frame.depth is not None
    true = two.frame.masks[0].mask
    hole = true.copy()
    hole[:, : int(np.percentile(np.nonzero(true)[1], 70))] = False
    depth_m = two.frame.depth.depth_m.copy()
    depth_m[hole] += 0.5
    seen = only(with_masks(with_depth(two.frame, depth_m), true))
    assert not (seen.mask & hole).any()


def test_an_object_cut_by_the_border_is_flagged() -> None:
    made = scene([placed(box(0.3, 0.3, 0.3), 0.0, (0.0, 0.55, 0.0))], VIEW)
    strict = SceneConfig(masks=MasksConfig(max_border_fraction=0.05))
    assert observe(made.frame, strict).observations[0].flags & ObjectFlag.TRUNCATED


def test_lidar_points_replace_a_missing_depth_image(two: Scene) -> None:
    assert two.frame.depth is not None
    depth_m = two.frame.depth.depth_m[::2, ::2]
    v, u = np.mgrid[0:480:2, 0:640:2]
    rays = np.stack((u, v, np.ones_like(u)), axis=-1) @ np.linalg.inv(VGA.matrix_px).T
    points = (rays * depth_m[..., None])[np.isfinite(depth_m)]
    camera_from_sensor = Similarity(np.eye(3)[[2, 0, 1]], np.array([0.0, 0.1, 0.0]))
    cloud = PointCloud(
        points=camera_from_sensor.inverse().apply(points), camera_from_sensor=camera_from_sensor
    )
    observed = observe(replace(two.frame, depth=None, points=cloud), SceneConfig())
    assert [seen.scale_source for seen in observed.observations] == [ScaleSource.LIDAR] * 2
    measured = observed.observations[0].object_points_camera
    low, high = two.truth_camera[0].vertices.min(axis=0), two.truth_camera[0].vertices.max(axis=0)
    assert (measured > low - 0.01).all()
    assert (measured < high + 0.01).all()


def test_a_distorted_camera_is_rectified_with_masks_and_depth(two: Scene) -> None:
    lens = Camera(
        width=640,
        height=480,
        matrix_px=VGA.matrix_px,
        distortion_model="plumb_bob",
        distortion=(0.05, 0.0, 0.0, 0.0, 0.0),
    )
    assert two.frame.depth is not None
    depth = replace(two.frame.depth, camera=lens)
    observed = observe(replace(two.frame, camera=lens, depth=depth), SceneConfig())
    for seen in observed.observations:
        assert not seen.camera.is_distorted
        assert seen.mask.any()
        assert seen.rgb[seen.mask].std(axis=0).max() < 0.05


def test_depth_of_another_camera_reaches_a_distorted_one(two: Scene) -> None:
    lens = replace(VGA, distortion_model="plumb_bob", distortion=(0.05, 0.0, 0.0, 0.0, 0.0))
    observed = observe(replace(two.frame, camera=lens), SceneConfig())
    assert two.frame.depth is not None
    assert observed.observations[0].camera.distortion == ()
    # The depth camera is the rectified color camera, so each reading stays where it is.
    difference_m = observed.observations[0].points_camera[..., 2] - two.frame.depth.depth_m
    assert np.nanmax(np.abs(difference_m)) < 1e-4
