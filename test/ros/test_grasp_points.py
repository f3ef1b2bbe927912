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

"""Points to grasp at: which of them were measured, and which nobody saw."""

from dataclasses import replace

import numpy as np
import pytest
from test_gaussians import known_object

from sam3d_ros.ros.encode import MAX_CLOUD_POINTS
from sam3d_ros.ros.grasp_points import grasp_points, readings
from sam3d_ros.scene.reconstructor import RememberedView
from sam3d_ros.structures import (
    Camera,
    InstanceMask,
    Observation,
    ScaleSource,
    SceneObject,
    Similarity,
)

pytestmark = pytest.mark.ros
SIZE = 60
MATRIX_PX = np.array([[100.0, 0.0, 30.0], [0.0, 100.0, 30.0], [0.0, 0.0, 1.0]])
ROLLED = Similarity(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 2.0]))


def view(scale_source: ScaleSource = ScaleSource.DEPTH) -> RememberedView:
    """Return a view of a wall at 2 m; the object is its middle, of which one reading is missing."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[5:55, 5:55] = True
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    points = np.stack([(columns - 30) / 50, (rows - 30) / 50, np.full(mask.shape, 2.0)], axis=-1)
    points[10, 10] = np.nan
    observation = Observation(
        instance=InstanceMask(instance_id=1, mask=mask),
        rgb=np.full((SIZE, SIZE, 3), 0.5, dtype=np.float32),
        mask=mask,
        silhouette=mask,
        points_camera=points.astype(np.float32),
        camera=Camera(width=SIZE, height=SIZE, matrix_px=MATRIX_PX),
        others=np.zeros_like(mask),
        scale_source=scale_source,
    )
    return RememberedView(observation=observation, camera_from_object=ROLLED)


def half_seen() -> SceneObject:
    """Return an object of which two of four vertices were seen."""
    known = known_object(7, None)
    mesh = known.reconstruction.mesh_object
    observed = np.array([1.0, 0.9, 0.2, 0.0], dtype=np.float32)
    reconstruction = replace(known.reconstruction, mesh_object=replace(mesh, observed=observed))
    return replace(known, reconstruction=reconstruction)


def test_readings_lie_in_the_frame_of_the_object() -> None:
    points = readings(view(), 7)
    assert len(points) == 50 * 50 - 1
    np.testing.assert_allclose(points["z"], 0.0, atol=1e-6)
    assert set(points["label"]) == {7}
    assert set(points["observed"]) == {1.0}


def test_what_a_model_estimated_is_no_reading() -> None:
    assert len(readings(view(ScaleSource.MONOCULAR), 7)) == 0


def test_half_are_readings_and_the_others_are_what_nobody_saw() -> None:
    shift = Similarity(np.eye(3), np.array([0.0, 0.0, 5.0]))
    points = grasp_points(half_seen(), [view()], shift)
    measured, inferred = points[points["observed"] == 1.0], points[points["observed"] < 0.5]
    assert (len(measured), len(inferred)) == (MAX_CLOUD_POINTS // 2, 2)
    np.testing.assert_allclose(measured["z"], 5.0, atol=1e-6)
    assert np.ptp(measured["x"]) == pytest.approx(49 / 50, abs=0.05)  # spread over all of it
    np.testing.assert_allclose(inferred["observed"], [0.2, 0.0])


def test_without_a_remembered_reading_all_vertices_are_there() -> None:
    for views in ([], [view(ScaleSource.MONOCULAR)]):
        points = grasp_points(half_seen(), views, Similarity.identity())
        np.testing.assert_allclose(points["observed"], [1.0, 0.9, 0.2, 0.0])
