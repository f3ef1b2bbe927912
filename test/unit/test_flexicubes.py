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


"""Surfaces of random fields are closed and have the topology of the field."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage import measure
from torch import Tensor

from sam3d_ros.errors import DecodingError, ReportCode
from sam3d_ros.geometry.measures import is_closed
from sam3d_ros.objects.cube_cases import CORNERS, EDGES, cube_cases
from sam3d_ros.objects.cube_field import NUM_CHANNELS
from sam3d_ros.objects.flexicubes import CubeSurface, extract_surface
from sam3d_ros.structures import Bools, Floats

RESOLUTION = 12
SMOOTHINGS = (0.0, 0.6, 1.0, 2.0)  # of noise, in cubes: from the worst case to tame blobs
BALL_RADIUS = 0.3
Solid = Callable[[Floats, Floats, Floats], Floats]


def noise(seed: int, smoothing: float | None = None) -> Floats:
    """Return a random field on the corners of the grid, positive on its border."""
    rng = np.random.default_rng(seed)
    smoothing = SMOOTHINGS[seed % len(SMOOTHINGS)] if smoothing is None else smoothing
    field = ndimage.gaussian_filter(rng.normal(size=(RESOLUTION + 1,) * 3), smoothing)
    field /= field.std()
    border = np.pad(np.zeros((RESOLUTION - 1,) * 3, dtype=bool), 1, constant_values=True)
    return np.where(border, 0.5 + np.abs(field), field)


def features_of(field: Floats, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return all cubes of a grid with distances of ``field`` and random other channels."""
    resolution = len(field) - 1
    axis = torch.arange(resolution)
    coords = torch.cartesian_prod(axis, axis, axis)
    features = torch.randn(len(coords), NUM_CHANNELS, generator=torch.Generator().manual_seed(seed))
    corners = coords[:, None] + torch.tensor(CORNERS)
    distances = torch.from_numpy(field)[tuple(corners.unbind(dim=-1))]
    features[:, :8] = (distances + 1 / resolution).float()
    return coords, features


def surface_of(field: Floats, seed: int = 0) -> CubeSurface:
    return extract_surface(*features_of(field, seed), len(field) - 1)


def sampled(solid: Solid, resolution: int = 24) -> Floats:
    axis = np.arange(resolution + 1) / resolution - 0.5
    return solid(*np.meshgrid(axis, axis, axis, indexing="ij"))


def ball(x: Floats, y: Floats, z: Floats) -> Floats:
    return np.sqrt(x * x + y * y + z * z) - BALL_RADIUS


def torus(x: Floats, y: Floats, z: Floats) -> Floats:
    return np.hypot(np.hypot(x, y) - 0.3, z) - 0.1


def euler(surface: CubeSurface) -> int:
    """Vertices - edges + triangles of a closed mesh."""
    return len(surface.vertices) - len(surface.triangles) // 2


def num_parts(surface: CubeSurface) -> int:
    a, b = surface.triangles[:, :2].T, surface.triangles[:, 1:].T
    links = torch.cat((a, b), dim=1).numpy()
    return _num_components(links, len(surface.vertices))


# -- closedness and topology of noise


@pytest.mark.parametrize("seed", range(100))
def test_the_surface_of_noise_is_a_closed_manifold_of_the_fields_topology(seed: int) -> None:
    field = noise(seed)

    surface = surface_of(field, seed)

    assert is_closed(surface.triangles.numpy())
    assert len(surface.triangles.unique()) == len(surface.vertices)
    assert every_fan_is_one_cycle(surface)
    assert (euler(surface), num_parts(surface)) == topology_of(field < 0)


def test_where_nothing_is_ambiguous_marching_cubes_finds_the_same_topology() -> None:
    fields = [noise(seed, smoothing=2.5) for seed in range(16)]
    tame = [f for f in fields if not any(_ambiguous(f < 0, axis).any() for axis in range(3))]
    assert len(tame) > 10
    for field in tame:
        surface = surface_of(field)
        vertices, triangles, _, _ = measure.marching_cubes(field, 0.0)
        links = np.concatenate((triangles[:, :2], triangles[:, 1:])).T
        assert euler(surface) == len(vertices) - len(triangles) // 2
        assert num_parts(surface) == _num_components(links, len(vertices))


