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


"""The optional step behind every backend: poses and sizes that agree with the depth camera."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sam3d_ros.config import RefineConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.geometry.registration.model import prepared
from sam3d_ros.geometry.registration.register import Registration, RegistrationConfig, register
from sam3d_ros.geometry.registration.stretching import StretchConfig
from sam3d_ros.geometry.registration.view import Seen, prepared_view
from sam3d_ros.protocols import Cancelled, ObjectBackend, ObjectOutcome, never
from sam3d_ros.scene.around import Around
from sam3d_ros.structures import (
    Floats,
    Mesh,
    ObjectReconstruction,
    Observation,
    Quality,
    RefinementStatus,
    ScaleSource,
)

# Meshes of backends are guesses where nothing was seen: less agreement is asked of them than of
# meshes that are known.
MIN_SCORE, MIN_INLIERS = 0.4, 0.4
MAX_GROWTH = 0.8  # of the logarithm: sizes that a picture alone tells are off by a half or double


def refining(backend: ObjectBackend, config: RefineConfig) -> ObjectBackend:
    """Return a backend whose results are fitted to what was measured, where that is wanted."""
    return RefiningBackend(backend, config) if config.enabled else backend


class RefiningBackend(Around[ObjectBackend]):
    """An ``ObjectBackend`` that fits what another one reconstructs to what was measured."""

    def __init__(self, backend: ObjectBackend, config: RefineConfig) -> None:
        super().__init__(backend)
        self._config = config

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Reconstruct the objects and fit them; see ``ObjectBackend``."""
        outcomes = self._backend.reconstruct(observations, cancelled)
        return [
            outcome
            if isinstance(outcome, Sam3dError)
            else refined(outcome, observation, self._config)
            for outcome, observation in zip(outcomes, observations, strict=True)
        ]


def refined(
    reconstruction: ObjectReconstruction, observation: Observation, config: RefineConfig
) -> ObjectReconstruction:
    """Return a reconstruction with pose, size and proportions that agree with its observation.

    Proportions stay where earlier views tell of them, and with splats, which cannot be stretched.
    Where depth was estimated all stays: nothing was measured that it could be fitted to.
    """
    if observation.scale_source is ScaleSource.MONOCULAR:
        return reconstruction
    started = time.perf_counter()
    is_guess = not observation.earlier and reconstruction.splats is None
    found = register(
        prepared(reconstruction.mesh_object),
        prepared_view(Seen.of(observation)),
        reconstruction.camera_from_object,
        _registration(config, StretchConfig() if is_guess else None),
    )
    seconds = time.perf_counter() - started
    return replace(
        _stretched(reconstruction, found.stretch_object),
        camera_from_object=found.camera_from_object,
        refinement=found.refinement,
        quality=_quality(reconstruction.quality, found),
        stage_s={**reconstruction.stage_s, "refine": seconds},
    )


def _stretched(reconstruction: ObjectReconstruction, linear: Floats) -> ObjectReconstruction:
    """Map the mesh in its own frame by a linear map ``(3, 3)``."""
    preview = reconstruction.preview
    return replace(
        reconstruction,
        mesh_object=_mapped(reconstruction.mesh_object, linear),
        preview=preview and _mapped(preview, linear),
        volume_m3=reconstruction.volume_m3 * float(np.linalg.det(linear)),
    )


def _mapped(mesh: Mesh, linear: Floats) -> Mesh:
    return replace(mesh, vertices=(mesh.vertices @ linear.T).astype(np.float32))


def _registration(config: RefineConfig, stretch: StretchConfig | None) -> RegistrationConfig:
    return RegistrationConfig(
        max_iterations=config.max_iterations,
        min_score=MIN_SCORE,
        min_iou=config.min_iou,
        min_inliers=MIN_INLIERS,
        max_growth=MAX_GROWTH,
        stretch=stretch,
    )


def _quality(before: Quality, found: Registration) -> Quality:
    """Measure a pose that has changed anew; what was measured of another one stays with it."""
    if found.status is not RefinementStatus.ACCEPTED:
        return before
    return replace(
        before,
        silhouette_iou=found.silhouette_iou,
        depth_residual_m=found.residual_m,
        inlier_fraction=found.inlier_fraction,
    )
