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

"""What a planner is told next: what came, moved or went since it was last told."""

import numpy as np
import pytest

from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.obstacles import Change, Obstacle, Operation, ToldObstacles, moved_m
from sam3d_ros.structures import CollisionShape, Similarity

ADD, MOVE, REMOVE = Operation.ADD, Operation.MOVE, Operation.REMOVE
BOUNDS = np.array([[-0.1, -0.1, 0.0], [0.1, 0.1, 0.2]])


def shape() -> CollisionShape:
    return CollisionShape(
        parts=(),
        geometry="box",
        bounds=BOUNDS,
        padding_m=0.0,
        is_watertight=True,
        volume_m3=0.0,
        uncovered_m=0.0,
        hausdorff_m=0.0,
        seconds=0.0,
    )


SHAPE = shape()


def obstacle(
    name: str, x_m: float = 0.0, made: CollisionShape = SHAPE, seen_ns: int = 1
) -> Obstacle:
    pose = Similarity(np.eye(3), np.array([x_m, 0.0, 0.0]))
    return Obstacle(
        name=name,
        class_id="mug",
        planning_from_object=pose,
        stamp_ns=1,
        seen_ns=seen_ns,
        shape=made,
    )


def tell(told: ToldObstacles, *wanted: Obstacle) -> list[tuple[Operation, str]]:
    changes = told.changes({each.name: each for each in wanted})
    return [(change.operation, change.name) for change in changes]


def names(changes: list[Change]) -> list[str]:
    return [change.name for change in changes]


def test_what_is_new_is_added_and_then_said_no_more() -> None:
    told = ToldObstacles()
    assert tell(told, obstacle("a"), obstacle("b")) == [(ADD, "a"), (ADD, "b")]
    assert tell(told, obstacle("a"), obstacle("b")) == []


def test_what_moved_is_moved_and_what_has_a_new_shape_is_replaced() -> None:
    told = ToldObstacles()
    tell(told, obstacle("a"), obstacle("b"))
    assert tell(told, obstacle("a", 0.5), obstacle("b", made=shape())) == [(MOVE, "a"), (ADD, "b")]


def test_what_is_gone_is_removed_once() -> None:
    told = ToldObstacles()
    tell(told, obstacle("a"), obstacle("b"))
    assert tell(told, obstacle("b")) == [(REMOVE, "a")]
    assert tell(told, obstacle("b")) == []


def test_small_steps_add_up_until_they_are_told() -> None:
    told = ToldObstacles(min_move_m=0.01)
    tell(told, obstacle("a"))
    heard = [tell(told, obstacle("a", 0.004 * step)) for step in range(1, 6)]
    assert heard == [[], [], [(MOVE, "a")], [], []]


def test_a_turn_moves_what_is_far_from_the_origin() -> None:
    turn = rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), 0.1)
    turned = Obstacle(
        name="a",
        class_id="",
        planning_from_object=Similarity(turn, np.zeros(3)),
        stamp_ns=1,
        seen_ns=1,
        shape=SHAPE,
    )
    assert moved_m(obstacle("a"), turned) == pytest.approx(0.1 * np.sqrt(0.02), rel=0.01)
    assert moved_m(turned, turned) == 0.0


def test_what_the_robot_holds_is_left_alone() -> None:
    told = ToldObstacles()
    tell(told, obstacle("a"), obstacle("b"))
    told.attach(["a"])
    assert tell(told, obstacle("a", 1.0, shape()), obstacle("b")) == []
    assert tell(told, obstacle("b")) == []
    assert names(told.everything()) == ["b"]


def test_what_the_robot_put_down_is_told_anew_once_it_is_seen() -> None:
    told = ToldObstacles(min_move_m=0.01)
    tell(told, obstacle("a"))
    told.attach(["a"])
    tell(told, obstacle("a", 0.5, seen_ns=2))
    told.attach([])
    assert tell(told, obstacle("a", 0.5, seen_ns=2)) == []
    assert names(told.everything()) == []
    assert tell(told, obstacle("a", 0.001, seen_ns=3)) == [(MOVE, "a")]
    assert tell(told, obstacle("a", 0.001, seen_ns=3)) == []
    assert names(told.everything()) == ["a"]


def test_what_was_forgotten_while_the_robot_held_it_is_removed_once_it_is_put_down() -> None:
    told = ToldObstacles()
    tell(told, obstacle("a"))
    told.attach(["a"])
    assert tell(told) == []
    told.attach([])
    assert tell(told) == [(REMOVE, "a")]


def test_a_planner_that_comes_late_is_told_all_with_the_last_poses() -> None:
    told = ToldObstacles()
    tell(told, obstacle("a"), obstacle("b"))
    tell(told, obstacle("a", 0.5), obstacle("b"))
    changes = told.everything()
    assert [(each.operation, each.name) for each in changes] == [(ADD, "a"), (ADD, "b")]
    assert changes[0].obstacle is not None
    assert changes[0].obstacle.planning_from_object.translation_m[0] == 0.5
