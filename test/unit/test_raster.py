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

"""Rendering meshes: depths, outlines and indices that can be worked out by hand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.geometry.raster import render, silhouette
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Camera, Mesh, Similarity

MakeBox = Callable[..., Mesh]


def at(x: float, y: float, z: float) -> Similarity:
    return Similarity(np.eye(3), np.array([x, y, z]))


def test_the_front_of_a_box_stands_where_it_was_put(vga: Camera, make_box: MakeBox) -> None:
    box = make_box(0.2, 0.1, 0.1).transformed(at(0.0, 0.0, 1.05))

    raster = render([box], vga)

    # The front at z = 1 is 0.2 m x 0.1 m: 120 x 60 px about the principal point (319.5, 239.5).
    rows, columns = np.nonzero(np.isfinite(raster.depth_m))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (210, 269, 260, 379)
    np.testing.assert_allclose(raster.depth_m[210:270, 260:380], 1.0, atol=1e-6)
    np.testing.assert_allclose(raster.normals_camera[240, 320], [0, 0, -1], atol=1e-6)
    assert raster.depth_m.dtype == np.float32


def test_what_no_ray_hits_is_unknown(vga: Camera, make_box: MakeBox) -> None:
    raster = render([make_box(0.1, 0.1, 0.1).transformed(at(0.0, 0.0, 1.0))], vga)

    nothing = np.isnan(raster.depth_m)
    assert nothing[0, 0]
    np.testing.assert_array_equal(raster.object_index == -1, nothing)
    np.testing.assert_array_equal(raster.triangle_index == -1, nothing)
    np.testing.assert_array_equal(np.isnan(raster.normals_camera).all(axis=-1), nothing)


def test_the_nearer_mesh_hides_the_farther_one(vga: Camera, make_box: MakeBox) -> None:
    far = make_box(0.4, 0.4, 0.1).transformed(at(0.0, 0.0, 1.5))
    near = make_box(0.1, 0.1, 0.1).transformed(at(0.0, 0.0, 1.0))

    raster = render([far, near], vga)

    assert raster.object_index[240, 320] == 1
    assert raster.object_index[240, 380] == 0
    np.testing.assert_allclose(raster.depth_m[240, [320, 380]], [0.95, 1.45], atol=1e-6)


def test_meshes_without_triangles_keep_the_numbering(vga: Camera, make_box: MakeBox) -> None:
    empty = replace(make_box(1, 1, 1), triangles=np.zeros((0, 3), dtype=np.int32))
    box = make_box(0.1, 0.1, 0.1).transformed(at(0.0, 0.0, 1.0))

    assert render([empty, box], vga).object_index[240, 320] == 1
    assert (render([], vga).object_index == -1).all()
    assert (render([empty], vga).object_index == -1).all()


def test_the_triangle_of_a_pixel_contains_its_point(vga: Camera, make_box: MakeBox) -> None:
    rotation = rotation_from_axis_angle(np.array([1.0, 2.0, 0.5]), 0.7)
    box = make_box(0.2, 0.15, 0.1).transformed(Similarity(rotation, np.array([0.1, 0.0, 0.8])))

    raster = render([box], vga)

    hit = raster.object_index >= 0
    points = (pixel_rays(vga) * raster.depth_m[..., None])[hit]
    first = box.vertices[box.triangles[raster.triangle_index[hit], 0]]
    off_plane_m = ((points - first) * raster.normals_camera[hit]).sum(axis=-1)
    np.testing.assert_allclose(off_plane_m, 0.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(raster.normals_camera[hit], axis=-1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [("plumb_bob", (-0.3, 0.1, 0.001, -0.001, 0.0)), ("equidistant", (0.05, 0.01, 0.0, 0.0))],
)
def test_a_distorted_camera_gives_a_distorted_picture(
    model: str, coefficients: tuple[float, ...], vga: Camera, make_box: MakeBox
) -> None:
    camera = replace(vga, distortion_model=model, distortion=coefficients)
    wall = make_box(10.0, 10.0, 0.1).transformed(
        Similarity(rotation_from_axis_angle(np.array([0.3, 1.0, 0.0]), 0.3), np.array([0, 0, 2.0]))
    )

    raster = render([wall], camera)

    # A pixel sees what its own ray hits, n . (d r) = n . p on a plane through p.
    normal, rays = raster.normals_camera[240, 320], pixel_rays(camera)
    offset = raster.depth_m[240, 320] * rays[240, 320] @ normal
    np.testing.assert_allclose(raster.depth_m, offset / (rays @ normal), rtol=1e-4)


def test_a_mesh_around_the_camera_is_seen_from_within(vga: Camera, make_box: MakeBox) -> None:
    raster = render([make_box(4.0, 4.0, 6.0)], vga)

    np.testing.assert_allclose(raster.depth_m, 3.0, atol=1e-5)


def test_a_mesh_behind_the_camera_is_not_seen(vga: Camera, make_box: MakeBox) -> None:
    assert not silhouette(make_box(1.0, 1.0, 1.0).transformed(at(0, 0, -3.0)), vga).any()


def test_a_mesh_beside_the_image_is_not_seen(vga: Camera, make_box: MakeBox) -> None:
    assert not silhouette(make_box(0.1, 0.1, 0.1).transformed(at(-9.0, 0, 1.0)), vga).any()


def test_a_silhouette_is_where_the_mesh_has_depth(vga: Camera, make_box: MakeBox) -> None:
    box = make_box(0.2, 0.2, 0.2).transformed(at(0.35, 0.0, 0.8))  # reaches over the border

    np.testing.assert_array_equal(silhouette(box, vga), np.isfinite(render([box], vga).depth_m))
    assert silhouette(box, vga)[:, -1].any()


def test_vertices_of_another_dimension_are_refused(vga: Camera) -> None:
    class Flat:
        vertices = np.zeros((3, 2))
        triangles = np.array([[0, 1, 2]])

    with pytest.raises(ShapeError, match=r"vertices must have shape \(V, 3\)"):
        render([Flat()], vga)
