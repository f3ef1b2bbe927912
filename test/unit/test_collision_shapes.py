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

"""Laws of the solids that planners are told of: convex, few corners, and the object is inside."""

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from vessels import BOWL_RADIUS_M, MUG_RADIUS_M, MUG_WALL_M, bowl, can, mug

from sam3d_ros.errors import ReconstructionError
from sam3d_ros.geometry.collision import decomposition
from sam3d_ros.geometry.collision.agreement import beyond_all_m, surface_samples
from sam3d_ros.geometry.collision.polytopes import MAX_CORNERS, enclosing_polytope
from sam3d_ros.geometry.collision.shapes import FALL_BACKS, collision_shape
from sam3d_ros.geometry.measures import is_closed
from sam3d_ros.structures import CollisionPart, CollisionShape, Floats, Mesh, ShapeOrder

VESSELS = {"mug": mug, "bowl": bowl, "can": can}
SOLID = ("convex_decomposition", "convex_hull", "box")
ROUNDING_M = 1e-5
needs_coacd = pytest.mark.skipif(find_spec("coacd") is None, reason="coacd is not installed")
Made = Callable[[str, str], tuple[Mesh, CollisionShape]]


@pytest.fixture(scope="module")
def made() -> Made:
    """Return a maker of shapes that makes none twice."""
    known: dict[tuple[str, str], tuple[Mesh, CollisionShape]] = {}

    def make(vessel: str, geometry: str) -> tuple[Mesh, CollisionShape]:
        if (vessel, geometry) not in known:
            mesh = VESSELS[vessel]()
            shape = collision_shape(mesh, ShapeOrder(geometry=geometry))
            known[vessel, geometry] = mesh, shape
        return known[vessel, geometry]

    return make


def behind_m(part: CollisionPart) -> float:
    """Return how far the farthest corner lies outside of the farthest triangle's plane."""
    a, b, c = np.moveaxis(part.vertices[part.triangles], 1, 0)
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return float((part.vertices @ normals.T - np.einsum("fi,fi->f", normals, a)).max())


def volume_m3(part: CollisionPart) -> float:
    a, b, c = np.moveaxis(part.vertices[part.triangles], 1, 0)
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


def cases() -> list[object]:
    return [
        pytest.param(
            vessel, geometry, marks=needs_coacd if geometry == "convex_decomposition" else ()
        )
        for vessel in VESSELS
        for geometry in SOLID
    ]


@pytest.mark.parametrize(("vessel", "geometry"), cases())
def test_every_part_is_convex_closed_and_has_few_corners(
    made: Made, vessel: str, geometry: str
) -> None:
    _, shape = made(vessel, geometry)
    assert shape.geometry == geometry
    assert not shape.why
    assert shape.is_watertight
    assert len(shape.parts) <= ShapeOrder().max_hulls
    for part in shape.parts:
        assert len(part.vertices) <= MAX_CORNERS
        assert is_closed(part.triangles)
        assert volume_m3(part) > 0
        assert behind_m(part) < ROUNDING_M


@pytest.mark.parametrize(("vessel", "geometry"), cases())
def test_the_object_lies_inside_as_deep_as_the_padding(
    made: Made, vessel: str, geometry: str
) -> None:
    mesh, shape = made(vessel, geometry)
    beyond_m = beyond_all_m(surface_samples(mesh), shape.parts)
    assert beyond_m.max() <= -ShapeOrder().padding_m + ROUNDING_M
    assert shape.uncovered_m == 0.0


@needs_coacd
def test_the_hollow_of_a_mug_stays_open(made: Made) -> None:
    _, shape = made("mug", "convex_decomposition")
    within_m = MUG_RADIUS_M - MUG_WALL_M - 0.009  # of padding, and of what straight sides cut off
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    heights_m = np.linspace(-0.03, 0.044, 12)
    hollow = [
        (radius * np.cos(turn), radius * np.sin(turn), height)
        for radius in (0.0, within_m)
        for turn in turns
        for height in heights_m
    ]
    assert beyond_all_m(np.array(hollow), shape.parts).min() > 0
    hull = made("mug", "convex_hull")[1]
    assert beyond_all_m(np.array(hollow), hull.parts).max() < 0
    assert shape.volume_m3 < 0.7 * hull.volume_m3
    assert shape.hausdorff_m < 0.01 < hull.hausdorff_m


