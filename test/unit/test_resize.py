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

"""Resizing obeys its own formulas, and unknown points stay unknown."""

import pytest
import torch
from torch import Tensor

from sam3d_ros.nn.resize import resize_bilinear, resize_nearest, resize_point_map


def triangle_weights(source: int, target: int) -> Tensor:
    """Return the (target, source) matrix of a triangle filter as wide as a target pixel."""
    scale = max(source / target, 1.0)
    centres = (torch.arange(target) + 0.5) * source / target - 0.5
    distance = (torch.arange(source)[None] - centres[:, None]).abs() / scale
    weights = (1 - distance).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(7, 5), (20, 30), (11, 40), (23, 17)], ids=str)
def test_bilinear_resizing_is_a_triangle_filter(batch: int, size: tuple[int, int]) -> None:
    image = torch.rand(batch, 3, 23, 17, generator=torch.Generator().manual_seed(0))

    expected = triangle_weights(23, size[0]) @ image @ triangle_weights(17, size[1]).T

    torch.testing.assert_close(resize_bilinear(image, size), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(7, 5), (20, 30), (23, 17)], ids=str)
def test_nearest_resizing_rounds_down(size: tuple[int, int]) -> None:
    image = torch.rand(2, 1, 23, 17, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(size[0]) * 23 // size[0]
    columns = torch.arange(size[1]) * 17 // size[1]

    torch.testing.assert_close(
        resize_nearest(image, size), image[..., rows[:, None], columns], atol=0, rtol=0
    )


def test_a_point_map_is_unknown_where_the_nearest_pixel_is() -> None:
    points = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0)) + 1
    points[0, 1, 2, 3] = torch.nan  # one coordinate makes the point unknown

    resized = resize_point_map(points, (12, 16))

    unknown = resized.isnan()
    assert unknown.sum() == 3 * 4
    assert unknown[0, :, 4:6, 6:8].all()


def test_a_point_map_of_the_same_size_stays_as_it_is() -> None:
    points = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    points[..., 2:4, 5] = torch.nan

    torch.testing.assert_close(
        resize_point_map(points, (6, 8)), points, equal_nan=True, atol=1e-7, rtol=0
    )
