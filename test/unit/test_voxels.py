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

"""Voxels of a surface: none too many, none missing, the object where it was."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sam3d_ros.errors import DecodingError, ReportCode
from sam3d_ros.objects.voxels import (
    MAX_VOXELS,
    SurfaceVoxels,
    halved,
    occupied_coords,
    surface_of,
    surface_voxels,
)
from sam3d_ros.structures import Floats

CENTRE, RADIUS = (9.0, 12.0, 15.0), 7.5


def ball(size: int = 24) -> Tensor:
    """Return logits that are the distance below the surface of a ball off the middle."""
    grid = torch.stack(torch.meshgrid(*(torch.arange(float(size)),) * 3, indexing="ij"), dim=-1)
    return RADIUS - (grid - torch.tensor(CENTRE)).norm(dim=-1)


def centres_object(voxels: SurfaceVoxels, size: int) -> Floats:
    centres = (voxels.coords.double().numpy() + 0.5) / size - 0.5
    return voxels.object_from_voxels.apply(centres)


def test_the_surface_keeps_every_voxel_beside_an_empty_one_and_no_other() -> None:
    occupied = ball() > 0
    surface = surface_of(occupied)

    expected = torch.zeros_like(occupied)
    for x, y, z in occupied.nonzero().tolist():
        beside = occupied[x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2]
        expected[x, y, z] = not beside.all()
    assert torch.equal(surface, expected)
    assert 0 < surface.sum() < occupied.sum()


def test_a_full_grid_has_its_faces_for_a_surface() -> None:
    surface = surface_of(torch.ones(2, 5, 5, 5, dtype=torch.bool))

    assert surface.sum() == 2 * (5**3 - 3**3)


def test_objects_of_a_batch_do_not_touch() -> None:
    occupied = torch.stack((ball() > 0, ball() > 3))

    assert torch.equal(surface_of(occupied)[1], surface_of(occupied[1]))


def test_few_voxels_stay_as_they_are() -> None:
    voxels = surface_voxels(ball())

    assert torch.equal(voxels.coords, occupied_coords(surface_of(ball() > 0)))
    assert voxels.coords.dtype == torch.int32
    assert voxels.object_from_voxels.scale == 1.0


@pytest.mark.parametrize(("limit", "factor"), [(400, 2.0), (90, 4.0), (1, 8.0)])
def test_too_many_voxels_are_halved_until_they_fit(limit: int, factor: float) -> None:
    voxels = surface_voxels(ball(), max_voxels=limit)

    assert 0 < len(voxels.coords) <= limit
    assert voxels.object_from_voxels.scale == factor


def test_halving_twice_gives_the_same_voxels() -> None:
    first, second = (surface_voxels(ball(), max_voxels=90) for _ in range(2))

    assert torch.equal(first.coords, second.coords)


def test_a_halved_object_stands_where_it_stood() -> None:
    size = 24
    whole, half = surface_voxels(ball()), surface_voxels(ball(), max_voxels=400)

    expected, actual = centres_object(whole, size), centres_object(half, size)
    for bound in (np.min, np.max):
        np.testing.assert_allclose(bound(actual, axis=0), bound(expected, axis=0), atol=1.01 / size)
    np.testing.assert_allclose(actual.mean(axis=0), expected.mean(axis=0), atol=0.5 / size)


def test_a_halved_surface_has_no_holes() -> None:
    half = surface_voxels(ball(), max_voxels=400)
    occupied = torch.zeros(24, 24, 24, dtype=torch.bool)
    occupied[tuple(half.coords.long().T)] = True

    x, y, z = (round(c) for c in half.coords.double().mean(dim=0).tolist())
    for axis in (occupied[:, y, z], occupied[x, :, z], occupied[x, y]):
        assert axis.sum() >= 2  # a wall on either side of the middle


def test_half_of_the_released_grid_always_fits() -> None:
    for side in range(2, 65):
        corners = torch.tensor([[0, 0, 0], [side - 1] * 3], dtype=torch.int32)
        low, high = halved(corners)[[0, -1]]

        assert (high - low + 1).prod() <= 33**3 <= MAX_VOXELS


def test_halving_keeps_the_index_in_a_batch() -> None:
    coords = occupied_coords(torch.stack((ball() > 0, ball() > 3)))

    rows = halved(coords)

    assert rows[:, 0].unique().tolist() == [0, 1]
    assert torch.equal(rows, torch.unique(rows, dim=0))


def test_a_plate_keeps_its_one_layer() -> None:
    plate = occupied_coords(torch.ones(8, 8, 1, dtype=torch.bool)) + torch.tensor([0, 0, 5])

    assert halved(plate.int())[:, 2].unique().tolist() == [5]


def test_no_occupied_voxel_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(
        DecodingError, match=r"occupies none \(highest logit -0.5\); check"
    ) as error:
        surface_voxels(torch.full((4, 4, 4), -0.5))
    assert error.value.code == ReportCode.RECONSTRUCTION


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_not_numbers_are_refused(value: float) -> None:
    logits = ball()
    logits[0, 0, 0] = value

    with pytest.raises(DecodingError, match="must be finite, are not; try bfloat16"):
        surface_voxels(logits)
