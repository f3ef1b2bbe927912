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

"""The nearest of some pixels, everywhere in an image."""

import cv2
import numpy as np

from sam3d_ros.structures import Bools, Floats, Ints


def nearest_known(depth_m: Floats) -> Floats:
    """Give each unknown pixel of ``(h, w)`` the value of the nearest known one, if there is any.

    Depth is missing in the shadow at the edge of whatever is nearer, so what is beside a gap
    continues into it.
    """
    known = np.isfinite(depth_m)
    if not known.any():
        return depth_m
    rows, columns = nearest_pixels(known)
    return depth_m[rows, columns]


def nearest_pixels(chosen: Bools) -> tuple[Ints, Ints]:
    """Return row and column of the chosen pixel nearest to each pixel of ``(h, w)``."""
    _, labels = cv2.distanceTransformWithLabels(
        (~chosen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(chosen)
    order = np.zeros(int(labels.max()) + 1, dtype=np.int64)
    order[labels[rows, columns]] = np.arange(len(rows))
    return rows[order[labels]], columns[order[labels]]
