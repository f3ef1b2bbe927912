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

"""The threads of the node go first, where that is wanted and granted."""

import os
import threading
from collections.abc import Callable, Iterator

import pytest
from rig import Rig

from sam3d_ros.ros import realtime
from sam3d_ros.ros.realtime import Precedence, Schedule, is_granted, priority_here

MakeRig = Callable[..., Rig]
pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(not realtime.IS_SUPPORTED, reason="this system has no real-time scheduling"),
]


def schedule(thread: threading.Thread | None = None) -> Schedule:
    number = (thread or threading.current_thread()).native_id
    assert number is not None
    return Schedule.of(number)


OTHER = Schedule(os.SCHED_OTHER, 0)
needs_grant = pytest.mark.skipif(
    not is_granted(7), reason="this system grants us no real-time priority"
)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    OTHER.apply(threading.get_native_id())


@needs_grant
def test_it_is_taken_and_given_back() -> None:
    precedence = Precedence()
    assert precedence.take(7) == ""
    assert schedule() == Schedule.real_time(7)
    precedence.give_back()
    assert schedule() == OTHER


@needs_grant
def test_what_the_thread_starts_does_not_go_first() -> None:
    precedence, found = Precedence(), []
    precedence.take(7)
    thread = threading.Thread(target=lambda: found.append(schedule()))
    thread.start()
    thread.join()
    assert found == [OTHER]


@needs_grant
def test_a_thread_that_was_started_since_has_it_soon() -> None:
    precedence, end = Precedence(), threading.Event()
    precedence.take(2)
    late = threading.Thread(target=end.wait)
    late.start()
    before = schedule(late)
    precedence.extend()
    during = schedule(late)
    precedence.give_back()
    after = schedule(late)
    end.set()
    late.join()
    assert [before, during, after] == [OTHER, Schedule.real_time(2), OTHER]


@needs_grant
def test_what_a_thread_had_before_it_has_again() -> None:
    Schedule.real_time(5).apply(threading.get_native_id())
    precedence = Precedence()
    precedence.take(7)
    precedence.give_back()
    assert schedule() == Schedule.real_time(5)


def only_with_the_flag(number: int, policy: int, param: object) -> None:
    """Refuse what Linux refuses to who has no privilege: to take the flag off."""
    if not policy & os.SCHED_RESET_ON_FORK:
        raise PermissionError(1, "Operation not permitted")
    POLICIES[number] = policy & ~os.SCHED_RESET_ON_FORK


POLICIES: dict[int, int] = {}


def test_it_is_given_back_without_any_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime.os, "sched_setscheduler", only_with_the_flag)
    precedence, number = Precedence(), threading.get_native_id()
    assert precedence.take(1) == ""
    assert POLICIES[number] == os.SCHED_FIFO
    precedence.give_back()
    assert POLICIES[number] == os.SCHED_OTHER


@pytest.mark.parametrize(
    "error", [PermissionError(1, "Operation not permitted"), OSError(22, "Invalid argument")]
)
def test_a_refusal_says_how_to_get_it(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime.os, "sched_setscheduler", raising(error))
    precedence = Precedence()
    assert f"{error.strerror}; grant it with '@GROUP - rtprio 7'" in precedence.take(7)
    precedence.extend()
    precedence.give_back()
    assert not is_granted(7)


def raising(error: OSError) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise error

    return refuse


@needs_grant
def test_a_node_has_it_while_it_is_active(make_rig: MakeRig) -> None:
    rig = make_rig({"realtime_priority": 3})
    rig.start()
    assert schedule() == Schedule.real_time(3)
    rig.node.trigger_deactivate()
    assert schedule() == OTHER
    rig.node.trigger_activate()
    assert schedule() == Schedule.real_time(3)


@needs_grant
def test_threads_that_share_the_lock_have_it_too(make_rig: MakeRig) -> None:
    rig = make_rig({"realtime_priority": 3})
    rig.start()
    threads = {each.name: each for each in threading.enumerate()}
    working = [threads[name] for name in ("reconstruction", "following", "followed")]
    assert [schedule(each) for each in working] == 3 * [Schedule.real_time(3)]


def test_with_minus_1_it_takes_the_lowest_where_that_is_granted(make_rig: MakeRig) -> None:
    rig = make_rig({"realtime_priority": -1})
    rig.start()
    assert priority_here() == int(is_granted(1))
    rig.node.trigger_deactivate()
    assert priority_here() == 0


@needs_grant
def test_with_minus_1_a_priority_that_the_thread_has_is_left_to_it(make_rig: MakeRig) -> None:
    Schedule.real_time(5).apply(threading.get_native_id())
    rig = make_rig({"realtime_priority": -1})
    rig.start()
    assert priority_here() == 5
    rig.node.trigger_deactivate()
    assert priority_here() == 5


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


def test_unless_it_is_asked_for_nothing_changes(make_rig: MakeRig) -> None:
    make_rig({}).start()
    assert schedule() == OTHER
