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

"""Bodies with fewer triangles: which of them stand for the others is chosen once for all people."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.previews import thinned
from sam3d_ros.structures import BodyReconstruction, Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A body's surface, in the frame of the camera."""

    vertices: Floats  # (K, 3)
    triangles: Ints  # (T, 3)


class Thinner:
    """Gives surfaces of at most so many triangles; all bodies of one rig have the same ones."""

    def __init__(self, max_triangles: int) -> None:
        self._max_triangles = max_triangles
        self._sizes = (0, 0)  # vertices and triangles of the rig for which was chosen
        self._rows: Ints = np.zeros(0, dtype=np.int64)
        self._triangles: Ints = np.zeros((0, 3), dtype=np.int32)

    def of(self, body: BodyReconstruction) -> Surface:
        """Return the surface of a body."""
        vertices, triangles = body.vertices_camera, body.triangles
        if (sizes := (len(vertices), len(triangles))) != self._sizes:
            self._rows, self._triangles = thinned(vertices, triangles, self._max_triangles)
            self._sizes = sizes
        return Surface(vertices[self._rows], self._triangles)
