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


"""The follower in a process of its own, so that neither images nor masks wait for the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from sam3d_ros.config import SceneConfig
from sam3d_ros.protocols import Cancelled
from sam3d_ros.scene.child import Answering, ChildProcess, Role
from sam3d_ros.scene.following import Expected, Followed
from sam3d_ros.structures import DepthFrame

# Before the process that reconstructs, but after the callbacks of our own node: they bring the
# image that it waits for, and on two busy cores it would keep taking the processor from them.
NICENESS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Question:
    frame: DepthFrame
    expected: tuple[Expected, ...]


class FollowerProcess:
    """A ``DepthFollower`` behind a pipe; ``start`` starts its process."""

    def __init__(self, config: SceneConfig) -> None:
        self._process = ChildProcess(
            Role(name="tracking", niceness=NICENESS, make=_made_ready), config
        )

    def start(self) -> None:
        """Start the process unless it runs; returns before it is ready."""
        self._process.start()

    def follow(self, frame: DepthFrame, expected: Sequence[Expected]) -> list[Followed]:
        """Return where each object is; see ``Follower`` and ``ChildProcess.ask``.

        A mesh is sent when it is new.
        """
        lasting = [one.mesh_object for one in expected]
        answer = self._process.ask(_Question(frame=frame, expected=tuple(expected)), lasting)
        assert isinstance(answer, list)
        return answer

    def close(self) -> None:
        """End the process, by force if it does not end by itself."""
        self._process.close()


def _made_ready(config: SceneConfig) -> Answering:
    """Return what answers images."""
    # Imported here: only this process has to spend its time and memory.
    from sam3d_ros.scene.follower import DepthFollower  # noqa: PLC0415

    follower = DepthFollower()
    follower.start()

    def answer(question: _Question, cancelled: Cancelled) -> list[Followed]:
        return follower.follow(question.frame, question.expected)

    return answer
