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

"""Metrics against cases that can be worked out by hand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from sam3d_ros.evaluation import metrics
from sam3d_ros.evaluation.solids import distance_to_surface, fibonacci_directions, is_inside
from sam3d_ros.structures import Camera, InstanceMask, Mesh, Observation, Similarity

MakeBox = Callable[..., Mesh]


def moved(mesh: Mesh, *offset_m: float) -> Mesh:
    return mesh.transformed(Similarity(np.eye(3), np.array(offset_m)))


def ball(radius_m: float = 1.0) -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=radius_m)
    return Mesh(
        vertices=sphere.vertices.astype(np.float32),
        triangles=sphere.faces.astype(np.int32),
        colors=np.zeros((len(sphere.vertices), 3), dtype=np.uint8),
        observed=np.ones(len(sphere.vertices), dtype=np.float32),
    )


def without_triangles_above(mesh: Mesh, height: float) -> Mesh:
    middles = mesh.vertices[mesh.triangles].mean(axis=1)
    return replace(mesh, triangles=mesh.triangles[middles[:, 2] < height])


def test_a_mesh_equals_itself(make_box: MakeBox) -> None:
    box = make_box(0.1, 0.2, 0.3)

    same = metrics.compare_shapes(box, box)

    assert same.viou == 1.0
    assert same.box_iou == pytest.approx(1.0)
    assert same.f1_5mm == same.f1_10mm == 1.0
    assert same.chamfer_mm == pytest.approx(0.0, abs=1e-3)
    assert same.scale_ratio == pytest.approx(1.0)
    assert same.centre_error_mm == pytest.approx(0.0, abs=1e-6)


def test_unit_boxes_shifted_by_half_share_a_third(make_box: MakeBox) -> None:
    box = make_box(1.0, 1.0, 1.0)

    shifted = metrics.compare_shapes(moved(box, 0.5, 0.0, 0.0), box)

    assert shifted.viou == pytest.approx(1 / 3, abs=0.02)  # 64 cells over 1.5 m: 21 or 22 shared
    assert shifted.box_iou == pytest.approx(1 / 3)
    assert shifted.centre_error_mm == pytest.approx(500.0)
    assert shifted.scale_ratio == pytest.approx(1.0)


def test_boxes_apart_share_nothing(make_box: MakeBox) -> None:
    box = make_box(0.1, 0.1, 0.1)

    apart = metrics.compare_shapes(moved(box, 0.0, 0.0, 1.0), box)

    assert (apart.viou, apart.box_iou, apart.f1_5mm, apart.f1_10mm) == (0.0, 0.0, 0.0, 0.0)


def test_a_box_twice_as_large_has_scale_ratio_two_and_an_eighth_of_the_volume_in_common(
    make_box: MakeBox,
) -> None:
    twice = metrics.compare_shapes(make_box(0.4, 0.4, 0.4), make_box(0.2, 0.2, 0.2))

    assert twice.scale_ratio == pytest.approx(2.0)
    assert twice.viou == pytest.approx(1 / 8, abs=1e-3)
    assert twice.box_iou == pytest.approx(1 / 8)
    assert twice.centre_error_mm == pytest.approx(0.0, abs=1e-6)


def test_concentric_balls_are_apart_by_the_difference_of_their_radii() -> None:
    to_truth_m, to_predicted_m = metrics.surface_distances(ball(0.107), ball(0.100))

    assert metrics.chamfer_l1(to_truth_m, to_predicted_m) == pytest.approx(0.007, abs=2e-4)
    assert metrics.f_score(to_truth_m, to_predicted_m, 0.005) == 0.0
    assert metrics.f_score(to_truth_m, to_predicted_m, 0.010) == 1.0
    assert metrics.volume_iou(ball(0.107), ball(0.100)) == pytest.approx(1 / 1.07**3, abs=0.01)


def test_relative_f1_is_that_of_meshes_scaled_until_the_true_one_fills_minus_one_to_one() -> None:
    near = metrics.compare_shapes(ball(0.104), ball(0.100))
    large = metrics.compare_shapes(ball(1.04), ball(1.00))  # 0.04 apart where the radius is 1

    assert (near.f1_001, near.f1_002, near.f1_005) == (0.0, 0.0, 1.0)
    assert (large.f1_001, large.f1_002, large.f1_005) == (0.0, 0.0, 1.0)
    assert (near.f1_5mm, large.f1_5mm) == (1.0, 0.0)


def test_what_is_convex_fills_its_hull_and_a_shell_does_not() -> None:
    outer, inner = ball(0.1), ball(0.09)
    inside_out = inner.triangles[:, ::-1] + len(outer.vertices)
    shell = replace(
        outer,
        vertices=np.concatenate((outer.vertices, inner.vertices)),
        triangles=np.concatenate((outer.triangles, inside_out)),
        colors=np.concatenate((outer.colors, inner.colors)),
        observed=np.concatenate((outer.observed, inner.observed)),
    )

    assert metrics.solidity(outer) == pytest.approx(1.0, abs=1e-3)
    assert metrics.solidity(shell) == pytest.approx(1 - 0.9**3, abs=1e-3)
    assert np.isnan(metrics.solidity(without_triangles_above(outer, 0.0)))


def test_half_of_a_surface_has_full_precision_and_half_recall() -> None:
    to_truth_m, to_predicted_m = np.zeros(100), np.repeat((0.0, 1.0), 50)

    assert metrics.f_score(to_truth_m, to_predicted_m, 0.01) == pytest.approx(2 / 3)
    assert metrics.chamfer_l1(to_truth_m, to_predicted_m) == pytest.approx(0.25)


def test_metrics_do_not_depend_on_where_both_meshes_stand(make_box: MakeBox) -> None:
    first, second = make_box(0.1, 0.1, 0.2), moved(make_box(0.1, 0.1, 0.2), 0.02, 0.01, 0.0)

    near = metrics.compare_shapes(first, second)
    far = metrics.compare_shapes(moved(first, 0.3, -0.2, 1.0), moved(second, 0.3, -0.2, 1.0))

    assert far.viou == pytest.approx(near.viou, abs=5e-3)
    assert far.chamfer_mm == pytest.approx(near.chamfer_mm, rel=1e-3)
    assert far.box_iou == pytest.approx(near.box_iou, rel=1e-4)


def test_metrics_repeat(make_box: MakeBox) -> None:
    first, second = make_box(0.1, 0.1, 0.2), moved(ball(0.08), 0.02, 0.01, 0.0)

    assert metrics.compare_shapes(first, second) == metrics.compare_shapes(first, second)


def test_inside_of_a_closed_mesh_is_exact() -> None:
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (5000, 3))
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 1.0) > 0.01  # the ball is a polyhedron

    np.testing.assert_array_equal(is_inside(ball(), points)[clear], (radius < 1.0)[clear])


def test_a_small_hole_does_not_let_the_inside_out() -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (1000, 3))

    assert is_inside(without_triangles_above(ball(), 0.9), points).all()


def test_winding_of_the_triangles_does_not_matter() -> None:
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (1000, 3))
    mesh = ball()
    inside_out = replace(mesh, triangles=mesh.triangles[:, ::-1].copy())

    np.testing.assert_array_equal(is_inside(inside_out, points), is_inside(mesh, points))


def test_an_open_bowl_holds_what_it_surrounds_by_more_than_half() -> None:
    bowl = without_triangles_above(ball(), 0.0)
    deep, above = np.array([[0.0, 0.0, -0.5]]), np.array([[0.0, 0.0, 0.3]])

    assert is_inside(bowl, deep).all()
    assert not is_inside(bowl, above).any()


def test_distance_is_measured_to_the_surface(make_box: MakeBox) -> None:
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.5, 0.5, 0.5]])

    distance_m = distance_to_surface(make_box(1.0, 1.0, 1.0), points)

    np.testing.assert_allclose(distance_m, [0.5, 1.5, 0.0], atol=1e-6)


def test_directions_are_unit_vectors_that_balance() -> None:
    directions = fibonacci_directions(15)

    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    assert np.linalg.norm(directions.mean(axis=0)) < 0.1


def observation_of_wall(camera: Camera, mask: np.ndarray, depth_m: np.ndarray) -> Observation:
    """Return what a camera sees of a scene whose points carry only their depth."""
    points = np.zeros((camera.height, camera.width, 3), dtype=np.float32)
    points[..., 2] = depth_m
    return Observation(
        instance=InstanceMask(instance_id=1, mask=mask),
        rgb=np.zeros((camera.height, camera.width, 3), dtype=np.float32),
        mask=mask,
        silhouette=mask,
        points_camera=points,
        camera=camera,
        others=np.zeros_like(mask),
    )


@pytest.fixture(scope="module")
def centred() -> Camera:
    return Camera(
        width=100,
        height=100,
        matrix_px=np.array([[100.0, 0.0, 49.5], [0.0, 100.0, 49.5], [0.0, 0.0, 1.0]]),
    )


def test_a_box_front_is_compared_with_the_depth_measured_on_it(
    centred: Camera, make_box: MakeBox
) -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[40:60, 40:60] = True  # 20 px at 100 px focal length and 1 m: 0.2 m
    seen = observation_of_wall(centred, mask, np.where(mask, 1.007, 2.0))

    view = metrics.compare_to_view(moved(make_box(0.2, 0.2, 0.1), 0.0, 0.0, 1.05), seen)

    assert view.depth_residual_mm == pytest.approx(7.0, abs=0.01)
    assert view.silhouette_iou == 1.0


def test_a_mesh_too_wide_loses_silhouette_unless_something_hides_it(
    centred: Camera, make_box: MakeBox
) -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[40:60, 40:60] = True
    wide = moved(make_box(0.4, 0.2, 0.1), 0.0, 0.0, 1.05)

    on_background = observation_of_wall(centred, mask, np.where(mask, 1.0, 2.0))
    behind_something = observation_of_wall(centred, mask, np.where(mask, 1.0, 0.5))

    assert metrics.compare_to_view(wide, on_background).silhouette_iou == pytest.approx(0.5)
    assert metrics.compare_to_view(wide, behind_something).silhouette_iou == 1.0


def test_no_depth_under_the_mesh_gives_nan_not_a_number(centred: Camera, make_box: MakeBox) -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[40:60, 40:60] = True
    seen = observation_of_wall(centred, mask, np.full((100, 100), np.nan))

    view = metrics.compare_to_view(moved(make_box(0.2, 0.2, 0.1), 0.0, 0.0, 1.05), seen)

    assert np.isnan(view.depth_residual_mm)
    assert view.silhouette_iou == 1.0
