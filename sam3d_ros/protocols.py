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

"""What a backend must be able to do; the makers live in ``completion``, ``objects``, ``body``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from sam3d_ros.errors import CancelledError, Sam3dError
from sam3d_ros.structures import (
    BodyReconstruction,
    Camera,
    EstimatedPoints,
    Floats,
    ObjectReconstruction,
    Observation,
    PeopleView,
)

Cancelled: TypeAlias = Callable[[], bool]
ObjectOutcome: TypeAlias = ObjectReconstruction | Sam3dError  # the error says why there is none
BodyOutcome: TypeAlias = BodyReconstruction | Sam3dError


def never() -> bool:
    """Answer "was this cancelled?" for callers that do not cancel."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far some work is."""

    stage: str
    done: int = 0  # objects that the stage is through with
    total: int = 0  # objects in the stage; 0 where it is not about single ones


@runtime_checkable
class Watcher(Protocol):
    """Who asks for work: may call it off, as every ``Cancelled``, and hears how far it is."""

    def __call__(self) -> bool:
        """Answer whether the work is called off."""
        ...

    def hear(self, step: Step) -> None:
        """Take in how far the work is; called in its thread."""
        ...


def tell(asking: Cancelled, step: Step) -> None:
    """Say how far the work is, if who asks for it wants to hear that."""
    if isinstance(asking, Watcher):
        asking.hear(step)


class ObjectBackend(Protocol):
    """Turns observations into closed, metric meshes; a function of its input and seed."""

    @property
    def name(self) -> str:
        """Name under which results report this backend."""
        ...

    @property
    def wants_warmup(self) -> bool:
        """Whether a first reconstruction that nobody waits for is short and speeds up the next."""
        ...

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Reconstruct the objects of one frame; one that fails stops none of the others.

        Returns:
            One outcome per observation, in their order.

        Raises:
            CancelledError: When ``cancelled`` answered true; what was finished is not returned.
        """
        ...


@runtime_checkable
class PortionedBackend(ObjectBackend, Protocol):
    """A backend that is asked for some objects of a frame after the other."""

    @property
    def portion(self) -> int:
        """How many are best reconstructed at once; 0 where all of them are."""
        ...


def portion_of(backend: ObjectBackend) -> int:
    """Return how many objects a backend best reconstructs at once; 0 where all of a frame."""
    return backend.portion if isinstance(backend, PortionedBackend) else 0


class SeededBackend(ObjectBackend, Protocol):
    """A backend whose results differ from seed to seed and that makes several at once."""

    def reconstruct_seeds(
        self, observations: Sequence[Observation], seeds: Sequence[int], cancelled: Cancelled
    ) -> list[list[ObjectOutcome]]:
        """Reconstruct the objects of one frame, each once for every seed.

        Returns:
            Per observation one outcome per seed, in their orders.

        Raises:
            CancelledError: When ``cancelled`` answered true.
        """
        ...


@runtime_checkable
class CandidateBackend(ObjectBackend, Protocol):
    """A backend that has several reconstructions to choose from; ``reconstruct`` does not choose.

    ``scene.choosing`` has those that try seeds or other backends, and the choice.
    """

    def candidates(
        self, observations: Sequence[Observation], cancelled: Cancelled
    ) -> list[list[ObjectOutcome]]:
        """Reconstruct the objects of one frame in several ways.

        Returns:
            Per observation at least one outcome, the preferred one first.

        Raises:
            CancelledError: When ``cancelled`` answered true.
        """
        ...


class BodyBackend(Protocol):
    """Turns marked people into posed bodies; a function of its input."""

    @property
    def name(self) -> str:
        """Name under which results report this backend."""
        ...

    @property
    def wants_warmup(self) -> bool:
        """Whether a first call that nobody waits for is short and speeds up the next."""
        ...

    def reconstruct(self, view: PeopleView, cancelled: Cancelled = never) -> list[BodyOutcome]:
        """Reconstruct the people of one image; one that fails stops none of the others.

        Returns:
            One outcome per person of the view, in their order.

        Raises:
            CancelledError: When ``cancelled`` answered true.
        """
        ...


class PointEstimator(Protocol):
    """Sees points in an image alone, for cameras and objects without measured depth."""

    def estimate(
        self, rgb: Floats, camera: Camera | None = None, cancelled: Cancelled = never
    ) -> EstimatedPoints:
        """Return what is seen in an image.

        Args:
            rgb: ``(H, W, 3)`` float32 in [0, 1].
            camera: Its camera, without distortion; found from the image unless given.
            cancelled: Asked before the work.

        Raises:
            DepthSparseError: There is (almost) nothing in the image that it takes for a surface.
            OutOfMemoryError: The memory of the device does not suffice.
            CancelledError: When ``cancelled`` answered true.
        """
        ...


class SingleObjectBackend(Protocol):
    """A backend that reconstructs one object at a time; see ``OneByOne``."""

    @property
    def name(self) -> str:
        """Name under which results report this backend."""
        ...

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        """Reconstruct one object.

        Raises:
            Sam3dError: Where this observation allows no reconstruction; says why.
        """
        ...


class OneByOne:
    """An ``ObjectBackend`` that asks a ``SingleObjectBackend`` about one object after the other."""

    wants_warmup = True
    portion = 1

    def __init__(self, backend: SingleObjectBackend) -> None:
        self._backend = backend

    @property
    def name(self) -> str:
        """Name of the backend that is asked."""
        return self._backend.name

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        """Reconstruct the objects in their order; see ``ObjectBackend``."""
        outcomes: list[ObjectOutcome] = []
        for number, observation in enumerate(observations):
            if cancelled():
                raise CancelledError(f"stopped after {number} of {len(observations)} objects")
            tell(cancelled, Step(stage="reconstruct", done=number, total=len(observations)))
            try:
                outcomes.append(self._backend.reconstruct(observation))
            except CancelledError:
                raise
            except Sam3dError as error:
                outcomes.append(error)
        return outcomes
