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


"""Rotations of many objects as vectors."""

import numpy as np

from sam3d_ros.structures import Floats


def vectors_from_rotations(rotations: Floats) -> Floats:
    """Return the vectors ``(K, 3)`` about which rotations ``(K, 3, 3)`` turn, by their lengths.

    Loses its direction at half a turn, from which there is no telling which way is back.
    """
    skew = rotations - rotations.transpose(0, 2, 1)
    axial = 0.5 * np.stack((skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]), axis=1)
    sine = np.linalg.norm(axial, axis=1)
    cosine = 0.5 * (np.trace(rotations, axis1=1, axis2=2) - 1.0)
    angles = np.arctan2(sine, cosine)
    vectors: Floats = axial * (angles / np.maximum(sine, 1e-12))[:, None]
    return vectors
