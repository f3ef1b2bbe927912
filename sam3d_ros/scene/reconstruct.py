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

"""The reconstructor of this process: observe, run the backend on all masks."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import CancelledError, Sam3dError
from sam3d_ros.geometry.measures import enclosed_volume_m3
from sam3d_ros.geometry.meshes import decimate
from sam3d_ros.geometry.previews import clustered
from sam3d_ros.protocols import Cancelled, ObjectBackend, ObjectOutcome, PointEstimator, never
from sam3d_ros.scene.choosing import agreeing
from sam3d_ros.scene.compose import with_origin
from sam3d_ros.scene.estimated import Estimate
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.reconstructor import KnownObject, ReconstructedFrame, ReconstructedInstance
from sam3d_ros.scene.warmup import ball_on_table
from sam3d_ros.structures import Frame, ObjectFailure, ObjectReconstruction, Observation

logger = logging.getLogger(__name__)


class FrameReconstructor:
    """The reconstructor of this process."""

    def __init__(
        self,
        config: SceneConfig,
        backend: ObjectBackend,
        estimator: PointEstimator | None = None,
    ) -> None:
        self._config = config
        self._estimator = estimator
        self._backend = agreeing(backend, config.refine)

    def start(self) -> None:
        """Be ready already."""

    def warm_up(self) -> None:
        """Reconstruct something that nobody waits for, where the backend is faster after it."""
        if self._backend.wants_warmup:
            self.reconstruct(ball_on_table())

    def reconstruct(
        self, frame: Frame, cancelled: Cancelled = never, known: Sequence[KnownObject] = ()
    ) -> ReconstructedFrame:
        """Reconstruct every mask; one object that fails stops none of the others."""
        started = time.perf_counter()
        observed = observe(frame, self._config, self._estimate(cancelled))
        result = ReconstructedFrame(failures=list(observed.failures), support=observed.support)
        result.stage_s["observe"] = time.perf_counter() - started
        outcomes = self._backend.reconstruct(observed.observations, cancelled)
        for number, pair in enumerate(zip(observed.observations, outcomes, strict=True)):
            if cancelled():
                raise CancelledError(f"finished {number} of {len(outcomes)} objects")
            self._add(*pair, result)
        return result

    def _estimate(self, cancelled: Cancelled) -> Estimate | None:
        if self._estimator is None:
            return None
        return partial(self._estimator.estimate, cancelled=cancelled)

    def close(self) -> None:
        """Hold nothing, release nothing."""

    def _add(
        self, observation: Observation, outcome: ObjectOutcome, result: ReconstructedFrame
    ) -> None:
        instance_id = observation.instance.instance_id
        try:
            reconstruction = self._finished(outcome)
        except Sam3dError as error:
            logger.warning("object %d not reconstructed: %s", instance_id, error)
            result.failures.append(
                ObjectFailure(instance_id=instance_id, code=error.code, message=str(error))
            )
            return
        result.instances.append(
            ReconstructedInstance(
                instance_id=instance_id, reconstruction=reconstruction, flags=observation.flags
            )
        )
        result.gpu_peak_mb = float(np.fmax(result.gpu_peak_mb, reconstruction.gpu_peak_mb))
        for stage, seconds in reconstruction.stage_s.items():
            result.stage_s[stage] = result.stage_s.get(stage, 0.0) + seconds

    def _finished(self, outcome: ObjectOutcome) -> ObjectReconstruction:
        """Bring what the backend made into the form that leaves the package."""
        if isinstance(outcome, Sam3dError):
            raise outcome
        started = time.perf_counter()
        baked = outcome.baked()
        mesh = decimate(baked.mesh_object, self._config.mesh.max_triangles)
        preview = clustered(mesh, self._config.markers.max_triangles)
        seconds = sum(baked.stage_s.values()) + time.perf_counter() - started
        return with_origin(
            replace(
                baked,
                mesh_object=mesh,
                preview=preview,
                volume_m3=enclosed_volume_m3(mesh),
                stage_s={**baked.stage_s, "object": seconds},
            ),
            self._config.mesh.origin,
        )
