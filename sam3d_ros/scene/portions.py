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

"""Some objects of a frame, finished before the others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sam3d_ros.protocols import Cancelled, Step, tell
from sam3d_ros.scene.reconstructor import ReconstructedInstance, SeenPeople


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Portion(Step):
    """What is finished of a frame, while the rest is not; the whole frame has it again."""

    instances: tuple[ReconstructedInstance, ...]
    standing: tuple[int, ...]  # see ``ReconstructedFrame``
    people: SeenPeople | None = None  # all there are


class PartOf:
    """Who asks for all objects of a frame, as the work on some of them sees it.

    Args:
        asking: Hears how far the work is on all of them.
        start: How many were worked on before.
        total: How many all are.
    """

    def __init__(self, asking: Cancelled, start: int, total: int) -> None:
        self._asking = asking
        self._start = start
        self._total = total

    def __call__(self) -> bool:
        """Answer whether the work is called off."""
        return self._asking()

    def hear(self, step: Step) -> None:
        """Count the objects of a step among all."""
        if step.total:
            step = replace(step, done=self._start + step.done, total=self._total)
        tell(self._asking, step)


class TakingPortions:
    """Who asks for a frame, where its portions are taken in on the way."""

    def __init__(self, asking: Cancelled, take: Callable[[Portion], None]) -> None:
        self._asking = asking
        self._take = take

    def __call__(self) -> bool:
        """Answer whether the work is called off."""
        return self._asking()

    def hear(self, step: Step) -> None:
        """Take a portion in unless the work is called off; pass on how far it is."""
        if not isinstance(step, Portion):
            tell(self._asking, step)
        elif not self._asking():
            self._take(step)


def portions(total: int, size: int) -> Iterator[slice]:
    """Divide so many objects into portions of a size; 0 makes one of all."""
    size = size or max(total, 1)
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
