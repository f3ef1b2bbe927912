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

"""Two conventions for a camera, and the formulas between them; no other module repeats them.

``camera`` is ours (REP-103 optical): x right, y down, z forward; column vectors. OpenCV and the
monocular depth model use the same axes. ``camera_p3d`` is the reference's (PyTorch3D): x left, y
up, z forward; row vectors. With ``F = diag(-1, -1, 1)``, a half turn about z and its own inverse::

    x_camera     = F @ x_camera_p3d
    x_camera_p3d = (s * x_object) @ R(q) + t       what the reference means by (q, t, s)
    x_camera     = s * (F @ R(q).T) @ x_object + F @ t

so that ``camera_from_object`` has rotation ``F @ R(q).T``, translation ``F @ t`` and scale ``s``.
``R(q)`` is the usual matrix of a unit quaternion ``wxyz``.

The ``object`` frame is the unit cube [-0.5, 0.5]^3 with z up; voxel ``i`` of ``n`` along an axis
has its centre at ``(i + 0.5) / n - 0.5``. Files in glTF are y-up; poses are those of the z-up
frame.
"""

from torch import Tensor

P3D_AXIS_SIGNS = (-1.0, -1.0, 1.0)  # the diagonal of F


def axes_swapped(points: Tensor) -> Tensor:
    """Return points ``(..., 3)`` of ``camera`` in ``camera_p3d``, or the other way round."""
    return points * points.new_tensor(P3D_AXIS_SIGNS)
