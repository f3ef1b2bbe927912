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


"""What late subscribers get: the newest message of every object, however busy the others are."""

from collections import deque

import numpy as np

from sam3d_ros.ros.latch import Latch


def test_the_last_messages_hold_the_newest_one_of_every_object() -> None:
    rng = np.random.default_rng(2)
    depth = 6
    window: deque[tuple[int, int]] = deque(maxlen=depth)
    latch: Latch[tuple[int, int]] = Latch(window.append, depth)
    newest: dict[int, tuple[int, int]] = {}
    for time in range(500):
        key = int(rng.integers(0, depth - 1)) if time % 50 else 0
        if time % 7 == 6 and key in newest:
            del newest[key]
            latch.retire(key, (key, -time))
        else:
            newest[key] = (key, time)
            latch.send(key, newest[key])
        assert set(newest.values()) <= set(window)


def test_a_message_is_sent_once_while_there_is_room() -> None:
    sent: list[str] = []
    latch: Latch[str] = Latch(sent.append, depth=10)
    for key, message in ((1, "a"), (2, "b"), (1, "c")):
        latch.send(key, message)
    assert sent == ["a", "b", "c"]


def test_what_is_exchanged_is_taken_back_before_if_it_was_there() -> None:
    sent: list[str] = []
    latch: Latch[str] = Latch(sent.append, depth=10)
    latch.exchange(1, "gone", "a")
    latch.exchange(1, "gone", "b")
    latch.retire(1, "gone")
    latch.exchange(1, "gone", "c")
    assert sent == ["a", "gone", "b", "gone", "c"]


def test_more_objects_than_room_end_in_no_endless_loop() -> None:
    sent: list[int] = []
    latch: Latch[int] = Latch(sent.append, depth=3)
    for key in range(10):
        latch.send(key, key)
    assert set(sent) == set(range(10))


def test_a_forgotten_object_is_not_sent_again() -> None:
    sent: list[int] = []
    latch: Latch[int] = Latch(sent.append, depth=3)
    latch.send(1, 1)
    latch.forget(1)
    for _ in range(5):
        latch.send(2, 2)
    assert sent == [1, 2, 2, 2, 2, 2]
