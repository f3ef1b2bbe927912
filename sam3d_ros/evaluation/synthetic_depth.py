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

"""What a stereo depth camera makes of a true depth image.

Such a camera measures disparity ``d = f b / z``, so an error of disparity grows with ``z^2`` in
depth. It sees nothing where its second eye cannot look or where a surface is nearly edge-on,
blurs the two sides of an edge into points that float between them, and quantises.
The defaults resemble an active stereo camera at 640x480; compare M. Ahn et al., "Analysis and noise
modeling of the Intel RealSense D435 for mobile robots", Ubiquitous Robots 2019.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from sam3d_ros.structures import Bools, Camera, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthSensor:
    """How a depth camera errs."""

    baseline_m: float = 0.05  # the second eye sits this far to the right
    disparity_noise_px: float = 0.1
    correlation_px: float = 1.0  # matching windows overlap, so neighbours err together
    disparity_step_px: float = 1.0 / 32.0
    edge_disparity_px: float = 1.0  # larger steps are edges
    flying_share: float = 0.3  # of edge pixels
    edge_dropout: float = 0.25  # of edge pixels
    grazing_cosine: float = 0.14  # surfaces seen flatter give no reading
    hole_share: float = 0.002  # of the image, in blobs
    hole_size_px: float = 2.5
    min_m: float = 0.2
    max_m: float = 6.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrueDepth:
    """The exact depth image, and what a second eye would see of it."""

    depth_m: Floats  # (H, W), NaN where nothing is
    cosine: Floats  # (H, W) of the angle between view and normal
    seen_twice: Bools  # (H, W), the second eye sees this point too


def measure(
    true: TrueDepth, camera: Camera, sensor: DepthSensor, rng: np.random.Generator
) -> Floats:
    """Return a noisy depth image ``(H, W)`` in metres, NaN where there is no reading."""
    focal_baseline = camera.matrix_px[0, 0] * sensor.baseline_m
    known = np.isfinite(true.depth_m)
    disparity = np.where(known, focal_baseline / np.where(known, true.depth_m, 1.0), 0.0)
    is_edge, disparity = _mix_edges(disparity, sensor, rng)
    disparity += sensor.disparity_noise_px * _field(disparity.shape, sensor.correlation_px, rng)
    disparity = np.round(disparity / sensor.disparity_step_px) * sensor.disparity_step_px
    lost = ~known | ~true.seen_twice | (true.cosine < sensor.grazing_cosine)
    lost |= is_edge & (rng.random(is_edge.shape) < sensor.edge_dropout)
    holes = _field(disparity.shape, sensor.hole_size_px, rng)
    lost |= holes > np.quantile(holes, 1.0 - sensor.hole_share)
    lost |= disparity <= focal_baseline / sensor.max_m
    depth_m = np.where(lost, np.nan, focal_baseline / np.where(lost, 1.0, disparity))
    depth_m[depth_m < sensor.min_m] = np.nan
    return depth_m.astype(np.float32)


def _mix_edges(
    disparity: Floats, sensor: DepthSensor, rng: np.random.Generator
) -> tuple[Bools, Floats]:
    """Find depth steps; give some of their pixels a disparity between the two sides."""
    near, far = maximum_filter(disparity, 3), minimum_filter(disparity, 3)
    is_edge = near - far > sensor.edge_disparity_px
    flying = is_edge & (rng.random(disparity.shape) < sensor.flying_share)
    mixed = far + rng.random(disparity.shape) * (near - far)
    return is_edge, np.where(flying, mixed, disparity)


def _field(shape: tuple[int, ...], correlation_px: float, rng: np.random.Generator) -> Floats:
    """Gaussian noise of unit variance whose neighbours are correlated."""
    smooth = gaussian_filter(rng.normal(size=shape), correlation_px)
    unit: Floats = smooth / smooth.std()
    return unit
