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
