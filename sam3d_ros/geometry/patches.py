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

"""Patches: pixels that hang together."""

import cv2
import numpy as np

from sam3d_ros.structures import Bools, Ints


def numbered(pixels: Bools) -> Ints:
    """Number the connected patches of pixels ``(h, w)`` from 1 on, 0 elsewhere."""
    _, labels = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=4)
    return np.asarray(labels)


def touching(pixels: Bools, others: Bools) -> Bools:
    """Tell which pixels ``(h, w)`` are of a connected patch that touches one of the others."""
    labels = numbered(pixels)
    beside = cv2.dilate(others.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0
    found: Bools = pixels & np.isin(labels, np.unique(labels[pixels & beside]))
    return found
