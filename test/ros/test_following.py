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

"""Images between masks: looked at by one thread, while another publishes what was found."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sam3d_ros.protocols import Cancelled
from sam3d_ros.ros.following import Following
from sam3d_ros.structures import SceneSnapshot

PATIENCE_S = 10.0


class Stage:
    """A pipeline and a publisher that do what they are told, and tell how far they are."""

    can_follow = True

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.sent: list[int] = []
        self.called_off: list[int] = []
        self.removed: tuple[int, ...] = ()
        self.forgotten: list[int] = []
        self.may_send = threading.Event()
        self.changed = threading.Condition()

    def follow(self, frame: Any) -> SceneSnapshot:
        self._note(self.seen, frame)
        return SceneSnapshot(
            number=frame, stamp_ns=frame, frame_id="camera", objects=(), removed=self.removed
        )

    def send(self, snapshot: SceneSnapshot, cancelled: Cancelled) -> bool:
        assert self.may_send.wait(PATIENCE_S)
        is_off = cancelled()
        self._note(self.called_off if is_off else self.sent, snapshot.number)
        return not is_off

    def forget(self, removed: tuple[int, ...]) -> None:
        for track_id in removed:
            self._note(self.forgotten, track_id)

    def until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S)

    def until_seen(self, number: int) -> None:
        self.until(lambda: number in self.seen)

    def _note(self, where: list[int], number: int) -> None:
        with self.changed:
            where.append(number)
            self.changed.notify_all()


def image(number: int) -> Any:
    return SimpleNamespace(number=number, received=SimpleNamespace(steady_ns=0))


def number_of(each: Any) -> Any:
    return each.number


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def following(stage: Stage) -> Iterator[Following]:
    following = Following(stage, number_of, stage.send, stage.forget, print, print)
    yield following
    stage.may_send.set()
    following.stop("the end")
    assert following.join(PATIENCE_S)


def test_the_next_image_is_looked_at_while_the_last_is_published(
    stage: Stage, following: Following
) -> None:
    for number in (1, 2, 3, 4):  # the first is being published, and all others are looked at
        following.submit(image(number))
        stage.until_seen(number)
    assert not stage.sent
    stage.may_send.set()
    stage.until(lambda: stage.sent[-1:] == [4])
    following.stop("enough")
    assert following.join(PATIENCE_S)  # it counts after it has sent
    figures = following.take_figures()
    assert figures.num_followed + figures.num_overtaken == 4
    assert figures.num_overtaken > 0  # publishing takes the newest, too


def test_what_was_found_before_a_pause_is_published_no_more(
    stage: Stage, following: Following
) -> None:
    for number in (1, 2):
        following.submit(image(number))
        stage.until_seen(number)
    following.pause("time went back")
    stage.may_send.set()
    following.resume()
    following.submit(image(3))
    stage.until(lambda: stage.sent == [3])
    assert set(stage.called_off) <= {1, 2}  # what had begun


def test_what_is_known_no_more_is_said_also_where_nothing_is_sent(
    stage: Stage, following: Following
) -> None:
    stage.removed = (7,)
    following.submit(image(1))
    stage.until(lambda: stage.forgotten == [7])
    assert not stage.sent
