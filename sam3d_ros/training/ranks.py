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

"""The processes that train one model together, as ``torchrun`` starts them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

LEADER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = LEADER
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == LEADER

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over all processes."""
        if self.world == 1:
            return
        ours = list(tensors)
        flat = torch.cat([each.flatten() for each in ours])
        distributed.all_reduce(flat)
        flat /= self.world
        parts = torch.split(flat, [each.numel() for each in ours])
        for each, part in zip(ours, parts, strict=True):
            each.copy_(part.view_as(each))

    def share(self, model: nn.Module) -> None:
        """Give all processes the leader's weights."""
        if self.world > 1:
            for tensor in model.state_dict().values():
                distributed.broadcast(tensor, src=LEADER)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            distributed.barrier()


ALONE = Ranks()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started with this one; alone without it."""
    if "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group(backend)
    try:
        yield Ranks(rank=distributed.get_rank(), world=distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
