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

"""Pictures of frames in a process of its own: drawing one holds the interpreter for long."""

from dataclasses import dataclass, replace

import cv2

from sam3d_ros.config import SceneConfig
from sam3d_ros.protocols import Cancelled
from sam3d_ros.scene.child import Answering, ChildProcess, Role
from sam3d_ros.structures import Bytes, Frame, SceneObject, SceneSnapshot

NICENESS = 15  # after all that reconstructs and follows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """One frame and what was found in it, drawn."""

    rgb: Bytes  # (H, W, 3), enlarged by a whole number where the image is small
    jpeg: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Question:
    frame: Frame
    snapshot: SceneSnapshot


class OverlayProcess:
    """Draws; started with the first picture."""

    def __init__(self, config: SceneConfig) -> None:
        role = Role(name="overlay", niceness=NICENESS, make=_made_ready)
        self._process = ChildProcess(role, config)

    def draw(self, frame: Frame, snapshot: SceneSnapshot, cancelled: Cancelled) -> Picture:
        """Draw meshes and masks into the image of a frame; see ``ChildProcess.ask``."""
        seen = [_bare(known) for known in snapshot.objects if known.track_id in snapshot.updated]
        lasting = [known.reconstruction.mesh_object for known in seen]
        # What is not drawn is large.
        question = _Question(
            frame=replace(frame, points=None, depth=None),
            snapshot=replace(snapshot, objects=tuple(seen)),
        )
        picture = self._process.ask(question, lasting, cancelled)
        assert isinstance(picture, Picture)
        return picture

    def close(self) -> None:
        """End the process, by force if it does not end by itself."""
        self._process.close()


def _bare(known: SceneObject) -> SceneObject:
    """Leave out what is not drawn."""
    bare = replace(known.reconstruction, preview=None, preview_texture=None, splats=None)
    return replace(known, reconstruction=bare)


def _made_ready(config: SceneConfig) -> Answering:
    """Return what draws."""
    # Imported here: it takes seconds and a hundred megabytes that only this process has to spend.
    from sam3d_ros.apps.pictures import draw_frame  # noqa: PLC0415

    def answer(question: _Question, cancelled: Cancelled) -> Picture:
        image = draw_frame(question.frame, question.snapshot)
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return Picture(rgb=image, jpeg=jpeg.tobytes())

    return answer
