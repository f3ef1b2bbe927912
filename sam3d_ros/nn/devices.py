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

"""Where models run, in which precision, and how long their weights stay there."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from sam3d_ros.errors import ConfigError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MB = 1e6

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def device_named(name: str) -> torch.device:
    """Return a device that this machine has; ``auto`` is the first GPU, or else the CPU.

    Raises:
        ConfigError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(_unknown(name)) from error
    if device.type == "cuda" and (device.index or 0) < torch.cuda.device_count():
        return torch.device("cuda", device.index or 0)
    if name == "cpu":
        return device
    raise ConfigError(_unknown(name))


def dtype_named(name: str, device: torch.device) -> torch.dtype:
    """Return the precision that a setting names; ``auto`` is bf16 on GPUs that have it, else fp32.

    Raises:
        ConfigError: The precision is not known, or the device is slower in it than in fp32.
    """
    has_half = device.type == "cuda"
    if name == "auto":
        return torch.bfloat16 if has_half and torch.cuda.is_bf16_supported() else torch.float32
    if name not in PRECISIONS:
        raise ConfigError(f"precision must be one of auto, {', '.join(PRECISIONS)}, got {name!r}")
    if name == "fp16" and not has_half:
        raise ConfigError(f"precision fp16 needs a GPU, device is {device}; take auto or fp32")
    return PRECISIONS[name]


@contextmanager
def lent_to(module: ModuleT, device: torch.device) -> Iterator[ModuleT]:
    """Have the weights of a module on a device for a while; where they were they stay.

    Nothing is copied back, so that weights must only be read meanwhile. Does nothing to weights
    that are on the device already.
    """
    tensors = {id(tensor): tensor for tensor in chain(module.parameters(), module.buffers())}
    kept: list[tuple[Tensor, Tensor]] = []
    try:
        for tensor in tensors.values():
            kept.append((tensor, tensor.data))
            tensor.data = tensor.data.to(device, non_blocking=True)
        yield module
    finally:
        for tensor, data in kept:
            tensor.data = data


class PeakMemory:
    """The most memory of a device that was used at once since this was made."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @property
    def megabytes(self) -> float:
        """Of tensors, without what the allocator keeps in reserve; NaN on a CPU."""
        if self._device.type != "cuda":
            return float("nan")
        return torch.cuda.max_memory_allocated(self._device) / MB


def finish(device: torch.device) -> None:
    """Wait for everything that a device was told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release_unused(device: torch.device) -> None:
    """Give memory back that a device keeps in reserve."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _unknown(name: str) -> str:
    count = torch.cuda.device_count()
    present = ", ".join(["auto", "cpu", *(f"cuda:{index}" for index in range(count))])
    hint = "" if count else "; torch sees no GPU, check nvidia-smi and that torch is a CUDA build"
    return f"device must be one of {present} on this machine, got {name!r}{hint}"
