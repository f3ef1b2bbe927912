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

"""How far a depth reading may be off: the one place where sensors' noise is assumed."""

import numpy as np

from sam3d_ros.structures import Floats

# Structured light and stereo share one law: a constant part and one that grows with the square of
# the distance. Nguyen, Izadi and Lovell (3DIMPVT 2012) measured 1.2 mm + 1.9 mm (z - 0.4)^2 for
# Kinect; D4xx stereo (about 0.08 px of disparity) fits below it.
FLOOR_M = 0.0012
PER_SQUARE_METRE = 0.0020
LIDAR_M = 0.006  # spinning LiDARs, at any range indoors


def depth_noise_m(depth_m: Floats) -> Floats:
    """Return the standard deviation to expect of readings at these depths, same shape, metres."""
    noise: Floats = FLOOR_M + PER_SQUARE_METRE * np.square(depth_m)
    return noise
