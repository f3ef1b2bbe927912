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

"""Estimated depth, known up to a scale and an offset, in the metres of what was measured."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Floats

MIN_READINGS = 100
MAX_READINGS = 20_000  # that are looked at
MIN_SPREAD = 0.1  # of estimated depth, over its median, from which on an offset can be told
NUM_ROUNDS = 50
CLOSE = 1e-4  # relative difference within which readings weigh alike


@dataclass(frozen=True, slots=True)
class DepthAlignment:
    """``depth_m = scale * estimated + offset_m``, and how well that agrees."""

    scale: float
    offset_m: float
    num_readings: int  # that were fitted
    difference: float  # median of |fitted - measured| / measured

    def apply(self, estimated: Floats) -> Floats:
        """Return depth in metres, NaN where it would not be in front of the camera."""
        depth_m = self.scale * estimated + self.offset_m
        return np.where(depth_m > 0, depth_m, np.nan).astype(np.float32)


def align_depth(estimated: Floats, measured_m: Floats) -> DepthAlignment | None:
    """Fit estimated depth to readings ``(H, W)``; None where there are too few of them.

    Minimises the sum of relative differences ``|scale z + offset - d| / d``, so that readings that
    are far off have next to no say, by least squares that are weighted anew again and again. Where
    the estimate is flat, or the fit would turn it over, there is no offset.
    """
    check_shape(measured_m, f"{estimated.shape[0]} {estimated.shape[1]}", "measured_m")
    known = np.isfinite(estimated) & np.isfinite(measured_m) & (estimated > 0) & (measured_m > 0)
    if (num := int(known.sum())) < MIN_READINGS:
        return None
    step = -(-num // MAX_READINGS)
    z, d = (values[known][::step].astype(np.float64) for values in (estimated, measured_m))
    low, middle, high = np.percentile(z, (10, 50, 90))
    scale, offset_m = _affine(z, d) if high - low > MIN_SPREAD * middle else (0.0, 0.0)
    if not scale > 0:
        scale, offset_m = float(np.median(d / z)), 0.0
    difference = float(np.median(np.abs(scale * z + offset_m - d) / d))
    return DepthAlignment(scale, offset_m, len(z), difference)


def _affine(z: Floats, d: Floats) -> tuple[float, float]:
    """Return scale and offset with the least sum of relative differences."""
    columns = np.stack((z / d, 1 / d), axis=1)
    weights = np.ones(len(z))
    for _ in range(NUM_ROUNDS):
        weighted = columns * weights[:, None]
        solution, *_ = np.linalg.lstsq(weighted.T @ columns, weighted.sum(axis=0), rcond=None)
        weights = 1 / np.maximum(np.abs(columns @ solution - 1), CLOSE)
    scale, offset_m = solution
    return float(scale), float(offset_m)
