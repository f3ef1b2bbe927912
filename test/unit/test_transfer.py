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

"""What goes through the pipe comes out equal."""

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam3d_ros.errors import MaskEmptyError
from sam3d_ros.scene.transfer import Inbox, Outbox, receive, send
from sam3d_ros.structures import Camera, DepthImage, Frame, InstanceMask, Mesh


def through_a_pipe(value: object) -> object:
    ours, theirs = multiprocessing.Pipe()
    sender = threading.Thread(target=send, args=(ours, value))  # a pipe holds 64 KB only
    sender.start()
    received = receive(theirs)
    sender.join()
    return received


def test_a_frame_arrives_as_it_was(vga: Camera) -> None:
    rng = np.random.default_rng(0)
    frame = Frame(
        rgb=rng.integers(0, 255, (480, 640, 3), dtype=np.uint8),
        camera=vga,
        stamp_ns=7,
        masks=(InstanceMask(instance_id=2, mask=rng.random((480, 640)) > 0.5),),
        depth=DepthImage(depth_m=rng.random((480, 640), dtype=np.float32), camera=vga),
    )
    received = through_a_pipe(frame)
    assert isinstance(received, Frame)
    assert received.stamp_ns == 7
    assert received.depth is not None
    assert frame.depth is not None
    np.testing.assert_array_equal(received.rgb, frame.rgb)
    np.testing.assert_array_equal(received.depth.depth_m, frame.depth.depth_m)
    np.testing.assert_array_equal(received.masks[0].mask, frame.masks[0].mask)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), dtype=np.float32),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(20)[::2],
    ],
    ids=["empty", "column-major", "strided"],
)
def test_arrays_of_any_layout_arrive_and_can_be_written(array: np.ndarray) -> None:
    received = through_a_pipe({"array": array})
    assert isinstance(received, dict)
    np.testing.assert_array_equal(received["array"], array)
    received["array"][...] = 1


def test_an_error_arrives_with_its_text_and_code() -> None:
    received = through_a_pipe(MaskEmptyError("too small"))
    assert isinstance(received, MaskEmptyError)
    assert (str(received), received.code) == ("too small", MaskEmptyError.code)


def test_lasting_parts_travel_once_and_are_the_same_objects_there(
    make_box: Callable[..., Mesh],
) -> None:
    ours, theirs = multiprocessing.Pipe()
    outbox, inbox = Outbox(), Inbox()
    first, second = make_box(0.1, 0.1, 0.1), make_box(0.2, 0.1, 0.1)

    def there(value: object, lasting: list[object]) -> Any:
        outbox.send(ours, value, lasting)
        return inbox.receive(theirs)

    known = there(first, [first])
    both = there((first, second, 7), [first, second])
    assert both == (known, both[1], 7)
    assert there(second, [second]) is both[1]
    again = there(first, [first])
    assert again is not known  # it was not named in between, so it was forgotten
    np.testing.assert_array_equal(again.vertices, first.vertices)


def test_what_is_not_lasting_is_sent_each_time(make_box: Callable[..., Mesh]) -> None:
    ours, theirs = multiprocessing.Pipe()
    outbox, inbox = Outbox(), Inbox()
    mesh = make_box(0.1, 0.1, 0.1)
    for _ in range(2):
        outbox.send(ours, mesh, [])
        np.testing.assert_array_equal(inbox.receive(theirs).vertices, mesh.vertices)


@pytest.mark.parametrize("side", [10, 300, 700])  # below and above what goes through shared memory
def test_large_arrays_arrive_and_belong_to_who_gets_them(side: int) -> None:
    ours, theirs = multiprocessing.Pipe()
    outbox, inbox = Outbox(), Inbox()
    rng = np.random.default_rng(side)
    sent, got = [], []
    for num in (side, 2 * side, side):  # larger than before, and smaller again
        parts = rng.random((num, num)), np.zeros((0, 3)), rng.integers(0, 9, num, dtype=np.uint8)
        outbox.send(ours, parts, [])
        sent.append(parts)
        got.append(inbox.receive(theirs))
        got[-1][0][0, 0] += 1.0
        sent[-1][0][0, 0] += 1.0
    for expected, received in zip(sent, got, strict=True):  # the later did not write over them
        for part, copy in zip(expected, received, strict=True):
            np.testing.assert_array_equal(copy, part)


def test_a_reader_that_waits_gets_all_of_it() -> None:
    ours, theirs = multiprocessing.Pipe()
    outbox, inbox, got = Outbox(), Inbox(), []
    asked = threading.Semaphore(0)

    def read() -> None:
        for _ in range(20):
            got.append(inbox.receive(theirs))
            asked.release()

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20):  # the reader waits at the other end each time
        outbox.send(ours, np.full(1 << 18, number), [])
        asked.acquire()
    reader.join()
    assert [set(array.tolist()) for array in got] == [{number} for number in range(20)]


def test_shared_memory_has_no_name_and_goes_with_its_ends() -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def maps() -> int:
        return Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:sam3d")

    files, handles_before = set(Path("/dev/shm").iterdir()), handles()
    ours, theirs = multiprocessing.Pipe()
    outbox, inbox = Outbox(), Inbox()
    outbox.send(ours, np.zeros(1 << 20), [])
    inbox.receive(theirs)
    assert maps() == 2
    assert set(Path("/dev/shm").iterdir()) <= files
    del outbox, inbox, ours, theirs
    assert maps() == 0
    assert handles() == handles_before
