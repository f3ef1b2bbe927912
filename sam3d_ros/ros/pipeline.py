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

"""What the node needs of what reconstructs and follows; tests have pipelines of their own."""

from typing import Protocol

from sam3d_ros.config import SceneConfig
from sam3d_ros.protocols import Cancelled
from sam3d_ros.ros.following import FollowingPipeline
from sam3d_ros.scene.pipeline import Show
from sam3d_ros.scene.reconstructor import RememberedView
from sam3d_ros.structures import Frame, SceneSnapshot


class Pipeline(FollowingPipeline, Protocol):
    """What the node needs of ``scene.pipeline.ScenePipeline``."""

    @property
    def is_ready(self) -> bool:
        """Whether the first frame would be looked at at once; not while weights are loaded."""
        ...

    def retune(self, config: SceneConfig) -> None:
        """Take other values of the settings that are dynamic, from the next frame on."""
        ...

    def start(self) -> None:
        """Get ready for the first frame; returns at once."""
        ...

    def process(
        self, frame: Frame, cancelled: Cancelled, *, anew: bool, show: Show | None
    ) -> SceneSnapshot:
        """Reconstruct the objects of a frame; ``show`` gets those that are finished first."""
        ...

    def snapshot(self, frame_id: str) -> SceneSnapshot:
        """Return all objects as they are known now."""
        ...

    def views(self, track_id: int) -> tuple[RememberedView, ...]:
        """Return the views of an object that are remembered."""
        ...

    def lock(self, track_id: int, locked: bool) -> bool:
        """Keep the mesh of an object as it is, or no longer."""
        ...

    def remove(self, track_id: int) -> bool:
        """Forget an object."""
        ...

    def advance(self, stamp_ns: int, frame_id: str) -> SceneSnapshot:
        """Let time pass without a frame."""
        ...

    def reset(self) -> tuple[int, ...]:
        """Forget all objects and return their track ids."""
        ...

    def start_over(self) -> tuple[int, ...]:
        """Forget all objects as before the first frame; return their ids, which come again."""
        ...

    def close(self) -> None:
        """Release what reconstructs; the next frame may start it again."""
        ...
