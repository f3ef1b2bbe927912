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

"""Closed meshes: volume, distance and occupancy agree; decimation keeps them closed."""

from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from sam3d_ros.geometry.measures import (
    bounds,
    is_watertight,
    triangle_areas,
    vertex_normals,
    volume_m3,
)
from sam3d_ros.geometry.meshes import (
    decimate,
    isosurface,
    occupancy,
    sample_surface,
    signed_distance,
    to_trimesh,
)
from sam3d_ros.structures import Mesh


def mesh_from(solid: trimesh.Trimesh) -> Mesh:
    num = len(solid.vertices)
    return Mesh(
        vertices=solid.vertices.astype(np.float32),
        triangles=solid.faces.astype(np.int32),
        colors=np.arange(3 * num).reshape(num, 3).astype(np.uint8),
        observed=(solid.vertices[:, 2] > 0).astype(np.float32),
    )


@pytest.fixture(scope="module")
def torus() -> Mesh:
    return mesh_from(trimesh.creation.torus(0.1, 0.03, major_sections=96, minor_sections=48))


def test_a_box_has_its_volume_area_and_bounds(make_box: Callable[..., Mesh]) -> None:
    box = make_box(0.1, 0.2, 0.3)
    assert volume_m3(box) == pytest.approx(0.006, rel=1e-5)
    assert triangle_areas(box).sum() == pytest.approx(0.22, rel=1e-5)
    np.testing.assert_allclose(bounds(box), [[-0.05, -0.1, -0.15], [0.05, 0.1, 0.15]], rtol=1e-6)


def test_a_mesh_is_watertight_until_a_triangle_is_missing_or_turned(torus: Mesh) -> None:
    open_mesh = mesh_from(to_trimesh(torus).submesh([np.arange(1, len(torus.triangles))])[0])
    inside_out = to_trimesh(torus)
    inside_out.invert()
    assert is_watertight(torus)
    assert not is_watertight(open_mesh)
    assert not is_watertight(mesh_from(inside_out))


def test_distance_is_negative_exactly_where_occupied(torus: Mesh) -> None:
    points = np.random.default_rng(3).uniform(-0.15, 0.15, (2000, 3))
    distance_m = signed_distance(torus, points)
    np.testing.assert_array_equal(distance_m < 0, occupancy(torus, points))
    ring = np.hypot(np.hypot(points[:, 0], points[:, 1]) - 0.1, points[:, 2]) - 0.03
    np.testing.assert_allclose(distance_m, ring, atol=5e-4)


def test_vertex_normals_point_outwards(torus: Mesh) -> None:
    outside = torus.vertices + 0.002 * vertex_normals(torus)
    assert not occupancy(torus, outside).any()


def test_samples_lie_on_their_triangles_and_spread_over_the_area(
    make_box: Callable[..., Mesh],
) -> None:
    box = make_box(0.1, 0.1, 1.0)
    points, face_index = sample_surface(box, 20_000, np.random.default_rng(0))
    assert np.abs(signed_distance(box, points)).max() < 1e-6
    on_caps = np.ptp(box.vertices[box.triangles[face_index]][..., 2], axis=1) == 0
    assert on_caps.mean() == pytest.approx(0.02 / 0.42, abs=0.01)


@pytest.mark.parametrize("max_triangles", [5000, 1000, 300])
def test_decimation_keeps_a_mesh_closed_and_its_shape(torus: Mesh, max_triangles: int) -> None:
    smaller = decimate(torus, max_triangles)
    assert 0 < len(smaller.triangles) <= max_triangles
    assert is_watertight(smaller)
    assert volume_m3(smaller) == pytest.approx(volume_m3(torus), rel=0.1)


def test_decimation_takes_attributes_from_the_nearest_vertex(torus: Mesh) -> None:
    smaller = decimate(torus, 2000)
    clear = np.abs(smaller.vertices[:, 2]) > 0.005
    np.testing.assert_array_equal(smaller.observed[clear] > 0.5, smaller.vertices[clear, 2] > 0)


def test_a_small_mesh_is_returned_as_it_is(make_box: Callable[..., Mesh]) -> None:
    box = make_box(1.0, 1.0, 1.0)
    assert decimate(box, 12) is box


def test_an_isosurface_is_closed_and_wound_outwards() -> None:
    axis = np.arange(-12, 13) * 0.01
    field = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij")), axis=0) - 0.1
    vertices, triangles = isosurface(field, 0.01)
    ball = mesh_from(trimesh.Trimesh(vertices, triangles, process=False))
    assert is_watertight(ball)
    assert volume_m3(ball) == pytest.approx(4 / 3 * np.pi * 0.001, rel=0.02)
