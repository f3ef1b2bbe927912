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

"""Estimated depth is brought to the metres of readings, whatever some of those say."""

import numpy as np
import pytest

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.depth_alignment import MIN_READINGS, align_depth
from sam3d_ros.structures import Floats


def estimate(size: tuple[int, int] = (60, 80)) -> Floats:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (1.0 + 0.02 * rows + 0.3 * np.sin(columns / 9)).astype(np.float32)


@pytest.mark.parametrize("offset_m", [-0.3, 0.0, 0.5])
def test_scale_and_offset_are_found(offset_m: float) -> None:
    z = estimate()

    found = align_depth(z, 0.7 * z + offset_m)

    assert found is not None
    assert (found.scale, found.offset_m) == pytest.approx((0.7, offset_m), abs=1e-3)
    assert found.num_readings == z.size
    np.testing.assert_allclose(found.apply(z), 0.7 * z + offset_m, rtol=1e-3)


def test_readings_that_are_far_off_have_no_say() -> None:
    rng = np.random.default_rng(0)
    z = estimate()
    measured_m = 0.7 * z + 0.2 + rng.normal(0, 0.002, z.shape)
    wrong = rng.random(z.shape) < 0.3
    measured_m[wrong] = rng.uniform(0.1, 9.0, int(wrong.sum()))

    found = align_depth(z, measured_m)

    assert found is not None
    assert (found.scale, found.offset_m) == pytest.approx((0.7, 0.2), abs=0.02)
    assert found.difference < 0.01


def test_of_a_flat_estimate_only_the_scale_is_told() -> None:
    z = 2.0 + 0.01 * estimate()

    found = align_depth(z, 0.5 * z)

    assert found is not None
    assert (found.scale, found.offset_m) == pytest.approx((0.5, 0.0))


def test_an_estimate_is_never_turned_over() -> None:
    z = estimate()

    found = align_depth(z, 4.0 - z)

    assert found is not None
    assert found.scale > 0
    assert found.difference > 0.1  # and it says that it does not fit


def test_few_readings_are_none() -> None:
    z = estimate()
    measured_m = np.full(z.shape, np.nan)
    assert align_depth(z, measured_m) is None
    measured_m.flat[: MIN_READINGS - 1] = 1.0
    assert align_depth(z, measured_m) is None
    measured_m.flat[:MIN_READINGS] = 1.0
    assert align_depth(z, measured_m) is not None


def test_what_would_lie_behind_the_camera_is_unknown() -> None:
    z = estimate()
    found = align_depth(z, np.where(z > 1.2, z - 1.0, np.nan))
    assert found is not None
    depth_m = found.apply(z)
    assert np.isnan(depth_m[z < 0.99]).all()
    assert (depth_m[z > 1.01] > 0).all()


def test_maps_of_other_sizes_are_refused() -> None:
    with pytest.raises(ShapeError, match="measured_m"):
        align_depth(estimate(), np.ones((3, 4)))
