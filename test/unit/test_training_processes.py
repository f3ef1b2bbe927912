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

"""Training in several processes: data made ahead, and gradients averaged over ranks."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing
from training_cases import CONFIG, STAGE, Spheres, TinyFlow

from sam3d_ros.errors import TrainingError
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.objectives import FlowObjective
from sam3d_ros.training.prefetch import made_ahead
from sam3d_ros.training.ranks import ALONE, Ranks, joined_ranks
from sam3d_ros.training.trainer import Stage, Trainer

NUM_RANKS = 2


class FailsAt(Spheres):
    """A source that has no third batch."""

    def batch(self, step: int, size: int) -> TrainingBatch:
        if step == 2:
            raise TrainingError("no more spheres")
        return super().batch(step, size)


class DiesAt(Spheres):
    """A source whose process is killed at the third batch."""

    def batch(self, step: int, size: int) -> TrainingBatch:
        if step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(step, size)


def test_batches_made_ahead_are_those_made_at_once() -> None:
    with made_ahead(Spheres(), [0, 1, 2, 3, 5], 2, ahead=2) as batches:
        made = list(batches)
    for index, batch in zip([0, 1, 2, 3, 5], made, strict=True):
        assert torch.equal(batch.distance, Spheres().batch(index, 2).distance)


def test_an_error_of_the_source_is_raised_where_the_batch_is_wanted() -> None:
    with made_ahead(FailsAt(), range(4), 2, ahead=4) as batches:
        next(batches), next(batches)
        with pytest.raises(TrainingError, match="no more spheres"):
            next(batches)


def test_a_killed_process_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam3d_ros.training.prefetch.POLL_S", 0.2)
    with (
        made_ahead(DiesAt(), range(4), 2, ahead=1) as batches,
        pytest.raises(TrainingError, match="ended with exit code -9"),
    ):
        list(batches)


def train(folder: Path, ranks: Ranks, accumulation: int) -> TinyFlow:
    config = replace(STAGE, accumulation=accumulation)
    stage = Stage(name="pre", config=config, source=Spheres(), objective=FlowObjective(config))
    model = TinyFlow(seed=ranks.rank)  # all get the leader's
    Trainer(model, stage, CONFIG, folder, ranks).run()
    return model


def work(rank: int, port: int, folder: Path) -> None:
    """Train as one of the processes that torchrun would start."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(NUM_RANKS)}
    with joined_ranks() as ranks:
        assert ranks == Ranks(rank=rank, world=NUM_RANKS)
        model = train(folder / "both", ranks, accumulation=1)
        if ranks.leads:
            torch.save(model.state_dict(), folder / "both.pt")


@pytest.mark.slow
def test_two_processes_train_as_one_that_takes_two_batches_to_a_step(tmp_path: Path) -> None:
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    port = store.port
    del store
    multiprocessing.spawn(work, args=(port, tmp_path), nprocs=NUM_RANKS)
    alone = train(tmp_path / "alone", ALONE, accumulation=NUM_RANKS)
    both = torch.load(tmp_path / "both.pt", weights_only=True)
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(both[name], tensor, atol=1e-5, rtol=1e-5)


def test_without_torchrun_a_process_is_alone() -> None:
    with joined_ranks() as ranks:
        assert ranks == ALONE
        assert ranks.leads
