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

"""Memory that two processes have mapped, for what is too large for a pipe between them.

A pipe takes an image in many small portions, and both ends wait for each other in between. The
memory has no name: nothing of it stays behind in /dev/shm, however the processes end.
"""

import mmap
import os
from collections.abc import Sequence
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Block: TypeAlias = NDArray[np.uint8]  # (N,)

IS_AVAILABLE = hasattr(os, "memfd_create")
PORTION = 1 << 20  # bytes; with one to spare, so that a little more does not need new memory
ALIGNMENT = 64  # bytes, of each part: whatever lies there is read at full speed


class SharedWriter:
    """The end that writes; makes larger memory when it is needed."""

    def __init__(self) -> None:
        self._memory: Block = np.empty(0, np.uint8)

    def write(self, pipe: Connection, parts: Sequence[memoryview]) -> None:
        """Lay parts beside each other, over those of the last call.

        Args:
            pipe: To the reader, which must have read the last parts. Always the same one.
            parts: Bytes; the reader must know how many each has.
        """
        offsets, end = _layout([part.nbytes for part in parts])
        handle = _new_memory(end) if end > len(self._memory) else None
        try:
            if handle is not None:
                self._memory = _mapped(handle)
            for offset, part in zip(offsets, parts, strict=True):
                # Unlike a slice of the map, an array lets go of the interpreter lock.
                self._memory[offset : offset + part.nbytes] = np.frombuffer(part, np.uint8)
            pipe.send(handle is not None)  # the reader reads from here on
            if handle is not None:
                reduction.send_handle(pipe, handle, None)
        finally:
            if handle is not None:
                os.close(handle)  # what is mapped stays


class SharedReader:
    """The end that reads."""

    def __init__(self) -> None:
        self._memory: Block = np.empty(0, np.uint8)

    def read(self, pipe: Connection, sizes: Sequence[int]) -> list[Block]:
        """Return copies of the parts that were just written, of these sizes in bytes."""
        if pipe.recv():
            handle = reduction.recv_handle(pipe)
            self._memory = _mapped(handle)
            os.close(handle)
        offsets, _ = _layout(sizes)
        return [
            self._memory[offset : offset + size].copy()
            for offset, size in zip(offsets, sizes, strict=True)
        ]


def _layout(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Return where each part begins, and where the last one ends."""
    ends = np.cumsum([-(-size // ALIGNMENT) * ALIGNMENT for size in (0, *sizes)]).tolist()
    return ends[:-1], ends[-1]


def _new_memory(size: int) -> int:
    """Return the handle of new memory."""
    handle = os.memfd_create("sam3d", os.MFD_CLOEXEC)
    os.ftruncate(handle, (size // PORTION + 2) * PORTION)
    return handle


def _mapped(handle: int) -> Block:
    return np.frombuffer(mmap.mmap(handle, os.fstat(handle).st_size), np.uint8)
