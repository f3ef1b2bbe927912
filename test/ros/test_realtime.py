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

"""The thread that receives goes first, where that is wanted and granted."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rig import Rig, frame

from sam3d_ros.ros import realtime
from sam3d_ros.ros.realtime import Schedule, Urgency, level_to_take, priority_here, refusal

MakeRig = Callable[..., Rig]
pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(not realtime.IS_SUPPORTED, reason="this system has no real-time scheduling"),
]


def urgency(level: int) -> Urgency:
    """Return one that is in force in this thread."""
    made = Urgency()
    assert made.ask(level) == ""
    made.end()
    return made


OTHER = Schedule(os.SCHED_OTHER, 0)
needs_grant = pytest.mark.skipif(
    bool(refusal(7)), reason="this system grants us no real-time priority"
)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    OTHER.apply()


@needs_grant
def test_the_thread_goes_first_from_the_message_until_it_waits() -> None:
    made = urgency(7)
    found = [Schedule.here()]
    for step in (made.begin, made.begin, made.end, made.end):
        step()
        found.append(Schedule.here())
    assert found == [OTHER, Schedule.real_time(7), Schedule.real_time(7), OTHER, OTHER]


@needs_grant
def test_what_the_thread_starts_does_not_go_first() -> None:
    made, found = urgency(7), []
    made.begin()
    thread = threading.Thread(target=lambda: found.append(Schedule.here()))
    thread.start()
    thread.join()
    assert found == [OTHER]


@needs_grant
def test_what_a_thread_had_before_it_has_again() -> None:
    Schedule.real_time(5).apply()
    made = urgency(7)
    made.begin()
    made.end()
    assert Schedule.here() == Schedule.real_time(5)


@needs_grant
@pytest.mark.parametrize(("wanted", "level"), [(-1, 0), (3, 0), (5, 0), (6, 6)])
def test_a_priority_that_is_enough_is_left_as_it_is(wanted: int, level: int) -> None:
    Schedule.real_time(5).apply()
    assert level_to_take(wanted) == level


@needs_grant
def test_who_does_not_end_it_does_not_get_it() -> None:
    made, found = urgency(7), []

    def receive() -> None:
        made.begin()
        found.append(Schedule.here())

    thread = threading.Thread(target=receive)  # such as an executor that is not the node's
    thread.start()
    thread.join()
    assert found == [OTHER]


@needs_grant
def test_asked_for_no_longer_it_ends_at_the_next_wait() -> None:
    made = urgency(7)
    made.begin()
    made.ask(0)
    made.end()
    made.begin()
    assert Schedule.here() == OTHER


def only_with_the_flag(number: int, policy: int, param: object) -> None:
    """Refuse what Linux refuses to who has no privilege: to take the flag off."""
    if not policy & os.SCHED_RESET_ON_FORK:
        raise PermissionError(1, "Operation not permitted")
    POLICIES.append(policy & ~os.SCHED_RESET_ON_FORK)


POLICIES: list[int] = []


def test_it_is_given_back_without_any_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime.os, "sched_setscheduler", only_with_the_flag)
    made = urgency(1)
    POLICIES.clear()
    made.begin()
    made.end()
    assert POLICIES == [os.SCHED_FIFO, os.SCHED_OTHER]


@pytest.mark.parametrize(
    "error", [PermissionError(1, "Operation not permitted"), OSError(22, "Invalid argument")]
)
def test_a_refusal_says_how_to_get_it(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime.os, "sched_setscheduler", raising(error))
    made = Urgency()
    assert f"{error.strerror}; grant it with '@GROUP - rtprio 7'" in made.ask(7)
    assert made.level == 0


@needs_grant
def test_what_is_granted_no_longer_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = urgency(7)
    refuse = raising(PermissionError(1, "Operation not permitted"))
    monkeypatch.setattr(realtime.os, "sched_setscheduler", refuse)
    made.begin()
    made.end()
    assert made.level == 0


def raising(error: OSError) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise error

    return refuse


@needs_grant
def test_a_node_has_it_while_it_is_active(make_rig: MakeRig) -> None:
    rig = make_rig({"realtime_priority": 3})
    rig.start()
    levels = [rig.node.urgency.level]
    for change in (rig.node.trigger_deactivate, rig.node.trigger_activate):
        change()
        levels.append(rig.node.urgency.level)
    assert levels == [3, 0, 3]


@needs_grant
def test_the_node_looks_at_messages_with_it_and_waits_without(make_rig: MakeRig) -> None:
    rig, found = make_rig({"realtime_priority": 3}), []
    rig.start()
    assembler = rig.node.session.receiver.assembler
    add = assembler.add

    def noting(*arguments: Any) -> Any:
        found.append(Schedule.here())
        return add(*arguments)

    assembler.add = noting
    rig.node.urgency.end()  # as ``node.spin`` does before each wait
    rig.send(depth=frame(0)["depth"])
    rig.until(lambda: found, "a message")
    rig.node.urgency.end()
    assert [*found, Schedule.here()] == [Schedule.real_time(3), OTHER]


def test_by_default_it_takes_the_lowest_where_that_is_granted(make_rig: MakeRig) -> None:
    rig = make_rig({})
    rig.start()
    assert rig.node.urgency.level == int(not refusal(1))


@pytest.mark.parametrize(("wanted", "num_warnings"), [(-1, 0), (2, 1)])
def test_only_who_asks_for_it_is_told_that_it_is_not_granted(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, wanted: int, num_warnings: int
) -> None:
    refuse = raising(PermissionError(1, "Operation not permitted"))
    rig = make_rig({"realtime_priority": wanted})
    warnings: list[str] = []
    monkeypatch.setattr(realtime.os, "sched_setscheduler", refuse)
    monkeypatch.setattr(rig.node.get_logger(), "warning", warnings.append)
    rig.start()
    assert len(warnings) == num_warnings
    assert all(f"realtime_priority {wanted} is not in force" in each for each in warnings)


@needs_grant
def test_with_0_there_is_none(make_rig: MakeRig) -> None:
    rig = make_rig({"realtime_priority": 0})
    rig.start()
    assert rig.node.urgency.level == 0
    assert priority_here() == 0