@needs_coacd
def test_a_bowl_stays_open(made: Made) -> None:
    _, shape = made("bowl", "convex_decomposition")
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200, 3))
    directions[:, 2] = -np.abs(directions[:, 2])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hollow = 0.7 * BOWL_RADIUS_M * directions
    assert (beyond_all_m(hollow, shape.parts) > 0).mean() > 0.95


@needs_coacd
def test_what_is_convex_stays_in_one_piece(made: Made) -> None:
    _, shape = made("can", "convex_decomposition")
    assert len(shape.parts) == 1


@pytest.mark.parametrize("vessel", VESSELS)
def test_figures_are_those_of_the_solids(made: Made, vessel: str) -> None:
    mesh, shape = made(vessel, "box")
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    padded = np.prod(high - low + 2 * ShapeOrder().padding_m)
    assert shape.volume_m3 == pytest.approx(padded, rel=0.1)
    np.testing.assert_allclose(shape.bounds, [low, high], atol=1e-6)
    corner_m = np.sqrt(3) * ShapeOrder().padding_m
    assert shape.hausdorff_m > corner_m


def test_a_box_without_padding_is_the_box(make_box: Callable[..., Mesh]) -> None:
    mesh = make_box(0.1, 0.2, 0.3)
    shape = collision_shape(mesh, ShapeOrder(geometry="convex_hull", padding_m=0.0))
    (part,) = shape.parts
    assert len(part.vertices) == 8
    assert shape.hausdorff_m == pytest.approx(0.0, abs=1e-5)
    assert shape.volume_m3 == pytest.approx(0.006, rel=0.01)


def test_a_decimated_mesh_says_how_far_the_object_sticks_out(made: Made) -> None:
    _, shape = made("mug", "decimated")
    assert shape.geometry == "decimated"
    assert len(shape.parts) == 1
    assert 0 <= shape.uncovered_m < 0.005
    assert shape.hausdorff_m < 0.01


# What cannot be made


def test_without_the_library_there_is_one_hull_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "coacd", None)
    shape = collision_shape(can(0.006), ShapeOrder())
    assert shape.geometry == "convex_hull"
    assert "no convex_decomposition: coacd cannot be had" in shape.why
    assert "pip install coacd" in shape.why


def test_more_pieces_than_wanted_become_one_hull(monkeypatch: pytest.MonkeyPatch) -> None:
    class Crumbler:
        Mesh = set_log_level = staticmethod(lambda *_: None)

        @staticmethod
        def run_coacd(mesh: object, **settings: object) -> list[tuple[Floats, None]]:
            assert settings["max_convex_hull"] == 2
            return [(np.eye(4, 3), None)] * 3

    monkeypatch.setattr(decomposition, "coacd", Crumbler)
    shape = collision_shape(can(0.006), ShapeOrder(max_hulls=2))
    assert shape.geometry == "convex_hull"
    assert shape.why == "no convex_decomposition: 3 convex pieces, at most 2 are wanted"


def test_an_open_mesh_becomes_one_hull() -> None:
    closed = can(0.006)
    shape = collision_shape(replace(closed, triangles=closed.triangles[:-1]), ShapeOrder())
    assert shape.geometry == "convex_hull"
    assert "only a closed mesh" in shape.why


def test_a_sheet_is_given_a_thickness() -> None:
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    part = enclosing_polytope(square, padding_m=0.01)
    assert np.ptp(part.vertices[:, 2]) == pytest.approx(0.02, abs=1e-3)
    assert behind_m(part) < ROUNDING_M


def test_what_is_no_mesh_is_refused() -> None:
    with pytest.raises(ReconstructionError, match="four finite points at least, got 3"):
        enclosing_polytope(np.eye(3))


def test_a_polytope_of_a_ball_stays_close_with_few_corners() -> None:
    points = np.random.default_rng(0).normal(size=(2000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    part = enclosing_polytope(points, max_corners=64)
    assert 40 < len(part.vertices) <= 64
    assert np.linalg.norm(part.vertices, axis=1).max() < 1.25
    assert beyond_all_m(points, [part]).max() < ROUNDING_M


def test_every_choice_ends_in_a_box() -> None:
    assert {order[0] for order in FALL_BACKS.values()} == set(FALL_BACKS)
    assert all(order[-1] == "box" for order in FALL_BACKS.values())
    assert decomposition.MAX_TRIANGLES > 100
