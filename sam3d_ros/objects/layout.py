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

"""The reference's refinement of a pose against mask and depth, as far as it needs no renderer.

The released pipeline ships that refinement but never runs it; its rules are here for comparison.
They hold in camera and in camera_p3d alike: z is forward in both, and heights along y have no sign.
"""

import numpy as np
from scipy import ndimage

from sam3d_ros.errors import DepthSparseError
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bools, Floats, Ints, Similarity

BORDER_PX = 5
RIM_PX = 2  # of the object's outline, to either side
COVERING_M = 0.3  # how much nearer a neighbour must be to count as in front
MAX_COVERED_PX = 10
MIN_PART_PX = 25  # less is noise of the mask
MIN_HOLE_PX = 100
TARGET_QUANTILE = 0.9  # of z; what is farther may belong to the background

_ANY_NEIGHBOUR = np.ones((3, 3), dtype=bool)


def is_partly_hidden(mask: Bools, depth_m: Floats) -> bool:
    """Tell whether a mask ``(H, W)`` shows less than the object's whole outline.

    It is cut off by the image's border, covered by something nearer, in several parts or has a hole
    of some size. Such a mask says too little about the pose to refine it.
    """
    check_shape(depth_m, f"{mask.shape[0]} {mask.shape[1]}", "depth_m")
    return _is_cut_off(mask) or _is_covered(mask, depth_m) or _is_in_parts(mask)


def target_points(points: Floats, mask: Bools) -> Floats:
    """Return the known points ``(N, 3)`` of a map ``(H, W, 3)`` on the near side of the object.

    Raises:
        DepthSparseError: The mask has no known point.
    """
    on_object = points[mask]
    on_object = on_object[np.isfinite(on_object).all(axis=1)]
    if not len(on_object):
        raise DepthSparseError(
            f"mask must have known points to align to, has none at its {int(mask.sum())} pixels; "
            "check that depth is registered to the image"
        )
    return on_object[on_object[:, 2] <= np.quantile(on_object[:, 2], TARGET_QUANTILE)]


def alignment(vertices: Floats, target: Floats) -> Similarity:
    """Return ``target_from_vertices`` without rotation: equal height along y, equal mean point."""
    scale = float(np.ptp(target[:, 1]) / np.ptp(vertices[:, 1]))
    return Similarity(np.eye(3), target.mean(axis=0) - scale * vertices.mean(axis=0), scale)


def about(centre: Floats, change: Similarity) -> Similarity:
    """Return the transform that turns and scales about ``centre`` (3,), then moves."""
    to_centre = Similarity(np.eye(3), -np.asarray(centre))
    return to_centre.inverse() @ change @ to_centre


def matrix_px_from_normalised(matrix: Floats, width: int, height: int) -> Floats:
    """Return a camera matrix ``(3, 3)`` in pixels of one in units of the image's sides.

    The reference counts from the corner of the first pixel: half a pixel more than elsewhere here.
    """
    return np.diag([float(width), float(height), 1.0]) @ matrix


def mask_iou(first: Bools, second: Bools) -> float:
    """Return the share of the pixels of either mask that are in both; 0 when both are empty."""
    return float((first & second).sum() / max(int((first | second).sum()), 1))


def _is_cut_off(mask: Bools) -> bool:
    inner = mask[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    return bool(inner.sum() < mask.sum())


def _is_covered(mask: Bools, depth_m: Floats) -> bool:
    """Tell whether enough pixels inside the outline have a much nearer one just outside."""
    rim = mask & ~ndimage.binary_erosion(mask, _ANY_NEIGHBOUR, iterations=RIM_PX)
    beside = ndimage.binary_dilation(mask, _ANY_NEIGHBOUR, iterations=RIM_PX) & ~mask
    nearest_m = ndimage.minimum_filter(np.where(beside, depth_m, np.inf), size=2 * RIM_PX + 1)
    return bool((rim & (depth_m - nearest_m > COVERING_M)).sum() > MAX_COVERED_PX)


def _is_in_parts(mask: Bools) -> bool:
    parts = _areas_px(mask)
    holes = _areas_px(ndimage.binary_fill_holes(mask) & ~mask)
    return bool((parts >= MIN_PART_PX).sum() > 1 or (holes >= MIN_HOLE_PX).any())


def _areas_px(mask: Bools) -> Ints:
    labels, _ = ndimage.label(mask, _ANY_NEIGHBOUR)
    return np.bincount(labels.ravel())[1:]
