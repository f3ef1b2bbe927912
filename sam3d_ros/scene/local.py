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

"""Wire a pipeline that reconstructs in the process that calls it."""

from sam3d_ros.config import SceneConfig
from sam3d_ros.protocols import ObjectBackend, PointEstimator
from sam3d_ros.scene.backends import WiredBackend, wired_backend
from sam3d_ros.scene.estimators import make_point_estimator
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.people.backends import wired_people
from sam3d_ros.scene.people.reconstruct import PeopleReconstructor
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.reconstruct import FrameReconstructor


def local_pipeline(
    config: SceneConfig,
    backend: ObjectBackend | None = None,
    estimator: PointEstimator | None = None,
    people: PeopleReconstructor | None = None,
) -> ScenePipeline:
    """Build the pipeline of ``sam3d offline`` and of everybody who imports this package.

    Several pipelines may share what the config names: backend, what estimates points, what
    reconstructs people.
    """
    reconstructor = local_reconstructor(config, backend, estimator, people)
    return ScenePipeline(config, reconstructor, DepthFollower())


def local_reconstructor(
    config: SceneConfig,
    backend: ObjectBackend | None = None,
    estimator: PointEstimator | None = None,
    people: PeopleReconstructor | None = None,
) -> FrameReconstructor:
    """Build a reconstructor with what the config names, where nothing else is given."""
    wired = wired_backend(config) if backend is None else WiredBackend(backend)
    estimator = estimator or make_point_estimator(config)
    people = people or wired_people(config)
    return FrameReconstructor(config, wired.backend, estimator, wired.why, people)
