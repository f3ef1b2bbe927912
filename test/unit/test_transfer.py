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

import numpy as np
import pytest

from sam3d_ros.errors import MaskEmptyError
from sam3d_ros.scene.transfer import receive, send
from sam3d_ros.structures import Camera, DepthImage, Frame, InstanceMask


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
