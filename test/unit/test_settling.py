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

"""Objects beside each other: parted, set down, left alone; and by how much."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
import trimesh
from scenes import box, camera_from_world, can, mesh_from, placed

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.meshes import sample_surface
from sam3d_ros.geometry.settling.body import Body
from sam3d_ros.geometry.settling.settle import Settled, SettlingLimits, settle
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Floats, Mesh, Similarity, SupportPlane

LIMITS = SettlingLimits()
VIEW = camera_from_world(0.7, 0.7)  # from +x; the tests think in the world
UP = VIEW.rotation[:, 2]
TABLE = SupportPlane(normal_camera=UP, offset_m=-float(UP @ VIEW.translation_m), confidence=1.0)
SURE, UNSURE = 0.001, 0.004
NOTHING = np.zeros((0, 3))


def body(
    mesh: Mesh,
    measured: Floats = NOTHING,
    outline: Floats = NOTHING,
    sigma_m: float = UNSURE,
) -> Body:
    return Body(
        mesh.transformed(VIEW), sigma_m**2 * np.eye(3), VIEW.apply(measured), VIEW.apply(outline)
    )


def motion(found: Settled) -> Similarity:
    """Return how a body was moved, in the world."""
    return VIEW.inverse() @ found.now_from_start @ VIEW


def at(mesh: Mesh, *position: float) -> Mesh:
    return placed(mesh, 0.0, position)


def after(bodies: Sequence[Body], found: Sequence[Settled]) -> list[Floats]:
    """Return boxes around bodies where they came to rest, ``(2, 3)`` each."""
    moved = [
        VIEW.inverse().apply(each.now_from_start.apply(one.vertices))
        for one, each in zip(bodies, found, strict=True)
    ]
    return [np.stack((points.min(axis=0), points.max(axis=0))) for points in moved]


def is_unmoved(found: Settled) -> bool:
    pose = found.now_from_start
    return np.array_equal(pose.rotation, np.eye(3)) and np.array_equal(
        pose.translation_m, np.zeros(3)
    )


def two_boxes(overlap_m: float) -> list[Body]:
    return [
        body(at(box(0.08, 0.06, 0.10), 0.0, 0.0, 0.0)),
        body(at(box(0.06, 0.08, 0.07), 0.07 - overlap_m, 0.01, 0.0)),
    ]


def test_two_boxes_that_overlap_touch_afterwards() -> None:
    bodies = two_boxes(0.005)
    found = settle(bodies, TABLE, LIMITS)
    left, right = after(bodies, found)
    assert right[0, 0] - left[1, 0] == pytest.approx(0.0, abs=3e-4)
    np.testing.assert_allclose([left[0, 1:], right[0, 1:]], [[-0.03, 0], [-0.03, 0]], atol=1e-5)
    assert found[0].report.overlap_before_m == pytest.approx(0.005, abs=1e-5)
    assert found[0].report.overlap_m < 3e-4
    assert found[0].report.shift_m == pytest.approx(0.0025, abs=2e-4)


def test_round_things_touch_afterwards() -> None:
    ball = mesh_from(trimesh.creation.icosphere(subdivisions=4, radius=0.04))
    bodies = [body(at(ball, 0.0, 0.0, 0.04)), body(at(ball, 0.05, 0.055, 0.04))]
    found = settle(bodies, TABLE, LIMITS)
    first, second = (box.mean(axis=0) for box in after(bodies, found))
    assert np.linalg.norm(second - first) == pytest.approx(0.08, abs=3e-4)


def test_who_was_measured_better_moves_less() -> None:
    _, second = two_boxes(0.005)
    sure = body(at(box(0.08, 0.06, 0.10), 0.0, 0.0, 0.0), sigma_m=SURE)
    found = settle([sure, second], TABLE, LIMITS)
    ratio = found[1].report.shift_m / found[0].report.shift_m
    assert ratio == pytest.approx((UNSURE / SURE) ** 2, rel=0.05)


def test_objects_part_along_what_is_least_certain() -> None:
    meshes = [box(0.08, 0.06, 0.10), at(box(0.08, 0.06, 0.10), 0.076, 0.055, 0.0)]
    sigma_m = VIEW.rotation @ np.diag([0.001, 0.010, 0.001]) @ VIEW.rotation.T  # unsure along y
    for variance_m2, way in ((UNSURE**2 * np.eye(3), 0), (sigma_m @ sigma_m, 1)):
        bodies = [Body(mesh.transformed(VIEW), variance_m2, NOTHING, NOTHING) for mesh in meshes]
        found = settle(bodies, TABLE, LIMITS)
        shift_m = np.abs(motion(found[0]).translation_m)
        assert shift_m[way] == pytest.approx((0.002, 0.0025)[way], abs=3e-4)
        assert shift_m[1 - way] == pytest.approx(0.0, abs=1e-5)


def test_what_is_apart_does_not_move_at_all() -> None:
    bodies = [
        body(at(box(0.08, 0.06, 0.10), 0.0, 0.0, 0.0)),
        body(at(box(0.06, 0.08, 0.07), 0.0702, 0.01, 0.0)),
        body(at(can(0.03, 0.12), 0.0, 0.2, 0.0)),
    ]
    for support in (TABLE, None):
        for each in settle(bodies, support, LIMITS):
            assert is_unmoved(each)
            assert each.report.shift_m == each.report.turn_rad == each.report.overlap_m == 0.0


def test_what_sinks_stands_on_the_plane_afterwards() -> None:
    bodies = [body(at(can(0.03, 0.12), 0.0, 0.0, -0.004))]
    (found,) = settle(bodies, TABLE, LIMITS)
    np.testing.assert_allclose(motion(found).translation_m, [0, 0, 0.004], atol=1e-5)
    assert found.report.height_before_m == pytest.approx(-0.004, abs=1e-6)
    assert found.report.height_m == pytest.approx(0.0, abs=1e-5)
    assert found.report.balance_m == pytest.approx(0.03, abs=1e-3)


def seen_side(mesh: Mesh) -> Floats:
    """Return points on what a camera above and in front of a mesh on z = 0 measures."""
    points, _ = sample_surface(mesh, 3000, np.random.default_rng(0))
    high = points.max(axis=0)
    seen: Floats = points[(points > high - 1e-4)[:, [0, 2]].any(axis=1)]
    return seen


def test_what_floats_is_set_down_if_nothing_measured_contradicts() -> None:
    floating, standing = at(box(0.06, 0.06, 0.1), 0, 0, 0.008), box(0.06, 0.06, 0.1)
    for measured in (NOTHING, seen_side(standing)):
        (found,) = settle([body(floating, measured)], TABLE, LIMITS)
        assert motion(found).translation_m[2] == pytest.approx(-0.008, abs=1e-5)
    (found,) = settle([body(floating, seen_side(floating))], TABLE, LIMITS)
    assert is_unmoved(found)
    assert found.report.height_m == pytest.approx(0.008, abs=1e-6)


def test_what_stands_on_another_object_stays_there() -> None:
    bodies = [body(box(0.1, 0.1, 0.01)), body(at(box(0.05, 0.05, 0.08), 0, 0, 0.01))]
    assert all(is_unmoved(each) for each in settle(bodies, TABLE, LIMITS))


def test_what_sinks_into_the_object_below_is_lifted_and_nothing_is_pushed_into_the_table() -> None:
    bodies = [body(box(0.1, 0.1, 0.05)), body(at(box(0.05, 0.05, 0.08), 0, 0, 0.045))]
    found = settle(bodies, TABLE, LIMITS)
    lower, upper = after(bodies, found)
    assert lower[0, 2] == pytest.approx(0.0, abs=1e-4)
    assert upper[0, 2] - lower[1, 2] == pytest.approx(0.0, abs=3e-4)


def test_the_visible_surface_stays_where_it_was_measured() -> None:
    fixed = at(box(0.08, 0.06, 0.10), 0.0, 0.0, 0.0)
    other = at(box(0.06, 0.08, 0.07), 0.06, 0.01, 0.0)
    bodies = [body(fixed, seen_side(fixed)), body(other)]
    found = settle(bodies, TABLE, LIMITS)
    assert found[0].report.shift_m <= LIMITS.max_departure_m + 1e-6
    assert found[1].report.shift_m == pytest.approx(0.01 - found[0].report.shift_m, abs=3e-4)


def test_who_cannot_be_parted_is_left_where_it_was_measured() -> None:
    meshes = [box(0.08, 0.06, 0.10), at(box(0.06, 0.08, 0.07), 0.06, 0.01, 0.0)]
    found = settle([body(mesh, seen_side(mesh)) for mesh in meshes], TABLE, LIMITS)
    assert all(is_unmoved(each) for each in found)
    assert found[0].report.overlap_m == found[0].report.overlap_before_m > 0.009


def test_the_outline_stays_where_it_was_seen() -> None:
    fixed = at(box(0.08, 0.06, 0.10), 0.0, 0.0, 0.0)
    aside = at(box(0.08, 0.06, 0.07), 0.0, 0.056, 0.0)  # depth says nothing about its side
    points = seen_side(aside)
    front = points[points[:, 2] < 0.0699]
    free, held = (
        settle([body(fixed, sigma_m=1e-5), body(aside, front, outline)], TABLE, LIMITS)[1]
        for outline in (NOTHING, front[front[:, 1] < 0.0265])
    )
    assert free.report.shift_m == pytest.approx(0.004, abs=3e-4)
    assert held.report.shift_m == pytest.approx(LIMITS.max_departure_m, abs=3e-4)


def test_three_in_a_row_touch_afterwards() -> None:
    bodies = [body(at(box(0.06, 0.06, 0.1), 0.055 * i, 0.004 * i, 0.0)) for i in range(3)]
    found = settle(bodies, TABLE, LIMITS)
    boxes = after(bodies, found)
    for left, right in pairwise(boxes):
        assert right[0, 0] - left[1, 0] == pytest.approx(0.0, abs=3e-4)
    assert found[1].report.shift_m == pytest.approx(0.0, abs=3e-4)


def test_an_object_inside_another_is_reported_and_not_thrown_out() -> None:
    bodies = [body(box(0.1, 0.1, 0.1)), body(at(can(0.02, 0.05), 0.01, 0.0, 0.02))]
    found = settle(bodies, TABLE, LIMITS)
    assert all(is_unmoved(each) for each in found)
    assert [each.report.inside for each in found] == [False, True]
    assert found[1].report.overlap_m > 0.02


def test_what_is_beyond_the_limits_is_left_and_said() -> None:
    found = settle(two_boxes(0.03), TABLE, SettlingLimits(max_shift_m=0.01))
    assert all(is_unmoved(each) for each in found)
    assert found[0].report.overlap_m == pytest.approx(0.03, abs=1e-4)


def test_the_order_of_objects_does_not_matter() -> None:
    meshes = [at(box(0.06, 0.06, 0.1), 0.056 * i, 0.01 * i**2, -0.002 * i) for i in range(3)]
    meshes.append(at(can(0.03, 0.1), 0.06, 0.055, 0.004))
    first = [each.now_from_start.matrix for each in settle([*map(body, meshes)], TABLE, LIMITS)]
    for order in permutations(range(4)):
        found = settle([body(meshes[index]) for index in order], TABLE, LIMITS)
        for index, each in zip(order, found, strict=True):
            np.testing.assert_array_equal(each.now_from_start.matrix, first[index])


def tilted(mesh: Mesh, angle_rad: float) -> Mesh:
    """Turn a mesh about an oblique level axis and put its lowest point on the plane."""
    axis = np.array([1.0, 0.4, 0.0]) / np.hypot(1.0, 0.4)
    turned = mesh.transformed(Similarity(rotation_from_axis_angle(axis, angle_rad), np.zeros(3)))
    return at(turned, 0, 0, -float(turned.vertices[:, 2].min()))


@pytest.mark.parametrize("mesh", [box(0.06, 0.05, 0.1), can(0.03, 0.12)])
def test_what_stands_on_a_corner_rolls_onto_its_foot(mesh: Mesh) -> None:
    (found,) = settle([body(tilted(mesh, 0.04))], TABLE, LIMITS)
    upright = motion(found).rotation @ rotation_from_axis_angle(
        np.array([1.0, 0.4, 0.0]) / np.hypot(1.0, 0.4), 0.04
    )
    assert upright[2, 2] == pytest.approx(1.0, abs=1e-6)
    assert found.report.turn_rad == pytest.approx(0.04, abs=1e-4)
    assert found.report.height_m == pytest.approx(0.0, abs=1e-5)
    assert found.report.balance_m > 0.02


def test_what_leans_too_far_is_left_and_its_balance_is_said() -> None:
    (found,) = settle([body(tilted(box(0.06, 0.05, 0.1), 0.2))], TABLE, LIMITS)
    assert is_unmoved(found)
    assert found.report.balance_m < -0.01


def test_a_mesh_without_triangles_is_refused() -> None:
    flat = box(0.1, 0.1, 0.1)
    with pytest.raises(ShapeError, match="must have triangles"):
        body(replace(flat, triangles=np.zeros((0, 3), dtype=np.int32)))
