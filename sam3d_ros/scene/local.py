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
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.scene.estimators import make_point_estimator
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.scene.reconstructor import Reconstructor


def local_pipeline(
    config: SceneConfig,
    backend: ObjectBackend | None = None,
    reconstructor: Reconstructor | None = None,
) -> ScenePipeline:
    """Build the pipeline of ``sam3d offline`` and of everybody who imports this package.

    Args:
        config: Its settings.
        backend: What reconstructs; the one that the config names unless given.
        reconstructor: What uses that; it keeps nothing, so several pipelines may share one.
    """
    reconstructor = reconstructor or local_reconstructor(config, backend)
    return ScenePipeline(config, reconstructor, DepthFollower())


def local_reconstructor(
    config: SceneConfig, backend: ObjectBackend | None = None
) -> FrameReconstructor:
    """Build a reconstructor with the backend that the config names, or another one."""
    backend = backend or make_object_backend(config)
    return FrameReconstructor(config, backend, make_point_estimator(config))
