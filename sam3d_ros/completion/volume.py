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

"""The solid on a grid: a hypothesis, carved by what was seen, as a signed distance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sam3d_ros.completion.hypotheses import Hypothesis
from sam3d_ros.completion.remainder import Remainder
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.errors import ReconstructionError
from sam3d_ros.geometry.measures import is_closed
from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.structures import Floats, Ints

BORDER = 2  # cells around the box, so that the surface closes
TRUNCATION = 4.0  # cells; beyond it the distance only needs a sign
# Cells; takes off the staircase of the silhouette. Parts of a ragged solid may touch along an edge,
# which then has four triangles; a little more joins or parts them.
SMOOTHINGS = (0.5, 0.75, 1.0, 1.5)
MIN_STEP_M = 0.0005
MAX_LENGTH = 3  # longest side over the cube root of the volume, in cells


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Carving:
    """A hypothesis and everything that cuts it or adds to it."""

    hypothesis: Hypothesis
    remainders: Sequence[Remainder]
    workspace: Workspace

    def outside_m(self, points: Floats) -> Floats:
        """Signed distance of points ``(N, 3)`` to the carved solid, ``(N,)``, > 0 outside."""
        free_m = self.workspace.space.free_m(points)
        outside_m = np.maximum(
            free_m - self.hypothesis.tolerance_m, self.hypothesis.outside_m(points)
        )
        for remainder in self.remainders:
            rest_m = np.maximum(free_m, remainder.outside_m(points))
            outside_m = np.minimum(outside_m, rest_m)
        if self.workspace.has_support:
            outside_m = np.maximum(outside_m, -points[:, 2])
        return np.asarray(outside_m)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """Signed distances at the corners of cubic cells, negative inside."""

    field_m: Floats  # (X, Y, Z)
    origin: Floats  # (3,) of the first sample, in work
    step_m: float


def filled(carving: Carving, resolution: int) -> Volume:
    """Fill a grid of about ``resolution``^3 cells around a hypothesis.

    The step follows from the volume of the box, so that thin objects get finer cells.
    """
    surface = carving.workspace.surface
    low = np.minimum(carving.hypothesis.low, surface.min(axis=0))
    high = np.maximum(carving.hypothesis.high, surface.max(axis=0))
    if carving.workspace.has_support:
        low[2] = 0.0
    extent = np.maximum(high - low, 1e-3)
    step_m = max(MIN_STEP_M, float(np.cbrt(extent.prod())) / resolution)
    step_m = max(step_m, float(extent.max()) / (MAX_LENGTH * resolution))
    counts = np.ceil(extent / step_m).astype(int) + 2 * BORDER + 1
    origin = low - BORDER * step_m
    axes = [origin[axis] + step_m * np.arange(counts[axis]) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    field_m = carving.outside_m(points)
    field_m = np.clip(field_m, -TRUNCATION * step_m, TRUNCATION * step_m).reshape(counts)
    return Volume(field_m=field_m, origin=origin, step_m=step_m)


def surface(volume: Volume) -> tuple[Floats, Ints]:
    """Extract the surface of the largest part: vertices in work, triangles wound outwards.

    Raises:
        ReconstructionError: Nothing is left inside, or nothing that has a closed surface.
    """
    for smoothing in SMOOTHINGS:
        field_m = _largest_part(ndimage.gaussian_filter(volume.field_m, smoothing))
        vertices, triangles = isosurface(field_m, volume.step_m)
        if is_closed(triangles):
            return vertices + volume.origin, triangles
    raise ReconstructionError(
        f"the surface must be closed, is not with any smoothing up to {SMOOTHINGS[-1]} cells; "
        "check that the mask is in one piece rather than scattered pixels"
    )


def _largest_part(field_m: Floats) -> Floats:
    labels, num_parts = ndimage.label(field_m < 0)
    if num_parts == 0:
        raise ReconstructionError(
            "free space and support leave no volume for this object; check that depth and mask "
            "are registered to each other"
        )
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    step = float(np.abs(field_m).max())
    closed = np.where((field_m < 0) & (labels != int(sizes.argmax())), step, field_m)
    for axis in range(3):  # nothing may reach the border, or the surface stays open
        border = np.moveaxis(closed, axis, 0)
        border[[0, -1]] = np.maximum(border[[0, -1]], 1e-2 * step)
    return closed