@pytest.mark.parametrize(
    ("solid", "expected"),
    [
        (ball, 2),
        (torus, 0),
        (lambda x, y, z: np.minimum(ball(2 * (x - 0.2), y, z), ball(2 * (x + 0.25), y, z)), 4),
        (lambda x, y, z: np.abs(ball(x, y, z)) - 0.1, 4),
    ],
    ids=["ball", "torus", "two balls", "hollow ball"],
)
def test_known_solids_have_their_euler_characteristic(solid: Solid, expected: int) -> None:
    surface = surface_of(sampled(solid))
    assert is_closed(surface.triangles.numpy())
    assert euler(surface) == expected


def every_fan_is_one_cycle(surface: CubeSurface) -> bool:
    """Tell whether the triangles around each vertex form one ring.

    A ring for every corner: each triangle's corner at a vertex follows the one with which it shares
    an edge there, so the number of rings must be the number of vertices.
    """
    triangles = surface.triangles.numpy()
    num = len(surface.vertices)
    corners = np.arange(triangles.size).reshape(triangles.shape)
    leaving = {}
    for corner, vertex, following in zip(
        corners.ravel(), triangles.ravel(), np.roll(triangles, -1, axis=1).ravel(), strict=True
    ):
        leaving[int(vertex), int(following)] = int(corner)
    before = np.roll(triangles, 1, axis=1).ravel()
    links = [
        (corner, leaving[int(vertex), int(last)])
        for corner, vertex, last in zip(corners.ravel(), triangles.ravel(), before, strict=True)
    ]
    return _num_components(np.array(links).T, triangles.size) == num


# -- the oracle: topology of the solid from which corners are inside, without any surface


def topology_of(inside: Bools) -> tuple[int, int]:
    """Euler characteristic and number of parts of the surface between inside and outside corners.

    Where two inside corners stand diagonally on a face they are apart and the outside ones are
    together (6-connected inside, 18-connected outside), but for faces between two cubes in each of
    which both sides are in one piece with no other such face: there the inside is joined.
    A surface has twice the Euler characteristic of its solid, which is that of the solid's pieces
    in cubes - faces + edges - corners, each of them a ball. Each part parts the space once more.
    """
    joined = [_ambiguous(inside, axis) & _between_twisted(inside, axis) for axis in range(3)]
    apart = [_ambiguous(inside, axis) & ~joined[axis] for axis in range(3)]
    pieces = _cube_pieces(inside)[0].sum() - inside.sum()
    for axis in range(3):
        pieces += np.logical_or(*_ends(inside, axis)).sum()
        pieces -= _any_corner(inside, axis).sum() + apart[axis].sum()
    num_inside = _num_pieces(inside, joined, inside=True)
    num_outside = _num_pieces(inside, apart, inside=False)
    return 2 * int(pieces), num_inside + num_outside - 1


def _ends(values: Bools, axis: int) -> tuple[Bools, Bools]:
    moved = np.moveaxis(values, axis, 0)
    return np.moveaxis(moved[:-1], 0, axis), np.moveaxis(moved[1:], 0, axis)


def _face_corners(inside: Bools, axis: int) -> list[Bools]:
    """Corners of the faces across an axis: low-low, low-high, high-low, high-high."""
    first, second = (other for other in range(3) if other != axis)
    return [half for part in _ends(inside, first) for half in _ends(part, second)]


def _ambiguous(inside: Bools, axis: int) -> Bools:
    a, b, c, d = _face_corners(inside, axis)
    return (a == d) & (b == c) & (a != b)


def _any_corner(inside: Bools, axis: int) -> Bools:
    return np.logical_or.reduce(_face_corners(inside, axis))


