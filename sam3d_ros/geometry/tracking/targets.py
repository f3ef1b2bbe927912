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


"""Objects to be found in one image, and the readings about each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from sam3d_ros.geometry.cameras import project, rounded
from sam3d_ros.geometry.registration.model import RegistrationModel
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.tracking.views import TrackingView
from sam3d_ros.structures import Bools, Floats, Ints, Similarity

NUM_READINGS = 600  # per object, at most
MIN_MARGIN_PX = 3.0  # around where the object is expected
MARGIN_SIGMAS = 2.0
MASK_SLACK = np.ones((5, 5), dtype=np.uint8)  # outlines of masks err by some pixels
MAX_MARGIN_SHARE = 0.75  # of the object's size in the image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """One object, and where it should be."""

    model: RegistrationModel
    depth_from_object: Similarity  # rigid
    sigma_m: float
    sigma_rad: float
    instance_id: int | None = None  # of its mask


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What was measured on a regular grid of pixels about K objects, at most G each.

    In random order, so that any of the first ones are a coarser sample.
    """

    rays: Floats  # (K, G, 3), z = 1
    pixels: Ints  # (K, G, 2) column and row
    measured_m: Floats  # (K, G), NaN where unknown
    inside: Bools  # (K, G); False for what only fills up
    mine: Bools  # (K, G), no mask says that it is something else
    stride_px: Floats  # (K,) between neighbours on the grid
    in_view: Floats  # (K,) share of the object's extreme points that are in the image

    def thinned(self, share: int) -> "Readings":
        """Return one in ``share`` readings."""
        part = slice(0, max(1, self.rays.shape[1] // share))
        return Readings(
            self.rays[:, part],
            self.pixels[:, part],
            self.measured_m[:, part],
            self.inside[:, part],
            self.mine[:, part],
            self.stride_px * np.sqrt(share),
            self.in_view,
        )

    def __getitem__(self, chosen: Ints) -> "Readings":
        return Readings(
            self.rays[chosen],
            self.pixels[chosen],
            self.measured_m[chosen],
            self.inside[chosen],
            self.mine[chosen],
            self.stride_px[chosen],
            self.in_view[chosen],
        )


def poses_of(targets: Sequence[Target]) -> Poses:
    """Return the expected poses of at least one target."""
    return Poses.of([target.depth_from_object for target in targets])


def readings_about(view: TrackingView, targets: Sequence[Target], poses: Poses) -> Readings:
    """Choose the readings that say where objects near these poses are."""
    grids = [_grid(view, target, poses.similarity(k)) for k, target in enumerate(targets)]
    size = max(1, *(len(grid.pixels) for grid in grids))
    pixels = np.zeros((len(targets), size, 2), dtype=np.intp)
    inside = np.zeros((len(targets), size), dtype=bool)
    for index, grid in enumerate(grids):
        pixels[index, : len(grid.pixels)] = grid.pixels
        inside[index, : len(grid.pixels)] = True
    columns, rows = pixels[..., 0], pixels[..., 1]
    rays = view.rays[rows, columns].astype(np.float64)
    inside &= np.isfinite(rays).all(axis=-1)
    rays[~inside] = (0.0, 0.0, 1.0)
    measured_m = np.where(inside, view.depth_m[rows, columns], np.nan)
    return Readings(
        rays,
        pixels,
        measured_m,
        inside,
        _mine(view, targets, rays * measured_m[..., None]),
        np.array([grid.stride_px for grid in grids]),
        np.array([grid.in_view for grid in grids]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    pixels: Ints  # (G, 2)
    stride_px: float
    in_view: float


def _grid(view: TrackingView, target: Target, pose: Similarity) -> _Grid:
    """Return the pixels that may show the object."""
    camera, shown = view.camera, project(view.camera, pose.apply(target.model.corners))
    nothing = _Grid(np.zeros((0, 2), dtype=np.intp), 1.0, 0.0)
    if not np.isfinite(shown).all():
        return nothing
    low, high = shown.min(axis=0), shown.max(axis=0)
    depth_m = float(pose.apply(target.model.center)[2])
    spread_px = MARGIN_SIGMAS * target.sigma_m * view.focal_px / depth_m
    margin_px = min(spread_px, MAX_MARGIN_SHARE * float((high - low).max())) + MIN_MARGIN_PX
    limits = np.array([camera.width, camera.height]) - 1
    low = np.clip(np.floor(low - margin_px), 0, limits + 1).astype(np.intp)
    high = np.clip(np.ceil(high + margin_px), -1, limits).astype(np.intp)
    extent = high - low + 1
    if (extent < 1).any():
        return nothing
    stride = max(1, int(np.ceil(np.sqrt(float(extent[0]) * extent[1] / NUM_READINGS))))
    start = low + np.minimum(stride // 2, extent - 1)
    axes = [np.arange(start[i], high[i] + 1, stride) for i in (0, 1)]
    pixels = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    in_view = float(((shown >= 0) & (shown <= limits)).all(axis=1).mean())
    return _Grid(pixels[_shuffled(len(pixels))], float(stride), in_view)


@lru_cache(maxsize=256)  # grids of an object that is followed keep their size, or nearly
def _shuffled(num: int) -> Ints:
    """Return places in an order whose every part is spread over all."""
    return np.random.default_rng(0).permutation(num)


def _mine(view: TrackingView, targets: Sequence[Target], points: Floats) -> Bools:
    """Tell which measured points ``(K, G, 3)`` may be of their object.

    What has a mask is only there; what has none is not where another object has its mask.
    """
    mine = np.ones(points.shape[:2], dtype=bool)
    claimed = {target.instance_id for target in targets} - {None}
    chosen = [mask for mask in view.masks if mask.instance_id in claimed]
    given = {mask.instance_id for mask in chosen}
    if not chosen:
        return mine
    pixels = project(view.color, view.color_from_depth.apply(points))
    inside, columns, rows = rounded(pixels, view.color)
    for index, target in enumerate(targets):
        for mask in chosen:
            if mask.instance_id == target.instance_id:
                covered = cv2.dilate(mask.mask.astype(np.uint8), MASK_SLACK) > 0
                mine[index] &= covered[rows[index], columns[index]] & inside[index]
            elif target.instance_id not in given:
                mine[index] &= ~(mask.mask[rows[index], columns[index]] & inside[index])
    return mine
