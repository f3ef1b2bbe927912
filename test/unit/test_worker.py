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

"""Laws of the threads that do the work."""

import threading
import time
from collections.abc import Iterator

import pytest

from sam3d_ros.config import QueueConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.worker import Cancellation, Worker

WAIT_S = 5.0
REST_S = 0.4


class Log:
    """What a worker did, and when."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.at_s: list[float] = []
        self._changed = threading.Condition()

    def take(self, item: str, cancellation: Cancellation) -> None:
        with self._changed:
            self.items.append(item)
            self.at_s.append(time.monotonic())
            self._changed.notify_all()

    def wait_for(self, num: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.items) >= num, WAIT_S)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def worker(log: Log) -> Iterator[Worker[str]]:
    made = Worker("test", log.take, QueueConfig(), _nothing)
    yield made
    made.stop()
    assert made.join(WAIT_S)


def _nothing() -> None:
    """Be called when a bug ended the thread."""


def test_an_item_begins_after_the_rest_and_not_before(worker: Worker[str], log: Log) -> None:
    began_s = time.monotonic()
    worker.rest(REST_S)
    worker.submit("first")
    assert log.wait_for(1)
    assert log.at_s[0] - began_s >= REST_S


def test_the_newest_item_is_the_one_that_waits_for_the_end_of_a_rest(
    worker: Worker[str], log: Log
) -> None:
    worker.rest(REST_S)
    assert worker.submit("old") == []
    assert worker.submit("new") == ["old"]
    assert log.wait_for(1)
    assert log.items == ["new"]


def test_tasks_do_not_wait_for_the_end_of_a_rest(worker: Worker[str]) -> None:
    done = threading.Event()
    worker.rest(60.0)
    worker.submit("item")
    worker.run(done.set)
    assert done.wait(WAIT_S)


def test_a_worker_that_rests_ends_at_once(log: Log) -> None:
    worker = Worker("test", log.take, QueueConfig(), _nothing)
    worker.rest(60.0)
    worker.submit("item")
    worker.stop()
    assert worker.join(WAIT_S)
    assert log.items == []


def test_what_is_asked_for_goes_before_what_came_and_waits_for_no_rest(
    worker: Worker[str], log: Log
) -> None:
    worker.rest(60.0)
    worker.submit("came")
    assert worker.ask("asked for")
    assert log.wait_for(1)
    assert log.items == ["asked for"]
    assert worker.num_waiting == 1


def test_no_more_is_asked_for_than_may_wait_and_nothing_that_comes_takes_its_place() -> None:
    gate, log = threading.Event(), Log()

    def handle(item: str, cancellation: Cancellation) -> None:
        log.take(item, cancellation)
        assert gate.wait(WAIT_S)

    worker = Worker("test", handle, QueueConfig(depth=2), _nothing)
    assert worker.ask("first")
    assert log.wait_for(1)
    assert [worker.ask(item) for item in ("second", "third", "fourth")] == [True, True, False]
    assert [worker.submit(item) for item in ("a", "b", "c")] == [[], [], ["a"]]
    gate.set()
    assert log.wait_for(5)
    assert log.items == ["first", "second", "third", "b", "c"]
    worker.stop()
    assert worker.join(WAIT_S)


def test_an_item_that_waits_is_called_off_at_once_and_one_in_work_is_told() -> None:
    told, begun = threading.Event(), threading.Event()

    def handle(item: str, cancellation: Cancellation) -> None:
        begun.set()
        while not cancellation():
            time.sleep(0.01)
        assert (cancellation.code, cancellation.reason) == (ReportCode.CANCELLED, "not wanted")
        told.set()

    worker = Worker("test", handle, QueueConfig(), _nothing)
    worker.ask("first")
    assert begun.wait(WAIT_S)
    worker.ask("second")
    assert worker.call_off("second", ReportCode.CANCELLED, "not wanted")
    assert not told.is_set()
    assert not worker.call_off("first", ReportCode.CANCELLED, "not wanted")
    assert told.wait(WAIT_S)
    assert not worker.call_off("never asked for", ReportCode.CANCELLED, "not wanted")
    worker.stop()
    assert worker.join(WAIT_S)
