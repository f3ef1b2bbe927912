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


"""The optional fit behind a backend: what it changes, what it reports, what it leaves alone."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import camera_from_world, drill, placed, scene

from sam3d_ros.config import RefineConfig, SceneConfig
from sam3d_ros.errors import ReconstructionError
from sam3d_ros.geometry.measures import bounds, volume_m3
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.protocols import OneByOne
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.scene.refining import refining
from sam3d_ros.structures import (
    EarlierView,
    Frame,
    Mesh,
    ObjectReconstruction,
    Observation,
    Provenance,
    Quality,
    Refinement,
    RefinementStatus,
    ScaleSource,
    Similarity,
)

ON, NOT_WANTED = RefineConfig(), RefineConfig(enabled=False)
OFF = Similarity(rotation_from_axis_angle(np.ones(3), 0.2), np.array([0.01, -0.01, 0.02]), 1.1)


class KnowsTheMesh:
    """A backend that knows the mesh, and its pose up to an error."""

    name = "knows"

    def __init__(self, mesh_camera: Mesh, error: Similarity) -> None:
        self._middle = Similarity(np.eye(3), mesh_camera.vertices.mean(axis=0).astype(np.float64))
        self._mesh = mesh_camera.transformed(self._middle.inverse())
        self._error = error
        self.fails = False

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        if self.fails:
            raise ReconstructionError("nothing there")
        return ObjectReconstruction(
            mesh_object=self._mesh,
            camera_from_object=self._middle @ self._error,
            quality=Quality(observed_fraction=0.4),
            provenance=Provenance(backend=self.name),
            volume_m3=volume_m3(self._mesh),
        )


@pytest.fixture(scope="module")
def view() -> tuple[Frame, Mesh]:
    seen = scene([placed(drill(), 0.6, (0, 0, 0))], camera_from_world(0.7, 0.6), noise=1.0)
    return seen.frame, seen.truth_camera[0]


def farthest_m(found: ObjectReconstruction, truth_camera: Mesh) -> float:
    placed_camera = found.mesh_object.transformed(found.camera_from_object)
    return float(np.linalg.norm(placed_camera.vertices - truth_camera.vertices, axis=1).max())


def test_a_backend_is_left_alone_where_nothing_else_is_asked_for(view: tuple[Frame, Mesh]) -> None:
    backend = OneByOne(KnowsTheMesh(view[1], OFF))

    assert refining(backend, NOT_WANTED) is backend
    assert refining(backend, ON).name == "knows"
    assert SceneConfig().refine.enabled


def test_pose_and_size_are_put_right_and_measured(view: tuple[Frame, Mesh]) -> None:
    frame, truth_camera = view
    backend = OneByOne(KnowsTheMesh(truth_camera, OFF))
    (observation,) = observe(frame, SceneConfig()).observations

    (before,) = backend.reconstruct([observation])
    (after,) = refining(backend, ON).reconstruct([observation])

    assert isinstance(before, ObjectReconstruction)
    assert isinstance(after, ObjectReconstruction)
    assert farthest_m(before, truth_camera) > 0.02
    assert farthest_m(after, truth_camera) < 0.004
    assert after.refinement.status is RefinementStatus.ACCEPTED
    assert after.refinement.score_after > after.refinement.score_before
    assert after.quality.silhouette_iou > 0.95
    assert after.quality.depth_residual_m < 0.003
    assert after.quality.observed_fraction == 0.4
    assert after.stage_s["refine"] > 0


def slimmed(mesh_camera: Mesh, up: np.ndarray) -> Mesh:
    """Make a mesh a tenth lower, its bottom where it was."""
    heights = mesh_camera.vertices @ up
    lower = mesh_camera.vertices - 0.1 * np.outer(heights - heights.min(), up)
    return replace(mesh_camera, vertices=lower.astype(np.float32))


def test_proportions_that_are_guessed_are_put_right(view: tuple[Frame, Mesh]) -> None:
    frame, truth_camera = view
    (observation,) = observe(frame, SceneConfig()).observations
    assert observation.support is not None
    up = observation.support.normal_camera
    backend = OneByOne(KnowsTheMesh(slimmed(truth_camera, up), Similarity.identity()))

    (before,) = backend.reconstruct([observation])
    (after,) = refining(backend, ON).reconstruct([observation])

    assert isinstance(before, ObjectReconstruction)
    assert isinstance(after, ObjectReconstruction)

    def height_m(found: ObjectReconstruction) -> float:
        placed_camera = found.mesh_object.transformed(found.camera_from_object)
        return float(np.ptp(placed_camera.vertices @ up))

    true_m = float(np.ptp(truth_camera.vertices @ up))
    assert height_m(before) == pytest.approx(0.9 * true_m, rel=0.01)
    assert height_m(after) == pytest.approx(true_m, rel=0.03)
    grown = volume_m3(after.mesh_object) / volume_m3(before.mesh_object)
    assert after.volume_m3 / before.volume_m3 == pytest.approx(grown, rel=1e-4)


def test_nothing_is_fitted_to_depth_that_was_estimated(view: tuple[Frame, Mesh]) -> None:
    frame, truth_camera = view
    (observation,) = observe(frame, SceneConfig()).observations
    guessed = replace(observation, scale_source=ScaleSource.MONOCULAR)
    backend = OneByOne(KnowsTheMesh(truth_camera, OFF))

    (before,) = backend.reconstruct([guessed])
    (after,) = refining(backend, ON).reconstruct([guessed])

    assert isinstance(before, ObjectReconstruction)
    assert isinstance(after, ObjectReconstruction)
    assert after.refinement.status is RefinementStatus.NOT_RUN
    np.testing.assert_array_equal(after.camera_from_object.matrix, before.camera_from_object.matrix)


def test_what_earlier_views_say_of_proportions_stays(view: tuple[Frame, Mesh]) -> None:
    frame, truth_camera = view
    (observation,) = observe(frame, SceneConfig()).observations
    earlier = EarlierView(
        observation=observation.cropped(10), camera_from_earlier=Similarity.identity()
    )
    backend = OneByOne(KnowsTheMesh(truth_camera, OFF))

    seen_twice = replace(observation, earlier=(earlier,))
    (before,) = backend.reconstruct([seen_twice])
    (after,) = refining(backend, ON).reconstruct([seen_twice])

    assert isinstance(before, ObjectReconstruction)
    assert isinstance(after, ObjectReconstruction)
    np.testing.assert_array_equal(after.mesh_object.vertices, before.mesh_object.vertices)


def test_what_is_refused_keeps_its_pose_and_is_uncertain(view: tuple[Frame, Mesh]) -> None:
    frame, truth_camera = view
    elsewhere = Similarity(np.eye(3), np.array([0.4, 0.0, 0.0]))
    backend = OneByOne(KnowsTheMesh(truth_camera, elsewhere))
    (observation,) = observe(frame, SceneConfig()).observations

    (before,) = backend.reconstruct([observation])
    (after,) = refining(backend, ON).reconstruct([observation])

    assert isinstance(before, ObjectReconstruction)
    assert isinstance(after, ObjectReconstruction)
    assert after.refinement.status is RefinementStatus.REJECTED
    np.testing.assert_array_equal(after.camera_from_object.matrix, before.camera_from_object.matrix)
    assert after.refinement.covariance[0, 0] > 0


def test_a_failure_passes_through(view: tuple[Frame, Mesh]) -> None:
    inner = KnowsTheMesh(view[1], OFF)
    inner.fails = True
    (observation,) = observe(view[0], SceneConfig()).observations

    (outcome,) = refining(OneByOne(inner), ON).reconstruct([observation])

    assert isinstance(outcome, ReconstructionError)


def test_what_leaves_the_package_is_metric_and_keeps_its_status(view: tuple[Frame, Mesh]) -> None:
    frame, truth_camera = view
    backend = OneByOne(KnowsTheMesh(truth_camera, OFF))
    config = replace(SceneConfig(), refine=ON)

    (instance,) = FrameReconstructor(config, backend).reconstruct(frame).instances

    found = instance.reconstruction
    assert found.camera_from_object.scale == pytest.approx(1.0)
    assert found.refinement.status is RefinementStatus.ACCEPTED
    mesh_camera = found.mesh_object.transformed(found.camera_from_object)
    np.testing.assert_allclose(bounds(mesh_camera), bounds(truth_camera), atol=0.004)


def test_a_turn_moves_points_by_the_length_of_the_arm() -> None:
    covariance = np.zeros((7, 7))
    covariance[5, 5] = 0.1**2  # about z

    there = Refinement(covariance=covariance).with_origin_moved(np.array([2.0, 0.0, 0.0]))

    np.testing.assert_allclose(np.diag(there.covariance), [0, 0.04, 0, 0, 0, 0.01, 0], atol=1e-12)
    back = there.with_origin_moved(np.array([-2.0, 0.0, 0.0]))
    np.testing.assert_allclose(back.covariance, covariance, atol=1e-12)
