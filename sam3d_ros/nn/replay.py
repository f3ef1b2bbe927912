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

"""Work of a GPU that is recorded once and then replayed, for models of many small steps.

To launch one step takes the host some microseconds, whatever the GPU has to do in it. Models whose
steps are smaller than that run as fast as they are launched; a recording (a CUDA graph) is launched
as one.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")

NUM_WARM_UPS = 2  # in which libraries choose algorithms and take memory, which no recording may
MOST_RECORDINGS = 16  # they share the memory of their work, but not of what they answer

logger = logging.getLogger(__name__)


class Recording(Protocol):
    """Work that always reads and writes the same memory."""

    outputs: list[Tensor]  # what it writes

    def replay(self) -> None:
        """Do it again."""
        ...


Recorder = Callable[[Callable[[], list[Tensor]]], Recording]


@dataclass(frozen=True, slots=True, eq=False)
class CudaRecording:
    """Recorded work of a GPU."""

    outputs: list[Tensor]
    graph: torch.cuda.CUDAGraph

    def replay(self) -> None:
        """Do it again."""
        self.graph.replay()


class CudaRecorder:
    """Records work of the current GPU.

    All recordings share their memory, so one may only be replayed when nobody needs any more what
    the one before has written.
    """

    @cached_property
    def _pool(self) -> Any:  # torch has no public name for the type
        return torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], list[Tensor]]) -> CudaRecording:
        """Do the work a few times, then record it.

        Raises:
            RuntimeError: It cannot be recorded.
        """
        now: torch.cuda.Stream = torch.cuda.current_stream()
        aside: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(now)
        with torch.cuda.stream(aside):
            for _ in range(NUM_WARM_UPS):
                work()
        now.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = work()
        return CudaRecording(outputs, graph)


@dataclass(frozen=True, slots=True, eq=False)
class _Recorded:
    recording: Recording
    inputs: list[Tensor]
    result: object


class Replayed(Generic[ArgumentT, ResultT]):
    """A function of tensors that is recorded for each shape of its argument, then replayed.

    Argument and result are tensors, or dataclasses and tuples of them; everything else in an
    argument is part of its shape. The function must not wait for the device, nor take tensors from
    the host, and weights that it uses must stay where they are. No gradients pass through it. Where
    it cannot be recorded it is called as it is, from then on.

    Args:
        function: What is recorded.
        record: Makes a recording of work.
    """

    def __init__(self, function: Callable[[ArgumentT], ResultT], record: Recorder) -> None:
        self._function = function
        self._record = record
        self._can_record = True
        self._recorded: OrderedDict[object, _Recorded] = OrderedDict()

    def __call__(self, argument: ArgumentT) -> ResultT:
        """Return what the function does; the tensors are the caller's."""
        shape = tuple(_shape(argument))
        if self._can_record and shape not in self._recorded:
            self._make_room()
            self._can_record = self._try(argument, shape)
        if not self._can_record:
            return self._function(argument)
        self._recorded.move_to_end(shape)
        recorded = self._recorded[shape]
        for held, given in zip(recorded.inputs, _tensors(argument), strict=True):
            held.copy_(given)
        recorded.recording.replay()
        outputs = iter([output.clone() for output in recorded.recording.outputs])
        return cast(ResultT, _with_tensors(recorded.result, outputs))

    def forget(self) -> None:
        """Give the memory of all recordings back; weights may move now."""
        self._recorded.clear()

    def _make_room(self) -> None:
        while len(self._recorded) >= MOST_RECORDINGS:
            self._recorded.popitem(last=False)

    def _try(self, argument: ArgumentT, shape: object) -> bool:
        """Record what the function does with such an argument; return whether that works."""
        try:
            with torch.inference_mode(mode=False), torch.no_grad():
                self._recorded[shape] = self._recorded_for(argument)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            logger.warning("a model runs step by step, as it cannot be recorded: %s", reason)
            self.forget()
            return False
        return True

    def _recorded_for(self, argument: ArgumentT) -> _Recorded:
        inputs = [tensor.clone() for tensor in _tensors(argument)]
        held = cast(ArgumentT, _with_tensors(argument, iter(inputs)))
        results: list[ResultT] = []

        def work() -> list[Tensor]:
            results[:] = [self._function(held)]
            return list(_tensors(results[0]))

        recording = self._record(work)
        return _Recorded(recording, inputs, results[0])


def _tensors(value: object) -> Iterator[Tensor]:
    """Yield the tensors in a value, in the order of its parts."""
    if isinstance(value, Tensor):
        yield value
    for part in _parts(value):
        yield from _tensors(part)


def _shape(value: object) -> Iterator[object]:
    """Yield all in a value that one recording is made for."""
    if isinstance(value, Tensor):
        yield value.shape, value.dtype, value.device
    elif is_dataclass(value) or isinstance(value, tuple):
        yield type(value), len(_parts(value))
    else:
        yield value
    for part in _parts(value):
        yield from _shape(part)


def _with_tensors(value: object, tensors: Iterator[Tensor]) -> object:
    """Return a value with other tensors."""
    if isinstance(value, Tensor):
        return next(tensors)
    parts = [_with_tensors(part, tensors) for part in _parts(value)]
    if isinstance(value, tuple):
        return tuple(parts)
    if is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in fields(value)]
        return type(value)(**dict(zip(names, parts, strict=True)))
    return value


def _parts(value: object) -> tuple[object, ...]:
    if isinstance(value, tuple):
        return value
    if is_dataclass(value):
        return tuple(getattr(value, each.name) for each in fields(value))
    return ()
