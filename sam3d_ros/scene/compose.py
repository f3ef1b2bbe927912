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

"""Where the object frame sits: its origin, and its yaw from one view to the next."""

import numpy as np

from sam3d_ros.geometry.measures import bounds
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Floats, ObjectReconstruction, Similarity

UP = np.array([0.0, 0.0, 1.0])


def size_m(reconstruction: ObjectReconstruction) -> Floats:
    """Extent of a baked mesh along the axes of its object frame, ``(3,)`` in metres."""
    extent: Floats = np.ptp(reconstruction.mesh_object.vertices, axis=0).astype(np.float64)
    return extent


def with_origin(reconstruction: ObjectReconstruction, origin: str) -> ObjectReconstruction:
    """Move the object frame of a baked reconstruction to ``MeshConfig.origin``."""
    if origin == "model":
        return reconstruction
    low, high = bounds(reconstruction.mesh_object)
    center = (low + high) / 2
    if origin == "bottom_center":
        center[2] = low[2]
    return reconstruction.reframed(Similarity(np.eye(3), center))


def with_nearest_yaw(
    reconstruction: ObjectReconstruction, fixed_from_camera: Similarity, previous: Similarity
) -> ObjectReconstruction:
    """Turn the object frame by quarter turns about its z axis to where it was before.

    The axes of a footprint are only defined up to quarter turns; a frame that jumps between them
    from one image to the next would be useless to a planner.

    Args:
        reconstruction: Baked, of the new view.
        fixed_from_camera: Camera of the new view in the frame of ``previous``.
        previous: ``fixed_from_object`` of the same object before.
    """
    quarters = [
        Similarity(rotation_from_axis_angle(UP, quarter * np.pi / 2), np.zeros(3))
        for quarter in range(4)
    ]
    fixed_from_object = fixed_from_camera @ reconstruction.camera_from_object
    # trace(A^T B) grows as the angle between two rotations shrinks.
    agreement = [
        float(np.trace(previous.rotation.T @ (fixed_from_object @ quarter).rotation))
        for quarter in quarters
    ]
    best = int(np.argmax(agreement))
    return reconstruction.reframed(quarters[best]) if best else reconstruction
