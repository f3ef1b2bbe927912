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


"""From a point map of unknown depth offset to points of a pinhole camera, and its focal length.

The depth model (MoGe) knows a scene up to a scale and a shift along z. Of all shifts, one makes the
points project best onto their own pixels; the focal length follows from it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from sam3d_ros.errors import DepthSparseError
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bools, Floats

SAMPLES_PER_SIDE = 64  # the fit looks at a grid of this size
MIN_SAMPLES = 2


@dataclass(frozen=True, slots=True)
class FocalShift:
    """What a point map lacks; focal lengths relate to half of the image's diagonal."""

    focal: float
    shift: float  # added to z, in the unit of the points

    def matrix_normalised(self, height: int, width: int) -> Floats:
        """Return the camera matrix ``(3, 3)`` for pixels in units of the image's width, height."""
        half_diagonal = 0.5 * self.focal * np.hypot(width, height)
        focal_x, focal_y = half_diagonal / width, half_diagonal / height
        return np.array([[focal_x, 0.0, 0.5], [0.0, focal_y, 0.5], [0.0, 0.0, 1.0]])


def view_plane(height: int, width: int, aspect: float) -> Floats:
    """Return where the pixels of an image lie, ``(height, width, 2)``.

    Right and down of its centre, in units of half of the diagonal of an image that is ``aspect``
    times as wide as high.
    """
    diagonal = np.hypot(aspect, 1.0)
    u = _centres(width) * aspect / diagonal
    v = _centres(height) / diagonal
    return np.stack(np.meshgrid(u, v), axis=-1).astype(np.float32)


def recover_focal_shift(points: Floats, valid: Bools) -> FocalShift:
    """Fit focal length and shift to a point map ``(H, W, 3)`` in the optical frame.

    Minimises ``|f xy / (z + s) - uv|`` over the shift ``s`` by Levenberg-Marquardt from 0, with the
    focal length ``f`` that is best for each ``s``.

    Raises:
        DepthSparseError: Fewer than two of the pixels looked at are valid.
    """
    size = check_shape(points, "H W 3", "points")
    check_shape(valid, f"{size['H']} {size['W']}", "valid")
    height, width = valid.shape
    xyz, uv = _samples(points, valid, view_plane(height, width, width / height))

    def misses(shift: Floats) -> Floats:
        projected = xyz[:, :2] / (xyz[:, 2:] + shift)
        return (_focal(projected, uv) * projected - uv).ravel()

    shift = float(least_squares(misses, x0=0.0, method="lm").x[0])
    return FocalShift(_focal(xyz[:, :2] / (xyz[:, 2:] + shift), uv), shift)


def recover_shift(points: Floats, valid: Bools, rays: Floats) -> float:
    """Fit the shift alone to a point map ``(H, W, 3)`` of a camera that is known.

    Minimises ``|xy / (z + s) - rays_xy|`` in the manner of ``recover_focal_shift``.

    Args:
        points: In the optical frame.
        valid: ``(H, W)``.
        rays: Directions of the pixels, ``(H, W, 3)`` with z = 1.

    Raises:
        DepthSparseError: Fewer than two of the pixels looked at are valid.
    """
    size = check_shape(points, "H W 3", "points")
    check_shape(valid, f"{size['H']} {size['W']}", "valid")
    check_shape(rays, f"{size['H']} {size['W']} 3", "rays")
    xyz, xy = _samples(points, valid, rays[..., :2])

    def misses(shift: Floats) -> Floats:
        return (xyz[:, :2] / (xyz[:, 2:] + shift) - xy).ravel()

    return float(least_squares(misses, x0=0.0, method="lm").x[0])


def _samples(points: Floats, valid: Bools, places: Floats) -> tuple[Floats, Floats]:
    """Return the valid points on a coarse grid, ``(N, 3)``, and their places ``(N, 2)``.

    Points that are not finite or have no projection before they are shifted are left out.
    """
    height, width = valid.shape
    rows, columns = (np.arange(SAMPLES_PER_SIDE) * n // SAMPLES_PER_SIDE for n in (height, width))
    grid = np.ix_(rows, columns)
    keep = valid[grid] & np.isfinite(points[grid]).all(axis=-1) & (points[grid][..., 2] != 0)
    num = int(keep.sum())
    if num < MIN_SAMPLES:
        raise DepthSparseError(
            f"depth model found {num} valid points among {keep.size} pixels looked at, need at "
            f"least {MIN_SAMPLES}; check that the image shows a scene, or give measured depth"
        )
    return points[grid][keep].astype(np.float64), places[grid][keep].astype(np.float64)


def _focal(projected: Floats, uv: Floats) -> float:
    """Return the factor that brings points ``(N, 2)`` nearest to ``uv`` ``(N, 2)``."""
    return float(np.vdot(projected, uv) / np.vdot(projected, projected))


def _centres(num: int) -> Floats:
    """Return the centres of ``num`` cells that fill [-1, 1]."""
    return (2.0 * np.arange(num) + 1.0 - num) / num
