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

"""Batches made ahead of their use by a process of its own, where the device is a CPU."""

import multiprocessing
import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import multiprocessing as torch_multiprocessing

from sam3d_ros.errors import Sam3dError, TrainingError
from sam3d_ros.training.sources import SampleSource

BatchT = TypeVar("BatchT")
POLL_S = 2.0  # how soon either side notices that the other is gone


def made_at_once(
    source: SampleSource[BatchT], indices: Sequence[int], size: int
) -> Iterator[BatchT]:
    """Make each batch when it is asked for: on a GPU nothing waits for that."""
    return (source.batch(index, size) for index in indices)


@contextmanager
def made_ahead(
    source: SampleSource[BatchT], indices: Sequence[int], size: int, ahead: int
) -> Iterator[Iterator[BatchT]]:
    """Have a process make batches, up to ``ahead`` of them before they are asked for.

    The source is pickled; the batches come through shared memory.
    """
    context = torch_multiprocessing.get_context("spawn")
    made: Any = context.Queue(maxsize=ahead)
    process = context.Process(target=_make, args=(source, indices, size, made), daemon=True)
    process.start()
    try:
        yield _Made(process, made, len(indices))
    finally:
        process.terminate()
        process.join()
        made.close()
        made.cancel_join_thread()


class _Made(Generic[BatchT]):
    """The batches that come out of the process."""

    def __init__(self, process: Any, made: Any, num: int) -> None:
        self._process, self._made, self._left = process, made, num

    def __iter__(self) -> Iterator[BatchT]:
        return self

    def __next__(self) -> BatchT:
        if not self._left:
            raise StopIteration
        self._left -= 1
        while True:
            try:
                batch = self._made.get(timeout=POLL_S)
            except (queue.Empty, OSError, EOFError):
                self._check_alive()
                continue
            if isinstance(batch, Sam3dError):
                raise batch
            made: BatchT = batch
            return made

    def _check_alive(self) -> None:
        """Raise unless the process that makes batches, and holds their memory, is there."""
        if not self._process.is_alive():
            raise TrainingError(
                "the process that makes training data ended with exit code "
                f"{self._process.exitcode}; its error is above, or memory ran out"
            )


def _make(source: SampleSource[BatchT], indices: Sequence[int], size: int, made: Any) -> None:
    """Make batches until there are no more, or nobody wants them."""
    torch.set_num_threads(1)
    for index in indices:
        try:
            batch: object = source.batch(index, size)
        except Sam3dError as error:
            batch = error
        while True:
            try:
                made.put(batch, timeout=POLL_S)
                break
            except queue.Full:
                parent = multiprocessing.parent_process()
                if parent is None or not parent.is_alive():
                    return
    while (parent := multiprocessing.parent_process()) is not None and parent.is_alive():
        time.sleep(POLL_S)  # tensors are shared with who lives; the parent ends this process
