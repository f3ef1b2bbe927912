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


"""Objects full of arrays through a pipe, without holding the interpreter lock for their bytes.

``Connection.send`` copies every array into one pickle, which takes milliseconds in one piece; here
arrays travel beside the pickle (PEP 574), and writing and reading them releases the lock. What
both ends need again and again, such as meshes, travels once (``Outbox``, ``Inbox``), and the arrays
of the rest go through memory that both ends share.
"""

import io
import itertools
import pickle
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from sam3d_ros.scene.shared_memory import IS_AVAILABLE, Block, SharedReader, SharedWriter

Buffer: TypeAlias = bytearray | Block

SHARED_BYTES = 1 << 16  # from which arrays are shared: less fits into a pipe in one piece


def send(pipe: Connection, value: object) -> None:
    """Send a value; arrays go as they lie in memory."""
    _send(pipe, value, {})


def receive(pipe: Connection) -> Any:
    """Receive what ``send`` sent; arrays are writable and belong to the caller."""
    return _receive(pipe, {})


class Outbox:
    """Sends values whose lasting parts the other end keeps, for as long as they are named.

    The other end must have received one value before the next is sent.
    """

    def __init__(self) -> None:
        self._keys = itertools.count()
        self._memory = SharedWriter() if IS_AVAILABLE else None
        # By identity; the objects themselves are held, so that no other can get their ids.
        self._there: dict[int, tuple[int, object]] = {}

    def send(self, pipe: Connection, value: object, lasting: Sequence[object]) -> None:
        """Send a value to an ``Inbox``.

        Args:
            pipe: Always the same one; a new one needs a new outbox.
            value: What is sent.
            lasting: Parts of it, not to be changed any more. What the last value had too is not
                sent again; what this one lacks is forgotten.
        """
        there = {
            id(part): self._there.get(id(part)) or (next(self._keys), part) for part in lasting
        }
        new = {key: part for place, (key, part) in there.items() if place not in self._there}
        _send(pipe, (tuple(key for key, _ in there.values()), new), {})
        keys = {place: key for place, (key, _) in there.items()}
        _send(pipe, value, keys, self._memory)
        self._there = there


class Inbox:
    """Receives what an ``Outbox`` sends."""

    def __init__(self) -> None:
        self._kept: dict[int, object] = {}
        self._memory = SharedReader()

    def receive(self, pipe: Connection) -> Any:
        """Receive a value; its lasting parts are the same objects as in the last one."""
        keys, new = _receive(pipe, {})
        self._kept = {key: new[key] if key in new else self._kept[key] for key in keys}
        return _receive(pipe, self._kept, self._memory)


class _Pickler(pickle.Pickler):
    """Writes a key in place of what the other end has."""

    def __init__(
        self, file: io.BytesIO, buffers: list[pickle.PickleBuffer], keys: Mapping[int, int]
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffers.append)
        self._keys = keys

    def persistent_id(self, obj: object) -> int | None:
        """Return the key of an object, if it has one."""
        return self._keys.get(id(obj))


class _Unpickler(pickle.Unpickler):
    """Reads keys as what they stand for."""

    def __init__(
        self, file: io.BytesIO, buffers: Sequence[Buffer], kept: Mapping[int, object]
    ) -> None:
        super().__init__(file, buffers=buffers)
        self._kept = kept

    def persistent_load(self, pid: int) -> object:
        """Return the object of a key."""
        return self._kept[pid]


def _send(
    pipe: Connection, value: object, keys: Mapping[int, int], memory: SharedWriter | None = None
) -> None:
    buffers: list[pickle.PickleBuffer] = []
    head = io.BytesIO()
    _Pickler(head, buffers, keys).dump(value)
    views = [buffer.raw() for buffer in buffers]
    sizes = [view.nbytes for view in views]
    if memory is None or sum(sizes) < SHARED_BYTES:
        pipe.send((head.getvalue(), sizes, False))
        for view in filter(len, views):
            pipe.send_bytes(view)
    else:
        pipe.send((head.getvalue(), sizes, True))
        memory.write(pipe, views)


def _receive(
    pipe: Connection, kept: Mapping[int, object], memory: SharedReader | None = None
) -> Any:
    head, sizes, is_shared = pipe.recv()
    buffers: Sequence[Buffer]
    if is_shared:
        assert memory is not None  # an Inbox is at the end of every Outbox
        buffers = memory.read(pipe, sizes)
    else:
        buffers = [bytearray(size) for size in sizes]
        for buffer in filter(len, buffers):
            pipe.recv_bytes_into(buffer)
    return _Unpickler(io.BytesIO(head), buffers, kept).load()
