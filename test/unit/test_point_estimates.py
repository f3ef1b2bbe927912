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


"""The depth model's rules of size, and the recovery of what its points lack."""

import numpy as np
import pytest
import torch

from sam3d_ros.errors import DepthSparseError, ShapeError
from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.nn.vit import VitConfig
from sam3d_ros.objects.architecture import DepthModelConfig
from sam3d_ros.objects.depth_model import (
    DepthModel,
    estimate_points,
    working_size,
)
from sam3d_ros.objects.focal_shift import recover_focal_shift, recover_shift, view_plane
from sam3d_ros.structures import Camera, EstimatedPoints, Floats

TINY = DepthModelConfig(
    encoder=VitConfig(
        dim=32,
        depth=2,
        num_heads=2,
        image_size=56,
        num_registers=0,
        interpolate_antialias=False,
        interpolate_offset=0.1,
    ),
    num_features=2,
    projection_dim=8,
    upsample_dims=(32,),
    hidden_ratio=1,
    num_res_blocks=1,
    min_tokens=12,
    max_tokens=30,
)


def tiny_model(mask_bias: float = 10.0) -> DepthModel:
    """Return a model with random weights whose mask is set by one bias."""
    torch.manual_seed(0)
    model = DepthModel(TINY).eval()
    with torch.no_grad():
        model.head.output_block[1][2].weight.zero_()
        model.head.output_block[1][2].bias.fill_(mask_bias)
        model.head.output_block[0][2].bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    return model


def picture(height: int = 40, width: int = 60) -> Floats:
    return np.random.default_rng(1).random((height, width, 3), dtype=np.float32)


def scene(height: int, width: int, focal_x: float, focal_y: float) -> Floats:
    """Return the points of a bumpy wall before a pinhole camera, ``(H, W, 3)``."""
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    z = 2.0 + 0.4 * np.sin(7 * u) + 0.3 * np.cos(5 * v)
    return np.stack(((u - 0.5) / focal_x * z, (v - 0.5) / focal_y * z, z), axis=-1)


@pytest.mark.parametrize(("level", "num"), [(0, 1200), (3, 1633), (9, 2500)])
def test_a_level_of_detail_is_a_number_of_patches(level: int, num: int) -> None:
    assert DepthModelConfig().num_tokens(level) == num


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(480, 640, (606, 808)), (640, 480, (808, 606)), (60, 60, (700, 700))],
)
def test_the_working_image_has_the_wanted_area_and_the_image_s_aspect(
    height: int, width: int, size: tuple[int, int]
) -> None:
    assert working_size(height, width, 2500 * 14**2) == size


@pytest.mark.parametrize("size", [(40, 60), (61, 37)], ids=str)
def test_points_are_given_for_every_pixel(size: tuple[int, int]) -> None:
    found = estimate_points(tiny_model(), picture(*size))

    assert found.points_camera.shape == (*size, 3)
    assert found.points_camera.dtype == np.float32
    assert np.isfinite(found.points_camera).all()


def test_what_is_no_surface_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    points, mask = model(torch.from_numpy(picture()).movedim(-1, 0)[None], TINY.num_tokens())
    mask[:, :7] = TINY.mask_threshold  # at the threshold is not above it
    points[:, 20, 30] = torch.inf
    monkeypatch.setattr(model, "forward", lambda *_: (points.detach(), mask.detach()))

    unknown = np.isnan(estimate_points(model, picture()).points_camera)

    assert unknown[:7].all()
    assert unknown[20, 30].all()
    assert unknown.sum() == 3 * (7 * 60 + 1)


def test_the_shift_is_added_and_what_stays_behind_the_camera_is_nan() -> None:
    model, truth = tiny_model(), scene(40, 60, 1.2, 1.8)
    points = torch.from_numpy(truth)[None].float()
    points[..., 2] -= 1.0
    points[0, 0, 0] = torch.tensor([0.0, 0.0, -2.5])
    mask = torch.ones(1, 40, 60)
    model.forward = lambda *_: (points, mask)  # type: ignore[method-assign]

    found = estimate_points(model, picture())

    assert np.isnan(found.points_camera[0, 0]).all()
    np.testing.assert_allclose(found.points_camera[1:], truth[1:], atol=0.02)
    np.testing.assert_allclose(np.diag(found.matrix_normalised), [1.2, 1.8, 1.0], rtol=0.02)


