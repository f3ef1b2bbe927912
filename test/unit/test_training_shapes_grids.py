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

"""Laws of shapes on grids."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from sam3d_ros.errors import ConfigError
from sam3d_ros.geometry.measures import is_closed
from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.training.shapes import Program, Shape, ShapeGrids, gridded, shape_of
from sam3d_ros.training.shapes.combining import Moved, Union, Wall
from sam3d_ros.training.shapes.deforming import Stretched
from sam3d_ros.training.shapes.families import BUILDERS
from sam3d_ros.training.shapes.families.finish import WALL
from sam3d_ros.training.shapes.grids import FAR, SIDE
from sam3d_ros.training.shapes.nodes import Solid
from sam3d_ros.training.shapes.painting import Mixed, Plain, Waves
from sam3d_ros.training.shapes.primitives import Ball, Box
from sam3d_ros.training.shapes.shape import measured

RESOLUTION = 64
FINE = 96  # to measure walls
VOXEL = SIDE / RESOLUTION
CPU = torch.device("cpu")
FAMILIES = list(BUILDERS)
SHELLS = ("bowl", "cup", "mug", "tray", "basket")
PAINT = Mixed(Waves(((60.0, 20.0, 0.0, 0.3),)), Plain((1.0, 0.2, 0.0)), Plain((0.0, 0.4, 1.0)))


def _shape(solid: Solid) -> Shape:
    return Shape(program=Program(solid, PAINT), family="test", seed=0, bounds_m=measured(solid))


def _middles(shape: Shape) -> Tensor:
    """Return the middles of the voxels in the frame of a program, ``(N, N, N, 3)`` in metres."""
    line = ((torch.arange(RESOLUTION) + 0.5) / RESOLUTION - 0.5) * SIDE
    cube = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1)
    return cube * max(shape.extent_m) + torch.tensor(shape.centre_m)


@pytest.fixture(scope="module")
def shapes() -> Sequence[Shape]:
    return [shape_of(family, 1) for family in FAMILIES]


@pytest.fixture(scope="module")
def grids(shapes: Sequence[Shape]) -> ShapeGrids:
    return gridded(shapes, RESOLUTION, CPU)


@pytest.mark.parametrize(
    ("solid", "exact"),
    [
        (Ball((0.05, 0.05, 0.05)), None),
        (Moved(Box((0.05, 0.03, 0.02), 0.004), (0.1, 0.0, 0.0), (0.3, 0.5, 0.2)), None),
        (Stretched(Box((0.02, 0.02, 0.02)), (4.0, 4.0, 4.0)), Box((0.08, 0.08, 0.08))),
        (Stretched(Ball((0.05, 0.05, 0.05)), (1.0, 1.0, 0.25)), None),
    ],
    ids=["ball", "turned box", "field scaled", "field squeezed"],
)
def test_distances_are_measured_whatever_the_field_says(solid: Solid, exact: Solid | None) -> None:
    shape = _shape(solid)
    truth = Program(exact or solid, PAINT).distance(_middles(shape)) / max(shape.extent_m)
    inside = truth < 0.0
    if "Stretched" in repr(solid) and exact is None:  # no formula: count voxels
        truth = torch.from_numpy(_counted(inside.numpy()))
    truth = truth.clamp(-FAR, FAR)

    distance = gridded([shape], RESOLUTION, CPU).distance[0]

    error = (distance - truth).abs() / VOXEL
    assert float(error.mean()) < (0.1 if exact or "Stretched" not in repr(solid) else 0.4)
    assert float(error.max()) < 1.2
    assert bool(((distance < 0.0) == inside)[truth.abs() > 0.2 * VOXEL].all())


def _counted(inside: np.ndarray) -> np.ndarray:
    outer = ndimage.distance_transform_edt(~inside) - 0.5
    return np.asarray(np.where(inside, 0.5 - ndimage.distance_transform_edt(inside), outer)) * VOXEL


def test_what_is_inside_a_program_is_inside_its_grid(
    shapes: Sequence[Shape], grids: ShapeGrids
) -> None:
    for shape, distance in zip(shapes, grids.distance, strict=True):
        field = shape.program.distance(_middles(shape))
        wrong = ((field < 0.0) != (distance < 0.0)) & (distance.abs() > 0.2 * VOXEL)
        assert float(wrong.float().mean()) < 1e-5, shape.family


def test_distances_grow_by_one_for_each_unit_of_way(grids: ShapeGrids) -> None:
    slopes = torch.gradient(grids.distance, spacing=VOXEL, dim=(1, 2, 3))
    length = torch.stack(slopes).norm(dim=0)
    outside = (grids.distance > 0.5 * VOXEL) & (grids.distance < 0.8 * FAR)

    for family, each, near in zip(FAMILIES, length, outside, strict=True):
        assert float(each[near].median()) == pytest.approx(1.0, abs=0.05), family
        assert float(each[near].quantile(0.99)) < 1.3, family


def test_surfaces_are_closed_and_in_one_piece(grids: ShapeGrids) -> None:
    for family, distance in zip(FAMILIES, grids.distance, strict=True):
        _, triangles = isosurface(distance.numpy().astype(np.float64), VOXEL)
        _, pieces = ndimage.label(distance.numpy() < 0.0, structure=np.ones((3, 3, 3)))
        assert is_closed(triangles), family
        assert pieces == 1, family


def test_bounds_contain_the_surface_and_touch_it(grids: ShapeGrids) -> None:
    for family, distance, extent in zip(FAMILIES, grids.distance, grids.extent, strict=True):
        vertices, _ = isosurface(distance.numpy().astype(np.float64), VOXEL)
        vertices = vertices - (SIDE - VOXEL) / 2  # from the middle of the first voxel
        half = extent.numpy() / 2
        assert np.abs(vertices.max(axis=0) - half).max() < 1.2 * VOXEL, family
        assert np.abs(vertices.min(axis=0) + half).max() < 1.2 * VOXEL, family


def test_the_largest_extent_is_one_and_in_metres_that_of_a_household_object(
    grids: ShapeGrids,
) -> None:
    assert torch.equal(grids.extent.amax(dim=-1), torch.ones(len(FAMILIES)))
    assert float(grids.largest_m.min()) > 0.025
    assert float(grids.largest_m.max()) < 0.36


def _thin_share(shape: Shape) -> float:
    """Return the share of the inside that no ball of diameter ``WALL`` within it covers."""
    distance = gridded([shape], FINE, CPU).distance[0].numpy()
    slack = 0.6 * SIDE / FINE  # samples miss the middle of a wall
    inside, core = distance < 0.0, distance < slack - WALL / 2
    reach = ndimage.distance_transform_edt(~core) * (SIDE / FINE)
    covered = core.any() and (inside & (reach < WALL / 2 + slack)).sum() / inside.sum()
    return 1.0 - float(covered)


@pytest.mark.parametrize("family", SHELLS)
def test_walls_are_as_thick_as_a_grid_of_64_resolves(family: str) -> None:
    assert _thin_share(shape_of(family, 2)) < 0.1


def test_a_wall_half_as_thick_would_be_noticed() -> None:
    diameter = 0.1

    thick = _thin_share(_shape(Wall(Ball((diameter / 2,) * 3), diameter * WALL)))
    thin = _thin_share(_shape(Wall(Ball((diameter / 2,) * 3), diameter * WALL / 2)))

    assert thick < 0.1
    assert thin > 0.5


def test_colors_are_the_paint_where_the_surface_is() -> None:
    shape = _shape(Union((Ball((0.05, 0.04, 0.03)), Box((0.06, 0.01, 0.01)))))
    grids = gridded([shape], RESOLUTION, CPU)
    near = grids.distance[0].abs() < VOXEL

    painted = shape.program.color(_middles(shape))

    torch.testing.assert_close(grids.colors[0].movedim(0, -1)[near], painted[near])


def test_shapes_do_not_depend_on_the_company_in_which_they_are_sampled() -> None:
    shapes = [shape_of("mug", 4), shape_of("csg", 5)]

    together = gridded(shapes, 32, CPU)

    alone = gridded(shapes[1:], 32, CPU)
    assert torch.equal(together.distance[1], alone.distance[0])
    assert torch.equal(together.colors[1], alone.colors[0])
    assert (together.families, together.seeds) == (("mug", "csg"), (4, 5))


@pytest.mark.parametrize(("count", "resolution"), [(1, 63), (1, 6), (0, 64)])
def test_a_grid_that_cannot_be_is_refused(count: int, resolution: int) -> None:
    with pytest.raises(ConfigError, match="even resolution >= 8"):
        gridded([_shape(Ball((0.1, 0.1, 0.1)))] * count, resolution, CPU)
