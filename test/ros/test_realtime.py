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

"""The thread that receives goes first, where that is asked for and granted."""

import os
import threading
from collections.abc import Callable, Iterator

import pytest
from rig import Rig

from sam3d_ros.ros import realtime
from sam3d_ros.ros.realtime import receive_at

MakeRig = Callable[..., Rig]
pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(
        not hasattr(os, "sched_setscheduler"), reason="this system has no real-time scheduling"
    ),
]


def policy() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    receive_at(0)


@pytest.fixture
def is_granted() -> bool:
    reason = receive_at(1)
    receive_at(0)
    return not reason


def test_it_is_asked_of_the_system_and_given_back(is_granted: bool) -> None:
    if not is_granted:
        pytest.skip("this system grants us no real-time priority")
    assert receive_at(7) == ""
    assert (policy(), os.sched_getparam(0).sched_priority) == (os.SCHED_FIFO, 7)
    assert receive_at(0) == ""
    assert policy() == os.SCHED_OTHER


def test_what_the_thread_starts_does_not_go_first(is_granted: bool) -> None:
    if not is_granted:
        pytest.skip("this system grants us no real-time priority")
    receive_at(7)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(policy()))
    thread.start()
    thread.join()
    assert found == [os.SCHED_OTHER]


def test_a_refusal_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(realtime.os, "sched_setscheduler", refused)
    assert "Operation not permitted; grant it with '@GROUP - rtprio 7'" in receive_at(7)


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


def test_unless_it_is_asked_for_nothing_changes(make_rig: MakeRig) -> None:
    make_rig({}).start()
    assert policy() == os.SCHED_OTHER