def test_an_image_without_surfaces_is_refused() -> None:
    with pytest.raises(DepthSparseError, match=r"found 0 valid points .* give measured depth"):
        estimate_points(tiny_model(mask_bias=-1.0), picture())


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match="rgb must have shape"):
        estimate_points(tiny_model(), picture()[..., 0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near_single(dtype: torch.dtype) -> None:
    image = torch.from_numpy(picture()).movedim(-1, 0)[None]
    model = tiny_model()
    points, _ = model(image, 20)

    rounded, _ = model.to(dtype)(image, 20)

    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, points, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("size", [(48, 64), (90, 50)], ids=str)
@pytest.mark.parametrize("shift", [-0.8, 0.0, 1.0])
def test_focal_length_and_shift_of_a_pinhole_camera_are_recovered(
    size: tuple[int, int], shift: float
) -> None:
    points = scene(*size, focal_x=1.2, focal_y=1.2 * size[1] / size[0])
    points[..., 2] -= shift

    found = recover_focal_shift(points, np.ones(size, dtype=np.bool_))

    assert found.shift == pytest.approx(shift, abs=1e-5)
    matrix = found.matrix_normalised(*size)
    np.testing.assert_allclose(np.diag(matrix)[:2], [1.2, 1.2 * size[1] / size[0]], rtol=1e-5)
    np.testing.assert_allclose(matrix[:2, 2], 0.5)


@pytest.mark.parametrize("shift", [-0.8, 0.0, 1.0])
def test_the_shift_alone_is_recovered_for_a_camera_that_is_known(shift: float) -> None:
    camera = Camera(
        width=64,
        height=48,
        matrix_px=np.array([[77.0, 0.0, 20.0], [0.0, 80.0, 30.0], [0.0, 0.0, 1.0]]),
    )
    rays = pixel_rays(camera)  # its principal point is far from the middle of the image
    points = rays * scene(48, 64, 1.2, 1.6)[..., 2:] * 3.0
    points[..., 2] -= shift
    valid = np.ones((48, 64), dtype=np.bool_)
    valid[:10], points[:10] = False, np.nan

    assert recover_shift(points, valid, rays) == pytest.approx(shift, abs=1e-4)


def test_points_of_a_known_camera_lie_on_its_rays() -> None:
    camera = Camera(
        width=60,
        height=40,
        matrix_px=np.array([[50.0, 0.0, 25.0], [0.0, 50.0, 22.0], [0.0, 0.0, 1.0]]),
    )

    found = estimate_points(tiny_model(), picture(), camera=camera)

    points = found.points_camera[np.isfinite(found.points_camera).all(axis=-1)]
    rays = pixel_rays(camera)[np.isfinite(found.points_camera).all(axis=-1)]
    np.testing.assert_allclose(points / points[:, 2:], rays, atol=1e-5)
    matrix = found.matrix_normalised * np.array([[60.0], [40.0], [1.0]])
    np.testing.assert_allclose(matrix, camera.matrix_px)


def test_invalid_pixels_have_no_say_in_the_focal_length() -> None:
    points = scene(48, 64, 1.2, 1.6)
    valid = np.ones((48, 64), dtype=np.bool_)
    valid[:20] = False
    points[:20] = np.nan

    assert recover_focal_shift(points, valid).shift == pytest.approx(0.0, abs=1e-5)


def test_points_that_have_no_projection_have_no_say_in_the_focal_length() -> None:
    points = scene(48, 64, 1.2, 1.6)
    points[3], points[5, :, 2] = np.nan, 0.0

    found = recover_focal_shift(points, np.ones((48, 64), dtype=np.bool_))

    assert found.shift == pytest.approx(0.0, abs=1e-5)


def test_the_view_plane_is_symmetric_and_as_wide_as_its_pixels() -> None:
    plane = view_plane(3, 4, 4 / 3)

    np.testing.assert_allclose(plane, -plane[::-1, ::-1], atol=1e-7)
    np.testing.assert_allclose(plane[0, :, 0], np.array([-0.6, -0.2, 0.2, 0.6]), atol=1e-6)
    np.testing.assert_allclose(plane[:, 0, 1], np.array([-0.4, 0.0, 0.4]), atol=1e-6)


def test_estimated_points_are_read_only() -> None:
    found = EstimatedPoints(np.zeros((1, 1, 3)), np.eye(3))

    with pytest.raises(AttributeError):
        found.points_camera = np.ones((1, 1, 3))  # type: ignore[misc]
