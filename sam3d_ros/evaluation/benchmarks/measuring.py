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


"""Times and memory of computations on any device, and how they grow."""

import math
import platform
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sam3d_ros.errors import ConfigError
from sam3d_ros.nn.devices import finish

MIN_ROUNDS, MAX_ROUNDS, PART_MS = 3, 30, 2000.0
MS_PER_S = 1e3
NOT_JUDGED = "not judged here"  # of limits that hold for other sizes, or on a GPU

Outputs = tuple[Tensor, ...]
Compute = Callable[[], Outputs]


def measured(computes: Sequence[Compute], device: torch.device) -> list[tuple[float, Outputs]]:
    """Return the median time of each computation in ms, and its outputs.

    The first time does not count. Computations take turns, so that whatever else the machine does
    slows down all of them.
    """
    outputs = [compute() for compute in computes]
    times: list[list[float]] = []
    while len(times) < MIN_ROUNDS or (len(times) < MAX_ROUNDS and sum(map(sum, times)) < PART_MS):
        times.append([_milliseconds(compute, device) for compute in computes])
    return list(zip(map(median, zip(*times, strict=True)), outputs, strict=True))


def peak_bytes(compute: Compute, device: torch.device) -> int:
    """Return the most bytes of tensors that a computation holds at once beside what was there.

    What happens within one operation counts on a GPU only.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        compute()
        return torch.cuda.max_memory_allocated(device) - before
    with _LiveBytes() as live:
        compute()
    return live.peak


def growth(values: Mapping[int, float]) -> float:
    """Return the exponent with which values grow with their keys, from the first to the last."""
    (low, first), *_, (high, last) = sorted(values.items())
    return math.log(last / first) / math.log(high / low)


def usable_device(name: str) -> torch.device:
    """Return a device by name.

    Raises:
        ConfigError: It is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name} cannot be used: {error}; try --device cpu") from error
    return device


def device_name(device: torch.device) -> str:
    """Return what to call a device in a report."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def verdict(
    name: str,
    value: float,
    limit: float | None,
    unit: str,
    *,
    judged: bool = True,
    holds_for: str = "",
) -> str:
    """Lay out a figure and, where there is one, whether its limit is kept.

    Args:
        name: What was measured.
        value: What came out.
        limit: The most it may be.
        unit: Of both.
        judged: Whether the limit holds for what was measured, and where.
        holds_for: What it holds for, where that needs to be said.
    """
    shown = f"{name}: {value:.3g} {unit}".rstrip()
    if limit is None:
        return shown
    said = judgement(value, limit) if judged else NOT_JUDGED
    where = f" of {holds_for}" if holds_for and not judged else ""
    return f"{shown}  (limit {limit:g} {unit}".rstrip() + f"{where}: {said})"


def judgement(value: float, limit: float) -> str:
    """Say whether a limit is kept."""
    return "kept" if value <= limit else "BROKEN"


def _milliseconds(compute: Compute, device: torch.device) -> float:
    """Return how long a computation takes until its results are there."""
    finish(device)
    started = time.perf_counter()
    compute()
    finish(device)
    return MS_PER_S * (time.perf_counter() - started)


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the memory of tensors that operations make, until it is given back."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(result):
            if storage._cdata not in given:
                self._count(storage)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, num_bytes = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.live += num_bytes
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key, num_bytes)

    def _forget(self, key: int, num_bytes: int) -> None:
        self._known.discard(key)
        self.live -= num_bytes


def _storages(values: Any) -> list[torch.UntypedStorage]:
    """Return the memory of the tensors in a tree; sparse ones tell none."""
    tensors = [x for x in tree_leaves(values) if isinstance(x, Tensor)]
    return [x.untyped_storage() for x in tensors if x.layout == torch.strided]
