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

"""From a frame to a scene: observe, reconstruct each object, keep identities."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import CancelledError, Sam3dError
from sam3d_ros.geometry.meshes import decimate
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.scene.compose import with_origin
from sam3d_ros.scene.observe import FrameObservations, observe
from sam3d_ros.scene.registry import Detection, Registry
from sam3d_ros.structures import (
    Frame,
    ObjectFailure,
    ObjectReconstruction,
    Observation,
    SceneSnapshot,
)

logger = logging.getLogger(__name__)


def never() -> bool:
    """Answer "was this cancelled?" for callers that do not cancel."""
    return False


@dataclass(slots=True)
class _Reconstructed:
    """What came out of the backend for one frame."""

    detections: list[Detection] = field(default_factory=list)
    failures: list[ObjectFailure] = field(default_factory=list)
    stage_s: dict[str, float] = field(default_factory=dict)


class ScenePipeline:
    """Frames in, snapshots out; the node, ``sam3d offline`` and the tests share it."""

    def __init__(self, config: SceneConfig, backend: ObjectBackend | None = None) -> None:
        self.config = config
        self.backend = backend or make_object_backend(config)
        self._registry = Registry(config.registry)

    def process(self, frame: Frame, cancelled: Callable[[], bool] = never) -> SceneSnapshot:
        """Reconstruct every mask of a frame and return all objects known then.

        One object that fails becomes one ``ObjectFailure`` and stops none of the others.

        Raises:
            CancelledError: When ``cancelled`` answers true between two objects; the registry is
                then as it was before.
            Sam3dError: When nothing of the frame can be used.
        """
        started = time.perf_counter()
        observed = observe(frame, self.config)
        observe_s = time.perf_counter() - started
        result = self._reconstruct_all(observed, cancelled)
        change = self._registry.update(frame, result.detections)
        return SceneSnapshot(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            objects=self._registry.objects,
            updated=change.updated,
            removed=change.removed,
            failures=(*observed.failures, *result.failures),
            support=observed.support,
            stage_s={"observe": observe_s, **result.stage_s},
        )

    def advance(self, stamp_ns: int, frame_id: str = "") -> SceneSnapshot:
        """Let time pass without a frame: objects become LOST, old ones are removed."""
        removed = self._registry.advance(stamp_ns)
        return SceneSnapshot(
            stamp_ns=stamp_ns, frame_id=frame_id, objects=self._registry.objects, removed=removed
        )

    def reset(self) -> tuple[int, ...]:
        """Forget all objects and return their track ids."""
        return self._registry.clear()

    def _reconstruct_all(
        self, observed: FrameObservations, cancelled: Callable[[], bool]
    ) -> _Reconstructed:
        result = _Reconstructed()
        for observation in observed.observations:
            if cancelled():
                done = len(result.detections) + len(result.failures)
                raise CancelledError(
                    f"stopped after {done} of {len(observed.observations)} objects"
                )
            instance_id = observation.instance.instance_id
            try:
                reconstruction = self._reconstruct(observation)
            except Sam3dError as error:
                logger.warning("object %d not reconstructed: %s", instance_id, error)
                result.failures.append(
                    ObjectFailure(instance_id=instance_id, code=error.code, message=str(error))
                )
                continue
            result.detections.append(
                Detection(
                    instance=observation.instance,
                    reconstruction=reconstruction,
                    flags=observation.flags,
                )
            )
            for stage, seconds in reconstruction.stage_s.items():
                result.stage_s[stage] = result.stage_s.get(stage, 0.0) + seconds
        return result

    def _reconstruct(self, observation: Observation) -> ObjectReconstruction:
        """Run the backend and bring its answer into the form that leaves the package."""
        started = time.perf_counter()
        baked = with_origin(self.backend.reconstruct(observation).baked(), self.config.mesh.origin)
        return replace(
            baked,
            mesh_object=decimate(baked.mesh_object, self.config.mesh.max_triangles),
            stage_s={**baked.stage_s, "object": time.perf_counter() - started},
        )
