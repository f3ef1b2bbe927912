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


"""The fast mesh is closed whatever is occupied, and lies where the surface is."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage

from sam3d_ros.errors import DecodingError, ReconstructionError, ReportCode
from sam3d_ros.geometry.measures import bounds, is_watertight, volume_m3
from sam3d_ros.geometry.meshes import signed_distance
from sam3d_ros.objects.colored_points import ColoredPoints
from sam3d_ros.objects.cube_cases import CORNERS
from sam3d_ros.objects.fast_mesh import fast_mesh
from sam3d_ros.objects.finishing import mesh_from_surface
from sam3d_ros.objects.flexicubes import CubeSurface, extract_surface
from sam3d_ros.structures import Floats, Mesh

SIZE = 32  # voxels along a side
CONFIDENT = 8.0  # logit of an occupied voxel
Solid = Callable[[Floats], Floats]


def ball(points: Floats) -> Floats:
    return np.linalg.norm(points, axis=-1) - 0.35


def box(points: Floats) -> Floats:
    beyond = np.abs(points) - np.array([0.3, 0.25, 0.2])
    return np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(axis=-1), 0)


def torus(points: Floats) -> Floats:
    return np.hypot(np.hypot(points[..., 0], points[..., 1]) - 0.3, points[..., 2]) - 0.1


def shell_logits(solid: Solid, size: int = SIZE, samples: int = 4) -> Floats:
    """Occupy the voxels that the surface passes through."""
    axis = np.arange(size * samples + 1) / (size * samples) - 0.5
    distance = solid(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1))
    middles = (slice(samples // 2, None, samples),) * 3
    low = ndimage.minimum_filter(distance, samples + 1)[middles]
    high = ndimage.maximum_filter(distance, samples + 1)[middles]
    return np.where((low < 0) & (high > 0), CONFIDENT, -CONFIDENT)


def full_surface(solid: Solid, resolution: int = 2 * SIZE) -> CubeSurface:
    """Extract the same solid from cubes twice as fine, those inside and near the surface."""
    axis = torch.arange(resolution)
    coords = torch.cartesian_prod(axis, axis, axis)
    middles = ((coords + 0.5) / resolution - 0.5).numpy()
    coords = coords[torch.from_numpy(solid(middles)) < 2 / resolution]
    features = torch.zeros(len(coords), 101)
    for k, corner in enumerate(CORNERS):
        points = ((coords + torch.tensor(corner)) / resolution - 0.5).numpy()
        features[:, k] = torch.from_numpy(solid(points)) + 1 / resolution
    return extract_surface(coords, features, resolution)


@pytest.mark.parametrize("solid", [ball, box, torus])
def test_the_fast_mesh_lies_within_a_fraction_of_a_voxel_of_the_surface(solid: Solid) -> None:
    mesh = fast_mesh(shell_logits(solid))

    assert is_watertight(mesh)
    distance = SIZE * solid(mesh.vertices.astype(np.float64))  # voxels
    assert np.abs(distance).mean() < 0.3
    assert abs(distance.mean()) < 0.2  # the shell's outer face is 0.5 to 0.87 outside


@pytest.mark.parametrize("solid", [ball, torus])
def test_fast_and_full_mesh_agree_within_a_hundredth_of_the_cube(solid: Solid) -> None:
    fast = fast_mesh(shell_logits(solid))
    full = mesh_from_surface(full_surface(solid))

    to_full = np.abs(signed_distance(full, fast.vertices)).mean()
    to_fast = np.abs(signed_distance(fast, full.vertices)).mean()
    assert max(to_full, to_fast) < 0.01


def test_what_reaches_the_border_of_the_cube_is_closed_too() -> None:
    logits = np.full((8, 8, 8), CONFIDENT)
    mesh = fast_mesh(logits)
    assert is_watertight(mesh)
    # The cells are all there is: the surface passes through the middle of the outermost on average.
    assert 0.3 < volume_m3(mesh) <= 1.0


@pytest.mark.parametrize("seed", range(20))
def test_scattered_voxels_are_closed_too(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(-1.0, 1.0, (12, 12, 12))
    assert is_watertight(fast_mesh(logits))
    assert is_watertight(fast_mesh(np.copysign(CONFIDENT, logits)))


def test_walls_thinner_than_the_smoothing_remain() -> None:
    logits = np.full((SIZE,) * 3, -CONFIDENT)
    logits[8:24, 8:24, 16] = CONFIDENT  # a sheet
    logits[16, 16, 4:16] = CONFIDENT  # on a stick
    mesh = fast_mesh(logits)
    low, high = bounds(mesh)
    assert is_watertight(mesh)
    assert SIZE * (low[2] + 0.5) == pytest.approx(4.5, abs=0.5)
    assert SIZE * (high[:2] + 0.5) == pytest.approx(23.5, abs=1.0)


def test_one_voxel_is_a_small_closed_mesh_in_its_place() -> None:
    logits = np.full((8, 8, 8), -CONFIDENT)
    logits[2, 5, 6] = CONFIDENT
    mesh = fast_mesh(logits)
    assert is_watertight(mesh)
    middle = (np.array([2, 5, 6]) + 0.5) / 8 - 0.5
    np.testing.assert_allclose(bounds(mesh).mean(axis=0), middle, atol=1e-6)


def test_doubt_moves_the_surface_less_than_a_voxel_and_towards_the_doubtful_side() -> None:
    sure = shell_logits(ball)
    doubtful = sure.copy()
    doubtful[(sure < 0) & ndimage.binary_dilation(sure > 0)] = -0.3
    grown = fast_mesh(doubtful)
    step = SIZE * (radius(grown) - radius(fast_mesh(sure)))
    assert 0.1 < step < 1.0


def radius(mesh: Mesh) -> float:
    return float(np.linalg.norm(mesh.vertices, axis=1).mean())


def test_vertices_take_the_colour_of_the_nearest_point() -> None:
    ends = ColoredPoints(
        np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]), np.array([[1.0, 0.0, 0.2], [0.0, 1.0, 0.2]])
    )
    mesh = fast_mesh(shell_logits(ball), ends)
    left, right = mesh.colors[mesh.vertices[:, 0] < -0.01], mesh.colors[mesh.vertices[:, 0] > 0.01]
    assert (left == [255, 0, 51]).all()
    assert (right == [0, 255, 51]).all()


def test_several_points_are_weighted_by_nearness() -> None:
    ends = ColoredPoints(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), np.eye(3)[:2])
    colors = ends.at(np.array([[0.25, 0.0, 0.0], [0.0, 0.0, 0.0]]), num_nearest=4)
    np.testing.assert_allclose(colors, [[0.75, 0.25, 0.0], [1.0, 0.0, 0.0]], atol=1e-3)


@pytest.mark.parametrize(
    ("value", "expected"), [(np.nan, "must be finite"), (-1.0, "occupies none")]
)
def test_logits_without_a_surface_are_named_errors(value: float, expected: str) -> None:
    with pytest.raises(DecodingError, match=expected) as caught:
        fast_mesh(np.full((4, 4, 4), value))
    assert caught.value.code == ReportCode.RECONSTRUCTION


def test_no_coloured_points_is_a_named_error() -> None:
    with pytest.raises(ReconstructionError, match="at least one, got 0"):
        ColoredPoints(np.zeros((0, 3)), np.zeros((0, 3)))
