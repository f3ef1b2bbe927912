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

"""Pictures: what they show lies where it was in the scene."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sam3d_ros.apps.drawing import PANEL, color_of, fitted, shortened, text_size
from sam3d_ros.apps.pictures import Pictured, draw_overlay, draw_silhouettes
from sam3d_ros.apps.shading import VIEWS, shaded, viewpoints
from sam3d_ros.apps.sheets import Compared, comparison_sheet, contact_sheet
from sam3d_ros.structures import Bytes, Camera, Mesh, Similarity

MakeBox = Callable[..., Mesh]
FAILED_MASK_ROWS = slice(300, 400)


def moved(mesh: Mesh, *offset_m: float) -> Mesh:
    return mesh.transformed(Similarity(np.eye(3), np.array(offset_m)))


@pytest.fixture
def rgb() -> Bytes:
    return np.full((480, 640, 3), 90, dtype=np.uint8)


@pytest.fixture
def box(make_box: MakeBox) -> Pictured:
    """Return a box in the middle of the image, some 100 px wide."""
    mask = np.zeros((480, 640), dtype=bool)
    mask[190:290, 270:370] = True
    return Pictured(
        number=1,
        name="box",
        mask=mask,
        mesh_camera=moved(make_box(0.2, 0.2, 0.2), 0.0, 0.0, 1.2),
        size_m=np.array([0.2, 0.2, 0.2]),
        quality="good",
    )


@pytest.fixture
def failed() -> Pictured:
    mask = np.zeros((480, 640), dtype=bool)
    mask[FAILED_MASK_ROWS, 500:600] = True
    return Pictured(number=2, name="glass", mask=mask, failure="DEPTH_SPARSE: no depth on glass")


def differs(first: Bytes, second: Bytes) -> np.ndarray:
    return (first != second).any(axis=-1)


def test_the_silhouette_is_filled_where_the_camera_sees_the_mesh(
    rgb: Bytes, box: Pictured, vga: Camera
) -> None:
    image, (region,) = draw_silhouettes(rgb, [box], vga)

    factor = image.shape[1] // rgb.shape[1]
    rows, columns = np.nonzero(region)
    half_px = factor * 0.1 / 1.1 * 600.0  # the front face is 1.1 m away
    assert np.ptp(columns) == pytest.approx(2 * half_px, abs=3)
    assert columns.mean() == pytest.approx(factor * 320.0, abs=2)
    far = np.ones(region.shape, dtype=bool)
    far[rows.min() - 5 : rows.max() + 6, columns.min() - 5 : columns.max() + 6] = False
    assert (image[far] == 90).all()
    assert differs(image, np.full_like(image, 90))[region].all()


def test_a_nearer_mesh_hides_a_farther_one(rgb: Bytes, box: Pictured, vga: Camera) -> None:
    assert box.mesh_camera is not None
    near = replace(box, number=2, mesh_camera=moved(box.mesh_camera, 0.0, 0.0, -0.4))

    _, (hidden, visible) = draw_silhouettes(rgb, [box, near], vga)

    assert not hidden.any()
    assert visible.any()


def test_a_failed_object_is_shown_where_its_mask_is(
    rgb: Bytes, failed: Pictured, vga: Camera
) -> None:
    image, (region,) = draw_silhouettes(rgb, [failed], vga)

    factor = image.shape[0] // rgb.shape[0]
    rows, _ = np.nonzero(region)
    assert rows.min() == factor * FAILED_MASK_ROWS.start
    assert rows.max() == factor * FAILED_MASK_ROWS.stop - 1


def test_the_input_image_is_left_as_it_was(
    rgb: Bytes, box: Pictured, failed: Pictured, vga: Camera
) -> None:
    draw_overlay(rgb, [box, failed], vga)

    assert (rgb == 90).all()


def test_an_image_without_objects_is_drawn_as_it_is(rgb: Bytes, vga: Camera) -> None:
    assert (draw_overlay(rgb, [], vga) == 90).all()
    assert contact_sheet(rgb, [], vga, "nothing").ndim == 3


def test_sheets_have_a_part_for_every_object(
    rgb: Bytes, box: Pictured, failed: Pictured, vga: Camera
) -> None:
    one = contact_sheet(rgb, [box], vga, "one")
    two = contact_sheet(rgb, [box, failed], vga, "two")

    assert one.shape[1] == two.shape[1]
    assert two.shape[0] > one.shape[0]


def test_a_comparison_shows_backends_that_failed_and_objects_without_truth(
    rgb: Bytes, box: Pictured
) -> None:
    assert box.mesh_camera is not None
    known = Compared(
        pictured=box,
        rgb=rgb,
        truth_camera=box.mesh_camera,
        meshes_camera={"hull": box.mesh_camera},
        captions={"hull": "vIoU 1.00", "lift": "no surface"},
    )
    unknown = replace(known, truth_camera=None, meshes_camera={})

    sheet = comparison_sheet([known, unknown], "two")

    assert sheet.dtype == np.uint8


def test_an_object_fits_into_each_view_and_fills_it(make_box: MakeBox) -> None:
    mesh = moved(make_box(0.1, 0.2, 0.3), 0.3, 0.2, 1.0)

    for viewpoint in viewpoints([mesh]).values():
        picture = shaded(mesh, viewpoint, 100)
        shown = differs(picture, np.full_like(picture, PANEL))
        assert not shown[[0, -1]].any()
        assert not shown[:, [0, -1]].any()
        assert shown.any(axis=0).sum() > 20


def test_behind_is_opposite_of_the_camera_and_above_is_upright(make_box: MakeBox) -> None:
    views = viewpoints([moved(make_box(0.1, 0.1, 0.1), 0.0, 0.0, 1.0)])

    front, behind, above = (views[name].view_from_camera for name in VIEWS)

    np.testing.assert_allclose(front, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(behind, np.diag((-1.0, 1.0, -1.0)), atol=1e-9)
    np.testing.assert_allclose(above @ (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), atol=1e-9)
    for rotation in (front, behind, above):
        assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_a_camera_that_looks_straight_down_has_all_views(make_box: MakeBox) -> None:
    views = viewpoints([moved(make_box(0.1, 0.1, 0.1), 0, 0, 1.0)], np.array([0.0, 0.0, -1.0]))

    assert all(np.isfinite(view.view_from_camera).all() for view in views.values())


def test_unseen_parts_look_different(make_box: MakeBox) -> None:
    mesh = moved(make_box(0.1, 0.1, 0.1), 0.0, 0.0, 1.0)
    unseen = replace(mesh, observed=np.zeros_like(mesh.observed))
    viewpoint = viewpoints([mesh])[VIEWS[0]]

    first, second = shaded(mesh, viewpoint, 80), shaded(unseen, viewpoint, 80)

    assert differs(first, second).sum() > 500
    np.testing.assert_array_equal(
        shaded(mesh, viewpoint, 80, plain=True), shaded(unseen, viewpoint, 80, plain=True)
    )


def test_ids_have_colours_also_beyond_the_palette() -> None:
    assert color_of(1) == color_of(11) != color_of(2)


def test_long_text_is_cut_to_its_width() -> None:
    text = shortened("a rather long name of an object", 100, 12.0)

    assert text.endswith("...")
    assert text_size(text, 12.0)[0] <= 100
    assert shortened("cup", 100, 12.0) == "cup"


def test_fitting_keeps_the_aspect() -> None:
    image = fitted(np.zeros((10, 20, 3), dtype=np.uint8), 40, 40, (9, 9, 9))

    assert image.shape == (40, 40, 3)
    assert (image[:10] == 9).all()
    assert (image[10:30] == 0).all()
