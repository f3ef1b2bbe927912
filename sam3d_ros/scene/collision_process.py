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

"""What planners are told of meshes, made in a process of its own.

Splitting a mesh takes seconds of a processor, and what measures it holds the interpreter lock.
"""

from dataclasses import dataclass

from sam3d_ros.config import SceneConfig
from sam3d_ros.protocols import Cancelled
from sam3d_ros.scene.child import Answering, ChildProcess, Role
from sam3d_ros.structures import CollisionShape, Mesh, ShapeOrder

NICENESS = 15  # after the reconstruction: what planners know meanwhile is larger, not wrong


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Question:
    mesh: Mesh
    order: ShapeOrder


class CollisionProcess:
    """``geometry.collision.collision_shape`` behind a pipe; ``start`` starts its process."""

    def __init__(self, config: SceneConfig) -> None:
        role = Role(name="collision geometry", niceness=NICENESS, make=_made_ready)
        self._process = ChildProcess(role, config)

    def start(self) -> None:
        """Start the process unless it runs; returns before it is ready."""
        self._process.start()

    def shape(self, mesh: Mesh, order: ShapeOrder) -> CollisionShape:
        """Return solids that enclose a mesh.

        Raises:
            CancelledError: ``close`` was called meanwhile.
            ReconstructionError: A signal ended the process; the next question starts it again.
        """
        answer = self._process.ask(_Question(mesh=mesh, order=order))
        assert isinstance(answer, CollisionShape)
        return answer

    def close(self) -> None:
        """End the process, by force if it does not end by itself."""
        self._process.close()


def _made_ready(_: SceneConfig) -> Answering:
    # Imported here: it takes seconds and a hundred megabytes that only this process has to spend.
    from sam3d_ros.geometry.collision.shapes import collision_shape  # noqa: PLC0415

    def answer(question: _Question, _: Cancelled) -> CollisionShape:
        return collision_shape(question.mesh, question.order)

    return answer
