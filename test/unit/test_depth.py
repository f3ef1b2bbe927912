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

"""Depth images: units, point maps, registration and what hangs in the air."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from sam3d_ros.errors import DepthAlignError, DepthUnitError, ShapeError
from sam3d_ros.geometry.cameras import cropped, pixel_rays, project, rectification_of, resized
from sam3d_ros.geometry.depth import (
    clip_depth,
    metric_depth,
    register_depth,
    reject_flying_pixels,
    unproject,
)
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Bools, Camera, DepthImage, Floats, Mesh, Similarity

MakeBox = Callable[..., Mesh]
AXIS_X, AXIS_Z = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
RATIONAL = (0.47, -0.25, 0.0007, -0.0002, -0.01, 0.8, -0.2, -0.1)


def pinhole(width: int, height: int, focal_px: float) -> Camera:
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix_px = np.array([[focal_px, 0, centre[0]], [0, focal_px, centre[1]], [0, 0, 1.0]])
    return Camera(width=width, height=height, matrix_px=matrix_px)


def grown(mask: Bools, radius_px: int) -> Bools:
    kernel = np.ones((2 * radius_px + 1,) * 2, dtype=np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel)) > 0


# Units


def test_integers_are_millimetres() -> None:
    depth_m = metric_depth(np.array([[0, 500, 65535]], dtype=np.uint16))

    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, [[np.nan, 0.5, 65.535]])


def test_floats_are_metres_and_what_is_no_distance_is_unknown() -> None:
    depth_m = metric_depth(np.array([[0.0, -1.0, np.nan, np.inf, -np.inf, 0.5]]))

    np.testing.assert_allclose(depth_m, [[np.nan] * 5 + [0.5]])


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        (np.full((4, 4), 812.0, dtype=np.float32), "set depth.unit to mm"),
        (np.full((4, 4), 2, dtype=np.uint16), "set depth.unit to m "),
    ],
)
def test_values_that_contradict_their_encoding_are_refused(raw: Floats, hint: str) -> None:
    with pytest.raises(DepthUnitError, match=hint):
        metric_depth(raw)


def test_what_no_sensor_measures_is_unknown() -> None:
    raw = np.array([[3.4e38, 1e30, 1e-42, 1.0]], dtype=np.float32)
    np.testing.assert_array_equal(metric_depth(raw, "m"), np.float32([[np.nan] * 3 + [1.0]]))


def test_a_stated_unit_is_believed() -> None:
    assert metric_depth(np.full((2, 2), 812.0), "mm")[0, 0] == pytest.approx(0.812)
    assert metric_depth(np.full((2, 2), 2, dtype=np.uint16), "m")[0, 0] == 2.0


def test_depth_without_any_reading_contradicts_nothing() -> None:
    assert np.isnan(metric_depth(np.zeros((3, 3), dtype=np.uint16))).all()
    assert np.isnan(metric_depth(np.full((3, 3), np.nan))).all()


def test_clipping_forgets_what_is_out_of_range() -> None:
    depth_m = np.array([[0.05, 0.1, 5.0, 10.0, 10.1, np.nan]], dtype=np.float32)

    clipped = clip_depth(depth_m, 0.1, 10.0)

    assert clipped.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(clipped), [[True, False, False, False, True, True]])


# Point maps


@pytest.mark.parametrize(
    ("model", "coefficients"), [("none", ()), ("rational_polynomial", RATIONAL)]
)
def test_unprojected_pixels_are_seen_where_they_came_from(
    model: str, coefficients: tuple[float, ...], vga: Camera
) -> None:
    camera = replace(vga, distortion_model=model, distortion=coefficients)
    depth_m = np.random.default_rng(0).uniform(0.3, 4.0, (480, 640)).astype(np.float32)

    points = unproject(depth_m, camera)

    assert points.dtype == np.float32
    np.testing.assert_array_equal(points[..., 2], depth_m)
    columns, rows = np.meshgrid(np.arange(640), np.arange(480))
    np.testing.assert_allclose(project(camera, points), np.stack([columns, rows], -1), atol=2e-3)


def test_the_pixel_at_the_principal_point_looks_straight_ahead() -> None:
    depth_m = np.full((3, 5), 2.0)

    np.testing.assert_allclose(unproject(depth_m, pinhole(5, 3, 100.0))[1, 2], [0.0, 0.0, 2.0])


def test_unknown_depth_gives_unknown_points(vga: Camera) -> None:
    depth_m = np.full((480, 640), np.nan, dtype=np.float32)

    assert np.isnan(unproject(depth_m, vga)).all()


def test_depth_of_another_size_is_refused(vga: Camera) -> None:
    with pytest.raises(ShapeError, match=r"depth_m must have shape \(480, 640\)"):
        unproject(np.ones((240, 320)), vga)


def test_rectified_depth_keeps_the_surfaces_that_were_measured(
    vga: Camera, make_box: MakeBox
) -> None:
    camera = replace(vga, distortion_model="plumb_bob", distortion=(-0.3, 0.1, 0.001, 0.0, 0.0))
    scene = tabletop(make_box)

    depth_m = rectification_of(camera).image(render(scene, camera).depth_m, "nearest")

    error_m = np.abs(depth_m - render(scene, vga).depth_m)
    assert np.nanmedian(error_m) < 5e-4
    assert set(np.unique(depth_m[np.isfinite(depth_m)])) <= set(
        np.unique(render(scene, camera).depth_m)
    )


# Registration


def tabletop(make_box: MakeBox) -> list[Mesh]:
    """Return two boxes on a table that is seen from 45 degrees above."""
    rotation = rotation_from_axis_angle(AXIS_X, np.radians(45.0))
    camera_from_table = Similarity(rotation, np.array([0.0, 0.1, 1.0]))
    placed = [
        (make_box(4.0, 0.02, 4.0), (0.0, 0.01, 0.0)),
        (make_box(0.1, 0.2, 0.1), (-0.12, -0.1, 0.05)),
        (make_box(0.15, 0.1, 0.08), (0.12, -0.05, -0.1)),
    ]
    return [
        box.transformed(camera_from_table @ Similarity(np.eye(3), np.array(place)))
        for box, place in placed
    ]


def seen_by(scene: list[Mesh], camera: Camera, color_from_depth: Similarity) -> DepthImage:
    moved = [mesh.transformed(color_from_depth.inverse()) for mesh in scene]
    return DepthImage(
        depth_m=render(moved, camera).depth_m, camera=camera, color_from_depth=color_from_depth
    )


PAIRS = {
    "finer color": (pinhole(848, 480, 425.0), 0.01, (0.015, 0.0, 0.0)),
    "much finer color": (pinhole(212, 160, 120.0), 0.0, (0.02, 0.0, 0.0)),
    "coarser color": (pinhole(1280, 960, 1000.0), 0.02, (0.03, 0.0, 0.01)),
    "rolled": (pinhole(640, 480, 425.0), np.pi / 4, (0.02, 0.01, 0.0)),
    "upside down": (pinhole(640, 480, 500.0), np.pi, (0.0, 0.03, 0.0)),
    "wide baseline": (pinhole(848, 480, 425.0), 0.05, (0.12, 0.03, -0.05)),
    "depth with a lens": (
        replace(
            pinhole(640, 576, 504.0), distortion_model="rational_polynomial", distortion=RATIONAL
        ),
        0.02,
        (-0.03, 0.002, 0.004),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_registered_depth_is_what_the_color_camera_would_have_measured(
    name: str, make_box: MakeBox
) -> None:
    camera, roll_rad, translation = PAIRS[name]
    pose = Similarity(rotation_from_axis_angle(AXIS_Z, roll_rad), np.array(translation))
    scene, color = tabletop(make_box), pinhole(960, 540, 700.0)
    truth = render(scene, color)

    depth_m = register_depth(seen_by(scene, camera, pose), color)

    error_m = depth_m - truth.depth_m
    pixel_m = 1.5 / 425.0  # of a pixel of most of these depth cameras, at the far end
    assert np.nanmedian(np.abs(error_m)) < 0.3 * pixel_m
    coarse = camera.matrix_px[0, 0] < 200
    inner = ~grown(
        np.abs(cv2.Laplacian(truth.object_index.astype(np.float32), -1)) > 0, 8 if coarse else 4
    )
    assert (error_m[inner & (truth.object_index > 0)] > 0.02).sum() == 0, (
        "background shines through"
    )
    known = np.isfinite(depth_m[inner & (truth.object_index > 0)]).mean()
    assert known > 0.9  # the rest was hidden from the depth camera


def test_what_the_color_camera_sees_behind_an_object_is_unknown_not_guessed(
    make_box: MakeBox,
) -> None:
    # The depth camera looks from 0.1 m to the left: right of the box it cannot see the wall.
    box = make_box(0.2, 0.2, 0.02).transformed(Similarity(np.eye(3), np.array([0, 0, 0.51])))
    wall = make_box(9.0, 9.0, 0.02).transformed(Similarity(np.eye(3), np.array([0, 0, 1.01])))
    color = pinhole(640, 480, 500.0)
    pose = Similarity(np.eye(3), np.array([-0.1, 0.0, 0.0]))

    depth_m = register_depth(seen_by([box, wall], color, pose), color)

    # Box edge at x = 0.1, z = 0.5; its shadow on the wall ends at x = 0.1 + 0.2 (z = 1).
    np.testing.assert_allclose(depth_m[240, 419 - 3], 0.5, atol=1e-3)
    assert np.isnan(depth_m[240, 423:467]).all()
    np.testing.assert_allclose(depth_m[240, 475:500], 1.0, atol=1e-3)


def test_the_nearer_of_two_readings_in_one_pixel_wins() -> None:
    # (0, 0, 1) and (0, 0, 2), straight ahead of the color camera, are 1 m to the right of the
    # depth camera: 400 and 200 px from its principal point.
    depth_camera, color = pinhole(1001, 3, 400.0), pinhole(3, 3, 400.0)
    depth_m = np.full((3, 1001), np.nan, dtype=np.float32)
    depth_m[1, 500 + 400], depth_m[1, 500 + 200] = 1.0, 2.0
    pose = Similarity(np.eye(3), np.array([-1.0, 0.0, 0.0]))

    registered = register_depth(
        DepthImage(depth_m=depth_m, camera=depth_camera, color_from_depth=pose), color
    )

    assert registered[1, 1] == pytest.approx(1.0)


def test_depth_of_the_same_camera_passes_unchanged(vga: Camera) -> None:
    depth_m = np.random.default_rng(0).random((480, 640)).astype(np.float32)

    assert register_depth(DepthImage(depth_m=depth_m, camera=vga), vga) is depth_m


@pytest.mark.parametrize("size", [(320, 240), (1280, 960), (424, 318)], ids=str)
def test_depth_of_another_resolution_is_scaled_to_within_half_a_pixel(
    size: tuple[int, int], vga: Camera, make_box: MakeBox
) -> None:
    scene, small = tabletop(make_box), resized(vga, *size)
    truth = render(scene, vga)

    depth_m = register_depth(DepthImage(depth_m=render(scene, small).depth_m, camera=small), vga)

    inner = ~grown(np.abs(cv2.Laplacian(truth.object_index.astype(np.float32), -1)) > 0, 4)
    kernel = np.ones((3, 3), dtype=np.uint8)
    rise_of_two_pixels_m = cv2.dilate(truth.depth_m, kernel) - cv2.erode(truth.depth_m, kernel)
    error_m = np.abs(depth_m - truth.depth_m)
    within = error_m <= 0.25 * rise_of_two_pixels_m + 1e-4
    assert within[inner].mean() > 0.999  # all but the edges of the boxes
    assert np.isfinite(depth_m[truth.object_index > 0]).mean() > 0.99


def test_depth_of_a_part_of_the_image_stays_in_its_part(vga: Camera) -> None:
    part = cropped(vga, 100, 50, 200, 150)
    depth_m = np.full((150, 200), 2.0, dtype=np.float32)

    registered = register_depth(DepthImage(depth_m=depth_m, camera=part), vga)

    known = np.zeros((480, 640), dtype=bool)
    known[50:200, 100:300] = True
    np.testing.assert_array_equal(np.isfinite(registered), known)


def test_averaging_leaves_noise_without_bias(vga: Camera) -> None:
    rng = np.random.default_rng(0)
    big = resized(vga, 1280, 960)
    depth_m = (1.0 + 0.002 * rng.normal(size=(960, 1280))).astype(np.float32)

    registered = register_depth(DepthImage(depth_m=depth_m, camera=big), vga)

    assert np.nanmean(registered) == pytest.approx(1.0, abs=1e-4)


def test_depth_without_readings_registers_to_nothing(vga: Camera) -> None:
    empty = np.full((240, 320), np.nan, dtype=np.float32)

    registered = register_depth(DepthImage(depth_m=empty, camera=resized(vga, 320, 240)), vga)

    assert registered.shape == (480, 640)
    assert np.isnan(registered).all()


def test_a_transform_that_looks_away_is_refused_with_a_hint(vga: Camera) -> None:
    backwards = Similarity(rotation_from_axis_angle(np.array([0.0, 1.0, 0.0]), np.pi), np.zeros(3))
    depth = DepthImage(
        depth_m=np.ones((480, 640), dtype=np.float32), camera=vga, color_from_depth=backwards
    )

    with pytest.raises(DepthAlignError, match="both frames are optical"):
        register_depth(depth, vga)


def test_a_depth_camera_without_intrinsics_is_refused(vga: Camera) -> None:
    blind = replace(resized(vga, 320, 240), matrix_px=np.zeros((3, 3)))

    with pytest.raises(DepthAlignError, match="fills camera_info"):
        register_depth(DepthImage(depth_m=np.ones((240, 320)), camera=blind), vga)


def test_a_transform_with_scale_is_refused(vga: Camera) -> None:
    scaled = Similarity(np.eye(3), np.zeros(3), 1.1)
    depth = DepthImage(depth_m=np.ones((480, 640)), camera=vga, color_from_depth=scaled)

    with pytest.raises(DepthAlignError, match="must be rigid"):
        register_depth(depth, vga)


def test_a_real_depth_camera_registers_to_within_its_noise(shared_data: Path) -> None:
    folder = shared_data / "d435_unregistered" / "frame_200"
    color, _ = camera_of(folder / "camera.json")
    camera, calibration = camera_of(folder / "camera_depth.json")
    raw = cv2.imread(str(folder / "depth_native.png"), cv2.IMREAD_UNCHANGED)
    pose = Similarity.from_matrix(np.array(calibration["T_color_depth"]))
    truth = render(truth_meshes(folder), color)

    depth_m = register_depth(
        DepthImage(depth_m=metric_depth(raw), camera=camera, color_from_depth=pose), color
    )

    bottle = truth.object_index == 0
    error_m = (depth_m - truth.depth_m)[bottle & np.isfinite(depth_m)]
    assert np.isfinite(depth_m[bottle]).mean() > 0.9
    assert abs(np.median(error_m)) < 0.001
    assert np.median(np.abs(error_m)) < 0.003  # as the pose was fitted: 2.7 mm
    assert (error_m > 0.03).mean() < 0.01


def camera_of(path: Path) -> tuple[Camera, dict[str, list[list[float]]]]:
    calibration = json.loads(path.read_text())
    fx, fy, cx, cy = (calibration[name] for name in ("fx", "fy", "cx", "cy"))
    camera = Camera(
        width=calibration["width"],
        height=calibration["height"],
        matrix_px=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
    )
    return camera, calibration


def truth_meshes(folder: Path) -> list[Mesh]:
    return [
        mesh_of(trimesh.load(folder / entry["mesh"], force="mesh", process=False)).transformed(
            Similarity.from_matrix(np.array(entry["T_cam_obj"]))
        )
        for entry in json.loads((folder / "gt.json").read_text())["objects"]
    ]


def mesh_of(loaded: trimesh.Trimesh) -> Mesh:
    num = len(loaded.vertices)
    return Mesh(
        vertices=np.asarray(loaded.vertices, dtype=np.float32),
        triangles=np.asarray(loaded.faces, dtype=np.int32),
        colors=np.zeros((num, 3), dtype=np.uint8),
        observed=np.ones(num, dtype=np.float32),
    )


# Flying pixels


def step_of(near_m: float, far_m: float) -> Floats:
    """Return an image of 40 x 40 pixels: near on the left, far from column 20 on."""
    depth_m = np.full((40, 40), far_m, dtype=np.float32)
    depth_m[:, :20] = near_m
    return depth_m


CAMERA = pinhole(40, 40, 60.0)


@pytest.mark.parametrize("width", [1, 2])
def test_readings_between_two_surfaces_are_rejected(width: int) -> None:
    depth_m = step_of(0.6, 1.2)
    ramp = slice(20, 20 + width)
    depth_m[:, ramp] = np.linspace(0.6, 1.2, width + 2)[1:-1]

    known = np.isfinite(reject_flying_pixels(depth_m, CAMERA))

    assert not known[:, ramp].any()
    assert known[:, :20].all()
    assert known[:, 20 + width :].all()


def test_flying_readings_repeated_by_alignment_are_rejected() -> None:
    depth_m = step_of(0.6, 1.2)
    depth_m[:, 20:22] = 0.9

    known = np.isfinite(reject_flying_pixels(depth_m, CAMERA))

    assert not known[:, 20:22].any()


def test_a_shadow_without_readings_does_not_save_what_hangs_in_the_air() -> None:
    depth_m = step_of(0.6, 1.2)
    depth_m[:, 20], depth_m[:, 21:23] = 0.9, np.nan

    assert np.isnan(reject_flying_pixels(depth_m, CAMERA)[:, 20]).all()


def test_a_clean_step_loses_nothing() -> None:
    depth_m = step_of(0.6, 1.2)

    np.testing.assert_array_equal(reject_flying_pixels(depth_m, CAMERA), depth_m)


def test_a_stair_of_two_steps_keeps_its_treads() -> None:
    depth_m = step_of(0.6, 1.2)
    depth_m[:, 20:26] = 0.9

    np.testing.assert_array_equal(reject_flying_pixels(depth_m, CAMERA), depth_m)


@pytest.mark.parametrize("tilt_deg", [0.0, 45.0, 70.0, 78.0])
def test_noisy_slanted_surfaces_are_kept(tilt_deg: float, vga: Camera) -> None:
    normal = rotation_from_axis_angle(np.array([0.3, 1.0, 0.0]), np.radians(tilt_deg))[:, 2]
    depth_m = 0.8 * normal[2] / (pixel_rays(vga)[200:280, 280:360] @ normal)
    depth_m += depth_noise_m(depth_m) * np.random.default_rng(0).normal(size=depth_m.shape)

    kept = reject_flying_pixels(depth_m.astype(np.float32), cropped(vga, 280, 200, 80, 80))

    assert np.isfinite(kept).mean() > 0.999


def test_a_single_reading_through_a_surface_is_rejected() -> None:
    depth_m = np.full((40, 40), 0.6, dtype=np.float32)
    depth_m[10, 10], depth_m[30, 30] = 1.5, 0.3

    known = np.isfinite(reject_flying_pixels(depth_m, CAMERA))

    assert not known[10, 10]
    assert not known[30, 30]
    assert known.sum() == 40 * 40 - 2


def test_a_wire_before_a_wall_is_kept() -> None:
    depth_m = np.full((40, 40), 1.2, dtype=np.float32)
    depth_m[:, 20] = 0.6

    np.testing.assert_array_equal(reject_flying_pixels(depth_m, CAMERA), depth_m)


@pytest.mark.parametrize("coverage", [0.04, 0.15, 0.4, 0.7])
def test_sparse_readings_of_a_surface_are_kept(coverage: float, vga: Camera) -> None:
    rng = np.random.default_rng(0)
    depth_m = (0.8 + 0.001 * rng.normal(size=(480, 640))).astype(np.float32)
    depth_m[rng.random(depth_m.shape) > coverage] = np.nan

    np.testing.assert_array_equal(reject_flying_pixels(depth_m, vga), depth_m)


def test_sparse_readings_beside_a_step_are_mostly_kept() -> None:
    rng = np.random.default_rng(0)
    depth_m = step_of(0.6, 1.2)
    depth_m[rng.random(depth_m.shape) > 0.25] = np.nan

    known = np.isfinite(reject_flying_pixels(depth_m, CAMERA))

    assert known.sum() > 0.97 * np.isfinite(depth_m).sum()


def test_the_input_is_not_changed_and_unknown_stays_unknown() -> None:
    depth_m = np.full((40, 40), np.nan, dtype=np.float32)
    depth_m[5, 5] = 1.0
    before = depth_m.copy()

    np.testing.assert_array_equal(reject_flying_pixels(depth_m, CAMERA), before)
    np.testing.assert_array_equal(depth_m, before)


@pytest.mark.parametrize("view", ["view_00", "view_02", "view_03", "view_07", "view_12"])
def test_real_sparse_depth_is_not_wiped_out(view: str, shared_data: Path) -> None:
    folder = shared_data / "shelf_multiview" / view
    camera, _ = camera_of(folder / "camera.json")
    depth_m = metric_depth(cv2.imread(str(folder / "depth.png"), cv2.IMREAD_UNCHANGED))

    kept = np.isfinite(reject_flying_pixels(depth_m, camera))

    for path in (folder / "masks").glob("*.png"):
        known = np.isfinite(depth_m) & (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0)
        assert kept[known].mean() > 0.98
