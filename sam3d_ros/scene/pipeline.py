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

"""From a frame to a scene: reconstruct its objects, keep their identities."""

from sam3d_ros.config import SceneConfig
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.scene.reconstructor import ReconstructedFrame, Reconstructor
from sam3d_ros.scene.registry import Detection, Registry
from sam3d_ros.structures import Frame, SceneSnapshot


class ScenePipeline:
    """Frames in, snapshots out; the node, ``sam3d offline`` and the tests share it.

    Identities live here, so they outlive a reconstructor in a process of its own
    (``ReconstructorProcess``); ``local_pipeline`` makes one that needs no other process.
    """

    def __init__(self, config: SceneConfig, reconstructor: Reconstructor) -> None:
        self.config = config
        self._reconstructor = reconstructor
        self._registry = Registry(config.registry)

    def start(self) -> None:
        """Let the reconstructor get ready before the first frame; returns at once."""
        self._reconstructor.start()

    def process(self, frame: Frame, cancelled: Cancelled = never) -> SceneSnapshot:
        """Reconstruct every mask of a frame and return all objects known then.

        One object that fails becomes one ``ObjectFailure`` and stops none of the others.

        Raises:
            CancelledError: When ``cancelled`` answered true; nothing has changed then.
            Sam3dError: When nothing of the frame can be used.
        """
        if not frame.masks:
            return self.advance(frame.stamp_ns, frame.frame_id)
        result = self._reconstructor.reconstruct(frame, cancelled)
        change = self._registry.update(frame, _detections(frame, result))
        return SceneSnapshot(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            objects=self._registry.objects,
            updated=change.updated,
            removed=change.removed,
            failures=tuple(result.failures),
            support=result.support,
            stage_s=result.stage_s,
            gpu_peak_mb=result.gpu_peak_mb,
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

    def close(self) -> None:
        """Release what the reconstructor holds."""
        self._reconstructor.close()


def _detections(frame: Frame, result: ReconstructedFrame) -> list[Detection]:
    """Join reconstructions with the masks they come from."""
    masks = {mask.instance_id: mask for mask in frame.masks}
    return [
        Detection(
            instance=masks[instance.instance_id],
            reconstruction=instance.reconstruction,
            flags=instance.flags,
        )
        for instance in result.instances
    ]
