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

"""Convex hulls of points that may be degenerate."""

from scipy.spatial import ConvexHull, QhullError

from sam3d_ros.errors import ReconstructionError
from sam3d_ros.structures import Floats


def convex_hull(points: Floats) -> ConvexHull:
    """Return the convex hull of points ``(N, D)``.

    Raises:
        ReconstructionError: The points do not span all dimensions.
    """
    try:
        return ConvexHull(points)
    except QhullError as error:
        size = (points.max(axis=0) - points.min(axis=0)).tolist()
        raise ReconstructionError(
            f"{len(points)} points must enclose a volume to have a hull, their extent is {size}; "
            "check that mask and depth show more than a point or a line"
        ) from error
