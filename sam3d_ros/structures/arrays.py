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

"""Names of array types; units of stamps; where in an image a mask is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.integer[Any]]

NS_PER_S = 1_000_000_000  # stamps are integers in nanoseconds


def window_of(mask: Bools, margin_px: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of the box around the marked pixels of a mask ``(H, W)``.

    Args:
        mask: Of an empty one, it is the whole image.
        margin_px: Pixels beside the box that belong to it, as far as the image reaches.
    """
    window = []
    for length, across in zip(mask.shape, (1, 0), strict=True):
        marked = np.flatnonzero(mask.any(axis=across))
        low, high = (int(marked[0]), int(marked[-1]) + 1) if len(marked) else (0, length)
        window.append(slice(max(0, low - margin_px), min(length, high + margin_px)))
    return window[0], window[1]
