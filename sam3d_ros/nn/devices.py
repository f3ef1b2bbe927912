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

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from sam3d_ros.errors import ConfigError, OutOfMemoryError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MB, GB = 1e6, 1e9
# What torch says where it has no type for it: its allocator on a CPU, CUDA and libraries beside its
# allocator on a GPU.
NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
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


def described_devices() -> list[str]:
    """Describe each GPU that torch sees on this machine, or else what it computes with."""
    count = torch.cuda.device_count()
    if not count:
        return [f"none: CPU, {torch.get_num_threads()} threads"]
    properties = [torch.cuda.get_device_properties(index) for index in range(count)]
    return [
        f"cuda:{index}, {each.name}, {each.total_memory / GB:.1f} GB"
        for index, each in enumerate(properties)
    ]


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


def limit_memory(device: torch.device, gigabytes: float) -> None:
    """Let this process take no more than so much of a GPU's memory; 0 changes nothing.

    What CUDA itself takes, some 0.5 GB, comes on top.
    """
    if gigabytes == 0:
        return
    if device.type != "cuda":
        logger.info("gpu_memory_limit_gb has no effect: models run on %s", device)
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * GB / total), device)


def within_memory(action: Callable[[], ResultT], device: torch.device, needs: str) -> ResultT:
    """Return what an action returns.

    Args:
        action: What is done on the device.
        device: Whose memory may not suffice.
        needs: What the memory is for, as an error says it.

    Raises:
        OutOfMemoryError: It does not suffice; the error holds nothing of what was allocated.
    """
    try:
        return action()
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        text = str(error).partition("\n")[0]
    release_unused(device)  # only now: the error held what was reserved
    raise OutOfMemoryError(
        f"{device} has too little memory for {needs}: {text}{_figures(device)}; set low_memory to "
        "true, mesh_detail to fast, free memory that others use, or raise gpu_memory_limit_gb if "
        "it is set"
    )


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


def _figures(device: torch.device) -> str:
    """Say how much memory of a GPU this process took at most, and how much is free."""
    if device.type != "cuda":
        return ""
    free, total = torch.cuda.mem_get_info(device)
    peak = torch.cuda.max_memory_allocated(device)
    return f"; peak {peak / MB:.0f} MB, free {free / MB:.0f} of {total / MB:.0f} MB"


def _is_out_of_memory(error: RuntimeError | MemoryError) -> bool:
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or any(
        text in str(error) for text in NO_MEMORY
    )


def _unknown(name: str) -> str:
    count = torch.cuda.device_count()
    present = ", ".join(["auto", "cpu", *(f"cuda:{index}" for index in range(count))])
    hint = "" if count else "; torch sees no GPU, check nvidia-smi and that torch is a CUDA build"
    return f"device must be one of {present} on this machine, got {name!r}{hint}"
