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

"""What a planner was told of objects, and what it must be told next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np

from sam3d_ros.structures import CollisionShape, Floats, Similarity


class Operation(Enum):
    """What a planner is to do with an object."""

    ADD = auto()  # or replace, pose and geometry
    MOVE = auto()  # pose alone
    REMOVE = auto()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Obstacle:
    """One object in the frame of the planner."""

    name: str
    class_id: str
    planning_from_object: Similarity
    stamp_ns: int  # at which it stands there
    seen_ns: int  # of the last image that showed it
    shape: CollisionShape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """One thing that a planner is told."""

    operation: Operation
    name: str
    obstacle: Obstacle | None = None  # None is what is removed


@dataclass(slots=True)
class ToldObstacles:
    """What a planner knows from us; what it has attached to the robot is not ours meanwhile."""

    min_move_m: float = 0.0
    attached: set[str] = field(default_factory=set)
    _told: dict[str, Obstacle] = field(default_factory=dict)
    _seen_ns: dict[str, int] = field(default_factory=dict)  # of all that is wanted
    # What the robot has put down, and when it was last seen before: until it is seen again, the
    # planner knows better where it is.
    _put_down: dict[str, int] = field(default_factory=dict)

    @property
    def obstacles(self) -> tuple[Obstacle, ...]:
        """What the planner knows from us."""
        return tuple(self._told.values())

    def changes(self, wanted: Mapping[str, Obstacle]) -> list[Change]:
        """Return what to tell so that the planner knows what is wanted, and take it as told."""
        changes = [
            Change(operation=Operation.REMOVE, name=name)
            for name in self._told
            if name not in wanted and name not in self.attached
        ]
        for change in changes:
            del self._told[change.name]
            self._put_down.pop(change.name, None)
        for name, obstacle in wanted.items():
            operation = self._operation(obstacle)
            if operation is not None:
                self._told[name] = obstacle
                self._put_down.pop(name, None)
                changes.append(Change(operation=operation, name=name, obstacle=obstacle))
        self._seen_ns = {name: obstacle.seen_ns for name, obstacle in wanted.items()}
        return changes

    def attach(self, names: Iterable[str]) -> None:
        """Take in what is attached to the robot now; what was put down may stand anywhere."""
        now_attached = set(names)
        for name in self.attached - now_attached:
            self._put_down[name] = self._seen_ns.get(name, -1)
        self.attached = now_attached

    def everything(self) -> list[Change]:
        """Return all that was told, for a planner that comes late."""
        return [
            Change(operation=Operation.ADD, name=name, obstacle=obstacle)
            for name, obstacle in self._told.items()
            if name not in self.attached and name not in self._put_down
        ]

    def _operation(self, wanted: Obstacle) -> Operation | None:
        told = self._told.get(wanted.name)
        if wanted.name in self.attached or wanted.seen_ns <= self._put_down.get(wanted.name, -1):
            return None
        if told is None or told.shape is not wanted.shape:
            return Operation.ADD
        must_move = wanted.name in self._put_down or moved_m(told, wanted) > self.min_move_m
        return Operation.MOVE if must_move else None


def moved_m(before: Obstacle, after: Obstacle) -> float:
    """Return how far the corner of an object's box went that went farthest."""
    corners = _corners(after.shape.bounds)
    way = after.planning_from_object.apply(corners) - before.planning_from_object.apply(corners)
    return float(np.linalg.norm(way, axis=1).max())


def _corners(bounds: Floats) -> Floats:
    """Return the corners ``(8, 3)`` of a box ``(2, 3)``."""
    numbers = np.arange(8)[:, None] >> np.array([2, 1, 0]) & 1
    corners: Floats = np.where(numbers, bounds[1], bounds[0])
    return corners
