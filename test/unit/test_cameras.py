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

"""Cameras agree with the closed formulas, with OpenCV and with themselves."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sam3d_ros.errors import DistortionError, IntrinsicsError, ShapeError
from sam3d_ros.geometry.cameras import (
    binned,
    camera_from_fov,
    check_principal_point,
    cropped,
    pixel_rays,
    project,
    rectification_of,
    rectified,
    resized,
    undistort_pixels,
)
from sam3d_ros.structures import Camera, Floats

LENSES = {
    "ideal": ("none", ()),
    "webcam": ("plumb_bob", (-0.31, 0.12, 0.0012, -0.0018, -0.02)),
    "pincushion": ("plumb_bob", (0.11, -0.2, 0.001, 0.0005, 0.05)),
    "four coefficients": ("plumb_bob", (-0.2, 0.05, 0.001, -0.001)),
    "depth camera": ("rational_polynomial", (0.47, -2.5, 0.0007, -0.0002, 1.5, 0.35, -2.3, 1.4)),
    "fisheye": ("equidistant", (0.05, -0.01, 0.02, -0.004)),
    "plain fisheye": ("equidistant", (0.0, 0.0, 0.0, 0.0)),
}


@pytest.fixture(params=LENSES, ids=str)
def camera(request: pytest.FixtureRequest) -> Camera:
    model, coefficients = LENSES[request.param]
    matrix_px = np.array([[410.0, 0.0, 322.3], [0.0, 405.0, 236.1], [0.0, 0.0, 1.0]])
    return Camera(
        width=640,
        height=480,
        matrix_px=matrix_px,
        distortion_model=model,
        distortion=coefficients,
    )


def with_lens(camera: Camera, name: str) -> Camera:
    model, coefficients = LENSES[name]
    return replace(camera, distortion_model=model, distortion=coefficients)


def pixels_of(camera: Camera) -> Floats:
    return np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)


def points_before(camera: Camera, num: int = 500) -> Floats:
    rng = np.random.default_rng(0)
    return rng.uniform([-0.6, -0.45, 0.9], [0.6, 0.45, 1.5], size=(num, 3))


def test_the_ray_of_a_pixel_leads_to_the_pixel(camera: Camera) -> None:
    rays = pixel_rays(camera)

    np.testing.assert_allclose(project(camera, 2.5 * rays), pixels_of(camera), atol=2e-3)
    assert rays.dtype == np.float32
    assert (rays[..., 2] == 1).all()


def test_undistorted_pixels_are_seen_by_the_rectified_camera(camera: Camera) -> None:
    points = points_before(camera)

    undistorted = undistort_pixels(camera, project(camera, points))

    np.testing.assert_allclose(undistorted, project(rectified(camera), points), atol=1e-6)


def test_projection_agrees_with_opencv(camera: Camera) -> None:
    points, coefficients = points_before(camera), np.array(camera.distortion or (0.0,) * 4)
    arguments = (points[:, None], np.zeros(3), np.zeros(3), camera.matrix_px, coefficients)
    fisheye = camera.distortion_model == "equidistant"
    expected, _ = (
        cv2.fisheye.projectPoints(*arguments) if fisheye else cv2.projectPoints(*arguments)
    )

    np.testing.assert_allclose(project(camera, points), expected[:, 0], atol=1e-9)


def test_the_order_of_coefficients_is_that_of_the_documents(vga: Camera) -> None:
    k1, k2, p1, p2, k3 = coefficients = (0.1, -0.05, 0.01, -0.02, 0.003)
    camera = replace(vga, distortion_model="plumb_bob", distortion=coefficients)
    x, y = 0.3, -0.2
    square = x**2 + y**2
    radial = 1 + k1 * square + k2 * square**2 + k3 * square**3
    x_d = x * radial + 2 * p1 * x * y + p2 * (square + 2 * x**2)
    y_d = y * radial + p1 * (square + 2 * y**2) + 2 * p2 * x * y

    pixel = project(camera, np.array([2 * x, 2 * y, 2.0]))

    np.testing.assert_allclose(pixel, [600 * x_d + 319.5, 600 * y_d + 239.5], atol=1e-9)


def test_a_plain_fisheye_shows_angles_as_radii(vga: Camera) -> None:
    fisheye = with_lens(vga, "plain fisheye")
    point = np.array([np.tan(np.radians(80)), 0.0, 1.0])

    np.testing.assert_allclose(project(fisheye, point), [600 * np.radians(80) + 319.5, 239.5])


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)], ids=str)
def test_points_of_any_batch_are_projected_one_by_one(batch: tuple[int, ...], vga: Camera) -> None:
    points = np.random.default_rng(1).uniform(0.5, 1.0, size=(*batch, 3))

    pixels = project(with_lens(vga, "webcam"), points)

    each = [project(with_lens(vga, "webcam"), point) for point in points.reshape(-1, 3)]
    np.testing.assert_allclose(pixels.reshape(-1, 2), each)


@pytest.mark.parametrize("z", [-1.0, 0.0, np.nan])
def test_what_is_behind_the_camera_has_no_pixel(z: float, camera: Camera) -> None:
    assert np.isnan(project(camera, np.array([0.1, 0.1, z]))).all()


def test_far_off_the_axis_a_folding_lens_shows_nothing(vga: Camera) -> None:
    # r (1 - 0.3 r^2) grows until r = 1 / sqrt(0.9); at r = 1.8 it is back within the image.
    camera = replace(vga, distortion_model="plumb_bob", distortion=(-0.3, 0.0, 0.0, 0.0, 0.0))

    pixels = project(camera, np.array([[1.05, 0.0, 1.0], [1.06, 0.0, 1.0], [1.8, 0.0, 1.0]]))

    np.testing.assert_array_equal(np.isnan(pixels).all(axis=-1), [False, True, True])


def test_pixels_that_no_direction_leads_to_have_no_ray(vga: Camera) -> None:
    # The lens of the test above shows nothing beyond 600 * 0.703 px from the principal point.
    camera = replace(vga, distortion_model="plumb_bob", distortion=(-0.3, 0.0, 0.0, 0.0, 0.0))
    wide = cropped(camera, -200, 0, 1040, 480)

    rays = pixel_rays(wide)

    expected = np.hypot(*(pixels_of(wide) - wide.matrix_px[:2, 2]).transpose(2, 0, 1)) > 421.64
    np.testing.assert_array_equal(np.isnan(rays).any(axis=-1), expected)


def test_a_ray_leads_back_to_its_pixel_or_does_not_exist(vga: Camera) -> None:
    absurd = (-0.4, 0.1, 0.05, -0.06, 0.02)
    camera = replace(vga, distortion_model="plumb_bob", distortion=absurd)
    wide = cropped(camera, -300, -300, 1240, 1080)

    pixels = project(wide, pixel_rays(wide))

    known = np.isfinite(pixels).all(axis=-1)
    assert 0.1 < known.mean() < 1.0
    np.testing.assert_allclose(pixels[known], pixels_of(wide)[known], atol=1e-2)


def test_a_lens_holds_up_to_its_pole(vga: Camera) -> None:
    small = resized(vga, 64, 48)
    for pole in np.linspace(0.6, 1.6, 40):  # rounding puts the computed one on either side of it
        lens = (0.0, 0.0, 0.0, 0.0, 0.0, -1.0 / pole**2, 0.0, 0.0)
        camera = replace(small, distortion_model="rational_polynomial", distortion=lens)

        np.testing.assert_allclose(
            project(camera, pixel_rays(camera)), pixels_of(camera), atol=2e-3
        )


def test_skew_is_respected(vga: Camera) -> None:
    skewed = replace(vga, matrix_px=np.array([[500, 20, 300], [0, 510, 200], [0, 0, 1.0]]))

    np.testing.assert_allclose(project(skewed, pixel_rays(skewed)), pixels_of(skewed), atol=1e-3)


def test_unusable_intrinsics_are_refused_with_a_hint(vga: Camera) -> None:
    with pytest.raises(IntrinsicsError, match="check that the driver is calibrated"):
        project(replace(vga, matrix_px=np.zeros((3, 3))), np.ones(3))


def test_an_unknown_lens_is_refused_with_the_known_ones(vga: Camera) -> None:
    camera = replace(vga, distortion_model="thin_prism", distortion=(0.1,))

    with pytest.raises(DistortionError, match="plumb_bob, rational_polynomial, equidistant"):
        pixel_rays(camera)


def test_coefficients_beyond_the_model_are_refused(vga: Camera) -> None:
    camera = replace(vga, distortion_model="plumb_bob", distortion=(0.1,) * 6)

    with pytest.raises(DistortionError, match="plumb_bob has 5"):
        pixel_rays(camera)


def test_a_camera_sees_its_field_of_view_from_edge_to_edge() -> None:
    camera = camera_from_fov(640, 480, 90.0)

    edges = project(camera, np.array([[-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]))

    np.testing.assert_allclose(edges, [[-0.5, 239.5], [639.5, 239.5]])


@pytest.mark.parametrize("fov_deg", [0.0, 180.0, -10.0])
def test_an_impossible_field_of_view_is_refused(fov_deg: float) -> None:
    with pytest.raises(IntrinsicsError, match="field of view"):
        camera_from_fov(640, 480, fov_deg)


def test_the_principal_point_scales_about_the_corner_of_the_image(vga: Camera) -> None:
    half = resized(vga, 320, 240)

    assert half.matrix_px[0, 2] == (319.5 + 0.5) / 2 - 0.5
    assert half.matrix_px[0, 0] == 300.0
    assert (half.width, half.height) == (320, 240)


def test_resizing_maps_pixel_areas_onto_each_other(camera: Camera) -> None:
    points, third = points_before(camera), resized(camera, 320, 160)

    expected = (project(camera, points) + 0.5) * [1 / 2, 1 / 3] - 0.5

    np.testing.assert_allclose(project(third, points), expected, atol=1e-9)


def test_resizing_there_and_back_changes_nothing(camera: Camera) -> None:
    back = resized(resized(camera, 123, 457), camera.width, camera.height)

    np.testing.assert_allclose(back.matrix_px, camera.matrix_px, atol=1e-10)


def test_cropping_moves_the_origin(camera: Camera) -> None:
    points, part = points_before(camera), cropped(camera, 100, 50, 200, 150)

    np.testing.assert_allclose(project(part, points), project(camera, points) - [100, 50])


def test_binning_is_resizing_where_bins_fill_the_image(vga: Camera) -> None:
    np.testing.assert_allclose(
        binned(vga, 4, 2).matrix_px, resized(vga, 160, 240).matrix_px, atol=1e-12
    )


def test_pixels_that_fill_no_bin_are_lost(vga: Camera) -> None:
    camera = binned(replace(vga, width=641), 2, 0)

    assert (camera.width, camera.height) == (320, 480)
    assert camera.matrix_px[0, 2] == pytest.approx(320 / 2 - 0.5)


def test_crop_then_bin_is_what_the_pixels_of_the_sensor_say(vga: Camera) -> None:
    # Pixel (0, 0) of the result joins pixels (100, 50) to (101, 51); its centre is (100.5, 50.5).
    camera = binned(cropped(vga, 100, 50, 200, 100), 2, 2)
    ray = np.array([(100.5 - 319.5) / 600, (50.5 - 239.5) / 600, 1.0])

    np.testing.assert_allclose(project(camera, ray), [0.0, 0.0], atol=1e-9)


def test_rectifying_agrees_with_opencv(vga: Camera) -> None:
    camera = with_lens(vga, "webcam")
    rgb = np.random.default_rng(2).integers(0, 255, (480, 640, 3), dtype=np.uint8)

    expected = cv2.undistort(rgb, camera.matrix_px, np.array(camera.distortion))

    difference = np.abs(rectification_of(camera).image(rgb).astype(int) - expected)
    assert np.percentile(difference, 99) <= 4  # cv2.undistort rounds its map to 1/32 px


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.float32])
def test_the_nearest_pixel_is_taken_as_it_is(dtype: type, camera: Camera) -> None:
    labels = np.random.default_rng(3).integers(0, 2, (480, 640)).astype(dtype)

    mapped = rectification_of(camera).image(labels, "nearest")

    assert mapped.dtype == dtype
    columns, rows = np.rint(project(camera, pixel_rays(rectified(camera))[100:120, 200:220])).T
    expected = labels[rows.astype(int), columns.astype(int)].T
    np.testing.assert_array_equal(mapped[100:120, 200:220], expected)


def test_channels_are_rectified_like_single_images(vga: Camera) -> None:
    camera = with_lens(vga, "webcam")
    masks = np.random.default_rng(4).random((480, 640, 7)) > 0.5

    mapped = rectification_of(camera).image(masks, "nearest")

    np.testing.assert_array_equal(
        mapped[..., 3], rectification_of(camera).image(masks[..., 3], "nearest")
    )


def test_what_the_camera_did_not_see_is_unknown(vga: Camera) -> None:
    camera = with_lens(vga, "pincushion")  # shows less than an ideal lens in the corners

    depth_m = rectification_of(camera).image(np.ones((480, 640), dtype=np.float32), "nearest")
    rgb = rectification_of(camera).image(np.full((480, 640, 3), 200, dtype=np.uint8))

    outside = np.isnan(project(camera, pixel_rays(rectified(camera)))).any(axis=-1)
    pixels = project(camera, pixel_rays(rectified(camera)))
    outside |= ((pixels < -0.5) | (pixels > [639.5, 479.5])).any(axis=-1)
    assert outside.any()
    assert np.isnan(depth_m[outside]).all()
    assert (depth_m[~outside] == 1).all()
    assert (rgb[0, 0] == 0).all()


def test_an_ideal_camera_needs_no_rectification(vga: Camera) -> None:
    image = np.zeros((480, 640), dtype=np.uint8)

    assert rectification_of(vga).image(image) is image


def test_an_image_of_another_size_is_refused(vga: Camera) -> None:
    with pytest.raises(ShapeError, match=r"image must have shape \(480, 640\)"):
        rectification_of(with_lens(vga, "webcam")).image(np.zeros((240, 320)))


@pytest.mark.parametrize(
    ("center_px", "focal_px"),
    [
        ((319.5, 239.5), 600.0),
        ((-640.0, 960.0), 300.0),  # a wide lens, shifted by a side
        ((-2560.0, -1200.0), 3000.0),  # a corner of an image with 12 times the pixels
    ],
)
def test_a_principal_point_in_or_beside_the_image_or_of_a_crop_is_plausible(
    center_px: tuple[float, float], focal_px: float
) -> None:
    matrix_px = np.array([[focal_px, 0, center_px[0]], [0, focal_px, center_px[1]], [0, 0, 1]])

    check_principal_point(Camera(width=640, height=480, matrix_px=matrix_px))


@pytest.mark.parametrize("center_px", [(2000.0, 240.0), (320.0, -1500.0)])
def test_a_principal_point_that_no_crop_has_is_refused(center_px: tuple[float, float]) -> None:
    matrix_px = np.array([[600.0, 0, center_px[0]], [0, 600.0, center_px[1]], [0, 0, 1]])

    with pytest.raises(IntrinsicsError, match=r"must be in the image of 640x480.*got .*calibr"):
        check_principal_point(Camera(width=640, height=480, matrix_px=matrix_px))


@pytest.mark.parametrize(("name", "known"), [("radtan", "plumb_bob"), ("equi", "equidistant")])
def test_a_model_under_another_name_says_ours(vga: Camera, name: str, known: str) -> None:
    camera = replace(vga, distortion_model=name, distortion=(0.1, 0.0, 0.0, 0.0))

    with pytest.raises(DistortionError, match=f"what you call {name} is named {known} here"):
        rectification_of(camera)
