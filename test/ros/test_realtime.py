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
from sam3d_ros.ros.realtime import Precedence, priority_here, scheduled

MakeRig = Callable[..., Rig]
pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(
        not hasattr(os, "sched_setscheduler"), reason="this system has no real-time scheduling"
    ),
]


def policy(thread: threading.Thread | None = None) -> int:
    number = thread.native_id if thread else 0
    assert number is not None
    return os.sched_getscheduler(number) & ~os.SCHED_RESET_ON_FORK


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    scheduled(0)


@pytest.fixture
def is_granted() -> bool:
    reason = scheduled(1)
    scheduled(0)
    return not reason


def test_it_is_asked_of_the_system_and_given_back(is_granted: bool) -> None:
    if not is_granted:
        pytest.skip("this system grants us no real-time priority")
    assert scheduled(7) == ""
    assert (policy(), os.sched_getparam(0).sched_priority) == (os.SCHED_FIFO, 7)
    assert scheduled(0) == ""
    assert policy() == os.SCHED_OTHER


def test_what_the_thread_starts_does_not_go_first(is_granted: bool) -> None:
    if not is_granted:
        pytest.skip("this system grants us no real-time priority")
    scheduled(7)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(policy()))
    thread.start()
    thread.join()
    assert found == [os.SCHED_OTHER]


def test_a_refusal_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(realtime.os, "sched_setscheduler", refused)
    assert "Operation not permitted; grant it with '@GROUP - rtprio 7'" in scheduled(7)


def test_a_node_has_it_while_it_is_active(make_rig: MakeRig, is_granted: bool) -> None:
    rig = make_rig({"realtime_priority": 3})
    rig.start()
    if not is_granted:
        assert policy() == os.SCHED_OTHER  # and the node works as without
        return
    assert policy() == os.SCHED_FIFO
    rig.node.trigger_deactivate()
    assert policy() == os.SCHED_OTHER
    rig.node.trigger_activate()
    assert policy() == os.SCHED_FIFO


def test_threads_that_share_the_lock_have_it_too(make_rig: MakeRig, is_granted: bool) -> None:
    if not is_granted:
        pytest.skip("this system grants us no real-time priority")
    rig = make_rig({"realtime_priority": 3})
    rig.start()
    threads = {each.name: each for each in threading.enumerate()}
    working = [threads[name] for name in ("reconstruction", "following", "followed")]
    assert [policy(each) for each in working] == 3 * [os.SCHED_FIFO]


def test_a_thread_that_was_started_since_has_it_soon(is_granted: bool) -> None:
    if not is_granted:
        pytest.skip("this system grants us no real-time priority")
    precedence, end = Precedence(), threading.Event()
    precedence.take(2)
    late = threading.Thread(target=end.wait)
    late.start()
    before = policy(late)
    precedence.extend()
    during = policy(late)
    precedence.give_back()
    after = policy(late)
    end.set()
    late.join()
    assert (before, during, after) == (os.SCHED_OTHER, os.SCHED_FIFO, os.SCHED_OTHER)


def test_by_default_it_takes_the_lowest_where_that_is_granted(
    make_rig: MakeRig, is_granted: bool
) -> None:
    rig = make_rig({})
    rig.start()
    assert priority_here() == int(is_granted)
    rig.node.trigger_deactivate()
    assert priority_here() == 0


def test_by_default_a_priority_that_the_thread_has_is_left_to_it(
    make_rig: MakeRig, is_granted: bool
) -> None:
    if not is_granted:
        pytest.skip("this system grants us no real-time priority")
    scheduled(5)
    rig = make_rig({})
    rig.start()
    assert priority_here() == 5
    rig.node.trigger_deactivate()
    assert priority_here() == 5


@pytest.mark.parametrize(("wanted", "num_warnings"), [(-1, 0), (2, 1)])
def test_only_who_asks_for_it_is_told_that_it_is_not_granted(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, wanted: int, num_warnings: int
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    rig = make_rig({"realtime_priority": wanted})
    warnings: list[str] = []
    monkeypatch.setattr(realtime.os, "sched_setscheduler", refused)
    monkeypatch.setattr(rig.node.get_logger(), "warning", warnings.append)
    rig.start()
    assert len(warnings) == num_warnings
    assert all(f"realtime_priority {wanted} is not in force" in each for each in warnings)


def test_with_0_nothing_changes(make_rig: MakeRig) -> None:
    make_rig({"realtime_priority": 0}).start()
    assert policy() == os.SCHED_OTHER