def _cube_pieces(inside: Bools) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of the inside in each cube, and whether the cube is twisted."""
    index = sum(
        inside[x : x - 1 or None, y : y - 1 or None, z : z - 1 or None].astype(int) << k
        for k, (x, y, z) in enumerate(CORNERS)
    )
    table = [_pieces_of_case(case) for case in range(256)]
    return np.array([row[0] for row in table])[index], np.array([row[1] for row in table])[index]


@cache
def _pieces_of_case(case: int) -> tuple[int, bool]:
    cube = np.array([case >> k & 1 for k in range(8)], dtype=bool)
    grid = np.zeros((2, 2, 2), dtype=bool)
    grid[tuple(np.array(CORNERS).T)] = cube
    num_ambiguous = sum(int(_ambiguous(grid, axis).sum()) for axis in range(3))
    num_inside = ndimage.label(grid)[1]
    num_outside = ndimage.label(~grid, structure=ndimage.generate_binary_structure(3, 2))[1]
    return num_inside, (num_inside, num_outside, num_ambiguous) == (1, 1, 1)


def _between_twisted(inside: Bools, axis: int) -> Bools:
    twisted = np.moveaxis(_cube_pieces(inside)[1], axis, 0)
    both = np.zeros((len(twisted) + 1, *twisted.shape[1:]), dtype=bool)
    both[1:-1] = twisted[:-1] & twisted[1:]
    return np.moveaxis(both, 0, axis)


def _num_pieces(corners: Bools, diagonals: list[Bools], *, inside: bool) -> int:
    """Number of connected pieces of one side, across the given diagonals too."""
    number = np.arange(corners.size).reshape(corners.shape)
    side = corners if inside else ~corners
    links = []
    for axis in range(3):
        (a, b), (side_a, side_b) = _ends(number, axis), _ends(side, axis)
        links.append(np.stack((a, b))[:, side_a & side_b])
        n00, n01, n10, n11 = _face_corners(number, axis)
        s00, s01, _, _ = _face_corners(side, axis)
        links.append(np.stack((n00, n11))[:, diagonals[axis] & s00])
        links.append(np.stack((n01, n10))[:, diagonals[axis] & s01])
    _, labels = _components(np.concatenate(links, axis=1), corners.size)
    return len(np.unique(labels[side.ravel()]))


def _components(links: np.ndarray, num: int) -> tuple[int, np.ndarray]:
    graph = coo_array((np.ones(links.shape[1], dtype=np.int8), tuple(links)), shape=(num, num))
    return connected_components(graph, directed=False)


def _num_components(links: np.ndarray, num: int) -> int:
    return int(_components(links, num)[0])


# -- the cases


def test_each_curve_on_a_cube_crosses_at_least_three_edges() -> None:
    groups = cube_cases().groups
    for case in range(256):
        crossed = [(case >> a & 1) != (case >> b & 1) for a, b in EDGES]
        assert (groups[case] >= 0).tolist() == crossed
        _, sizes = groups[case][groups[case] >= 0].unique(return_counts=True)
        assert all(size >= 3 for size in sizes)
        assert len(sizes) == cube_cases().num_groups[case]


def test_the_cases_are_worked_out_once() -> None:
    assert cube_cases() is cube_cases()


# -- geometry


def test_a_ball_of_even_cubes_has_its_radius_and_faces_outwards() -> None:
    coords, features = features_of(sampled(ball))
    features[:, 8:] = 0.0  # no deformation, even weights

    surface = extract_surface(coords, features, 24)

    radius = surface.vertices.norm(dim=1)
    tenth = 0.1 / 24  # of a cube
    torch.testing.assert_close(radius, torch.full_like(radius, BALL_RADIUS), atol=tenth, rtol=0.0)
    a, b, c = surface.vertices[surface.triangles].unbind(dim=1)
    assert (torch.linalg.cross(b - a, c - a) * a).sum(dim=1).min() > 0
    assert volume(surface) == pytest.approx(4 / 3 * np.pi * BALL_RADIUS**3, rel=0.03)


def test_colours_and_normals_of_even_corners_arrive_at_the_vertices() -> None:
    coords, features = features_of(sampled(ball))
    wanted = torch.tensor([0.2, 0.4, 0.8, 0.5, 0.5, 1.0 - 1e-6])
    features[:, 53:] = wanted.logit().repeat(8)

    surface = extract_surface(coords, features, 24)

    torch.testing.assert_close(surface.colors, wanted[:3].expand_as(surface.colors))
    up = torch.tensor([0.0, 0.0, 1.0]).expand_as(surface.normals)
    torch.testing.assert_close(surface.normals, up, atol=1e-4, rtol=0.0)


def test_turning_all_cubes_into_their_neighbours_moves_the_surface_by_one_cube() -> None:
    field = np.full((17,) * 3, 1.0)
    field[2:15, 2:15, 2:15] = noise(7)
    shifted = np.roll(field, 1, axis=2)

    moved, here = surface_of_tame(shifted), surface_of_tame(field)

    # Cubes stay in their order, and with them vertices and triangles.
    expected = here.vertices + torch.tensor([0.0, 0.0, 1 / 16])
    torch.testing.assert_close(moved.vertices, expected, atol=1e-6, rtol=0.0)
    assert torch.equal(moved.triangles, here.triangles)


def test_the_order_of_the_cubes_makes_no_difference() -> None:
    coords, features = features_of(noise(2))
    shuffled = torch.randperm(len(coords), generator=torch.Generator().manual_seed(1))

    one = extract_surface(coords, features, RESOLUTION)
    other = extract_surface(coords[shuffled].int(), features[shuffled], RESOLUTION)

    assert torch.equal(one.vertices, other.vertices)
    assert torch.equal(one.triangles, other.triangles)


def test_cubes_far_from_the_surface_may_be_left_out_outside() -> None:
    field = sampled(ball)
    coords, features = features_of(field)
    near = features[:, :8].amin(dim=1) < 0.2

    surface = extract_surface(coords[near], features[near], 24)

    everywhere = extract_surface(coords, features, 24)
    torch.testing.assert_close(surface.vertices, everywhere.vertices)
    assert torch.equal(surface.triangles, everywhere.triangles)


def test_cubes_left_out_inside_close_the_wall_from_within() -> None:
    coords, features = features_of(sampled(ball))
    wall = features[:, :8].abs().amin(dim=1) < 0.05

    surface = extract_surface(coords[wall], features[wall], 24)

    assert is_closed(surface.triangles.numpy())
    assert (euler(surface), num_parts(surface)) == (4, 2)
    assert volume(surface) < 0.9 * 4 / 3 * np.pi * BALL_RADIUS**3


def test_half_precision_features_are_averaged_in_full_precision() -> None:
    coords, features = features_of(sampled(ball))
    full = extract_surface(coords, features.bfloat16().float(), 24)

    half = extract_surface(coords, features.bfloat16(), 24)

    assert half.vertices.dtype == torch.float32
    assert torch.equal(half.vertices, full.vertices)


def surface_of_tame(field: Floats) -> CubeSurface:
    coords, features = features_of(field)
    features[:, 8:] = 0.0
    return extract_surface(coords, features, len(field) - 1)


def volume(surface: CubeSurface) -> float:
    a, b, c = surface.vertices[surface.triangles].double().unbind(dim=1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


# -- what has no surface


@pytest.mark.parametrize("case", ["none", "nan", "outside", "inside", "beyond", "repeated"])
def test_cubes_without_a_surface_are_named_errors(case: str) -> None:
    coords, features = features_of(np.ones((5,) * 3))
    expected = {
        "none": "at least one cube, got none",
        "nan": "must be finite",
        "outside": "all are outside",
        "inside": "all are inside",
        "beyond": "lie in a grid of 4, got indices from 0 to 4",
        "repeated": "1 of them repeated",
    }[case]
    if case == "none":
        coords, features = coords[:0], features[:0]
    elif case == "nan":
        features[3, 60] = torch.nan
    elif case == "inside":
        features[:, :8] = -1.0
    elif case == "beyond":
        coords[-1] = 4
    elif case == "repeated":
        coords[1] = coords[0]

    with pytest.raises(DecodingError, match=expected) as caught:
        extract_surface(coords, features, 4)

    assert caught.value.code == ReportCode.RECONSTRUCTION


def test_a_surface_on_the_border_alone_is_a_named_error() -> None:
    field = np.ones((5,) * 3)
    field[0, 0, 0] = -1.0

    with pytest.raises(DecodingError, match="only touches the border"):
        surface_of(field)
