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
arrays travel beside the pickle (PEP 574), and writing and reading them releases the lock.
"""

import pickle
from multiprocessing.connection import Connection
from typing import Any


def send(pipe: Connection, value: object) -> None:
    """Send a value; arrays go as they lie in memory."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    pipe.send((head, [view.nbytes for view in views]))
    for view in views:
        if view.nbytes:
            pipe.send_bytes(view)


def receive(pipe: Connection) -> Any:
    """Receive what ``send`` sent; arrays are writable and belong to the caller."""
    head, sizes = pipe.recv()
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        if buffer:
            pipe.recv_bytes_into(buffer)
    return pickle.loads(head, buffers=buffers)
