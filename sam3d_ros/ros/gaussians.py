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


"""Splats to point clouds, with the fields of the ``.ply`` files of 3D Gaussian Splatting.

A cloud lies in the frame of its object, as its mesh does; an empty one takes the last one back.
"""

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from sam3d_ros.objects.splat_files import COLUMNS, ply_rows
from sam3d_ros.ros.encode import byte_array, header_of
from sam3d_ros.ros.latch import Latch
from sam3d_ros.structures import Floats, SceneObject

BYTES = 4  # of a float
FIELDS = [
    PointField(name=name, offset=BYTES * index, datatype=PointField.FLOAT32, count=1)
    for index, name in enumerate(COLUMNS)
]
NO_ROWS = np.zeros((0, len(COLUMNS)), dtype=np.float32)


class GaussianClouds:
    """Sends the splats of objects on a latched topic."""

    def __init__(self, send: Callable[[PointCloud2], None], depth: int) -> None:
        self._latch: Latch[PointCloud2] = Latch(send, depth)
        self._headers: dict[int, Header] = {}  # of what was sent, by track id

    def send(self, known: SceneObject, name: str) -> None:
        """Send the splats of a new revision; take back those of the last one if it has none."""
        splats = known.reconstruction.splats
        if splats is None:
            self.remove(known.track_id)
            return
        header = header_of(name, known.last_seen_ns)
        self._headers[known.track_id] = header
        self._latch.send(known.track_id, gaussians_msg(ply_rows(splats), header))

    def remove(self, track_id: int) -> None:
        """Take back the splats of an object that is known no more."""
        header = self._headers.pop(track_id, None)
        if header is not None:
            self._latch.retire(track_id, gaussians_msg(NO_ROWS, header))


def gaussians_msg(rows: Floats, header: Header) -> PointCloud2:
    """Return what a file holds of each splat, ``(N, 17)`` float32, as a cloud of one row."""
    little_endian = rows.astype("<f4", copy=False)
    message = PointCloud2(
        header=header,
        height=1,
        width=len(rows),
        fields=FIELDS,
        is_bigendian=False,
        point_step=BYTES * len(COLUMNS),
        row_step=BYTES * len(COLUMNS) * len(rows),
        is_dense=True,
    )
    message.data = byte_array(little_endian)
    return message
