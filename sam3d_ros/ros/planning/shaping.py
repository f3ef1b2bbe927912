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

"""Geometry for planners, made beside everything else.

A thread asks a process for the shapes of meshes. New objects get their hull first, within a
fraction of a second, so that no planner has to wait for what takes seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Protocol

from sam3d_ros.config import QueueConfig
from sam3d_ros.errors import CancelledError, Sam3dError
from sam3d_ros.ros.worker import Worker
from sam3d_ros.structures import CollisionShape, Mesh, ShapeOrder

EVERYTHING = QueueConfig(policy="none")
ROUGH = "convex_hull"
QUICK = (ROUGH, "box")
JOIN_S = 1.0


class ShapeMaker(Protocol):
    """What makes shapes; see ``scene.collision_process.CollisionProcess``."""

    def start(self) -> None:
        """Get ready; returns at once."""
        ...

    def shape(self, mesh: Mesh, order: ShapeOrder) -> CollisionShape:
        """Return solids that enclose a mesh."""
        ...

    def close(self) -> None:
        """Give up what is being made."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shaped:
    """A shape, and its geometry in messages."""

    shape: CollisionShape
    geometry: list[Any]
    revision: int  # of the mesh


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Job:
    key: int
    revision: int
    mesh: Mesh
    order: ShapeOrder


class Shaper:
    """Makes the shapes that are wanted, the newest of each object only.

    Args:
        maker: Makes one.
        order: What is wanted.
        encode: Makes messages of one.
        warn: Logs one line.
        crashed: Called where a bug ended the thread.
    """

    def __init__(
        self,
        maker: ShapeMaker,
        order: ShapeOrder,
        encode: Callable[[CollisionShape], list[Any]],
        warn: Callable[[str], None],
        crashed: Callable[[], None],
    ) -> None:
        self._maker = maker
        self._order = order
        self._encode = encode
        self._warn = warn
        self._lock = Lock()
        self._wanted: dict[int, int] = {}  # revision by object
        self._made: dict[int, Shaped] = {}
        self._is_paused = False
        self._worker: Worker[_Job] = Worker(
            "collision geometry", lambda job, _: self._make(job), EVERYTHING, crashed
        )

    def want(self, meshes: Mapping[int, tuple[int, Mesh]]) -> None:
        """Say which objects there are now: revision and mesh by object."""
        with self._lock:
            for key in self._wanted.keys() - meshes.keys():
                del self._wanted[key]
                self._made.pop(key, None)
            new = {key: made for key, made in meshes.items() if self._wanted.get(key) != made[0]}
            self._wanted.update({key: revision for key, (revision, _) in new.items()})
            without = new.keys() - self._made.keys()
        for key, (revision, mesh) in new.items():
            job = _Job(key=key, revision=revision, mesh=mesh, order=self._order)
            if key in without and self._order.geometry not in QUICK:
                rough = replace(job, order=replace(self._order, geometry=ROUGH))
                self._worker.run(lambda rough=rough: self._make(rough))  # type: ignore[misc]
            self._worker.submit(job)

    def made(self) -> dict[int, Shaped]:
        """Return the newest shape of each object that has one."""
        with self._lock:
            return dict(self._made)

    @property
    def num_waiting(self) -> int:
        """How many shapes are not made yet."""
        return self._worker.num_waiting

    def start(self) -> None:
        """Get ready; returns at once."""
        self._is_paused = False
        self._maker.start()

    def pause(self) -> None:
        """Give up what is being made and what waits; it is wanted again when that is said again."""
        self._is_paused = True
        self._maker.close()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._wanted.clear()
        self.pause()
        self._worker.stop()
        self._worker.join(JOIN_S)

    def _make(self, job: _Job) -> None:
        if not self._is_wanted(job):
            return
        if self._is_paused:  # asking would start the process again
            self._forget(job)
            return
        try:
            shape = self._maker.shape(job.mesh, job.order)
        except CancelledError:
            self._forget(job)
            return
        except Sam3dError as error:
            self._warn(f"no collision geometry of object {job.key}: {error}")
            return
        shaped = Shaped(shape=shape, geometry=self._encode(shape), revision=job.revision)
        with self._lock:
            if self._wanted.get(job.key) == job.revision:
                self._made[job.key] = shaped

    def _is_wanted(self, job: _Job) -> bool:
        with self._lock:
            return self._wanted.get(job.key) == job.revision

    def _forget(self, job: _Job) -> None:
        with self._lock:
            if self._wanted.get(job.key) == job.revision:
                del self._wanted[job.key]
