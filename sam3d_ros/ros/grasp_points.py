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

"""Points to grasp at: what a sensor measured, and what is only inferred, told apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam3d_ros.ros.encode import CLOUD_POINT, MAX_CLOUD_POINTS, cloud_points, packed_colors
from sam3d_ros.scene.reconstructor import RememberedView
from sam3d_ros.structures import ScaleSource, SceneObject, Similarity

MEASURED = (ScaleSource.DEPTH, ScaleSource.LIDAR)
SEEN = 0.5  # of ``observed``; what is below was closed by a model


def readings(view: RememberedView, track_id: int) -> NDArray[Any]:
    """Return what a sensor measured on an object in one view, in the object's frame.

    ``(N,)`` of CLOUD_POINT; none where a model estimated the depth.
    """
    observation = view.observation
    if observation.scale_source not in MEASURED:
        return np.zeros(0, dtype=CLOUD_POINT)
    points_camera = observation.points_camera[observation.mask]
    is_measured = np.isfinite(points_camera).all(axis=-1)
    placed = view.camera_from_object.inverse().apply(points_camera[is_measured].astype(np.float64))
    points = np.zeros(len(placed), dtype=CLOUD_POINT)
    points["x"], points["y"], points["z"] = placed.T
    colors = np.rint(255 * observation.rgb[observation.mask][is_measured]).astype(np.uint8)
    points["rgb"] = packed_colors(colors)
    points["label"] = track_id
    points["observed"] = 1.0
    return points


def grasp_points(
    known: SceneObject, views: Sequence[RememberedView], frame_from_object: Similarity
) -> NDArray[Any]:
    """Return the points of one object, at most MAX_CLOUD_POINTS.

    Half of them are readings of the remembered views (``observed`` is 1), the others vertices of
    the mesh that nobody saw; vertices alone where no reading is remembered.
    """
    model = cloud_points(known.reconstruction.mesh_object, frame_from_object, known.track_id)
    measured = np.concatenate([model[:0], *(readings(view, known.track_id) for view in views)])
    if len(measured) == 0:
        return model
    measured = _spread(measured, MAX_CLOUD_POINTS // 2)
    at_object = np.stack([measured["x"], measured["y"], measured["z"]], axis=1).astype(np.float64)
    measured["x"], measured["y"], measured["z"] = frame_from_object.apply(at_object).T
    inferred = _spread(model[model["observed"] < SEEN], MAX_CLOUD_POINTS // 2)
    return np.concatenate([measured, inferred])


def _spread(points: NDArray[Any], num: int) -> NDArray[Any]:
    """Return at most so many points, spread evenly over their order."""
    num = min(num, len(points))
    spread: NDArray[Any] = points[np.arange(num) * len(points) // max(num, 1)]
    return spread
