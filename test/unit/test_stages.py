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

"""Running stages: batches, second attempts, and whose error is whose."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from sam3d_ros.errors import CancelledError, DecodingError, OutOfMemoryError
from sam3d_ros.nn.devices import lent_to
from sam3d_ros.objects.stages import StageRunner, Work
from sam3d_ros.protocols import never

CPU = torch.device("cpu")


@dataclass(slots=True, kw_only=True, eq=False)
class Number(Work):
    """Something to work on."""

    value: int
    doubled: int = 0


def double(batch: list[Number]) -> None:
    for each in batch:
        each.doubled = 2 * each.value


def no_room() -> bool:
    return False


def numbers(count: int) -> list[Number]:
    return [Number(value=value) for value in range(count)]


def run(
    works: list[Number],
    function: Callable[[list[Number]], None],
    batch_size: int = 1,
    make_room: Callable[[], bool] = no_room,
) -> None:
    StageRunner(CPU, never, make_room).run("double", works, function, batch_size)


def test_all_are_worked_on_in_batches_and_share_the_time() -> None:
    sizes = []

    def counted(batch: list[Number]) -> None:
        sizes.append(len(batch))
        double(batch)

    works = numbers(5)
    run(works, counted, batch_size=2)
    assert sizes == [2, 2, 1]
    assert [work.doubled for work in works] == [0, 2, 4, 6, 8]
    assert len({work.stage_s["double"] for work in works}) == 1


def test_what_has_failed_is_left_out() -> None:
    works = numbers(3)
    works[1].error = DecodingError("earlier")
    run(works, double, batch_size=3)
    assert [work.doubled for work in works] == [0, 0, 4]
    assert "double" not in works[1].stage_s


def test_a_batch_that_fails_is_tried_one_by_one_and_errors_stay_with_their_own() -> None:
    def refusing(batch: list[Number]) -> None:
        if any(each.value == 2 for each in batch):
            raise DecodingError(f"two is among {len(batch)}")
        double(batch)

    works = numbers(4)
    run(works, refusing, batch_size=4)
    assert [work.doubled for work in works] == [0, 2, 0, 6]
    assert [str(work.error) for work in works if work.error] == ["two is among 1"]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("GPU full\nmore"), MemoryError()])
def test_what_memory_does_not_suffice_for_gets_a_second_chance_where_room_can_be_made(
    error: Exception,
) -> None:
    is_roomy = False

    def hungry(batch: list[Number]) -> None:
        if not is_roomy and any(each.value == 1 for each in batch):
            raise error
        double(batch)

    def make_room() -> bool:
        nonlocal is_roomy
        is_roomy = True
        return True

    works = numbers(3)
    run(works, hungry, 3, make_room)
    assert [work.error for work in works] == [None] * 3
    assert [work.doubled for work in works] == [0, 2, 4]


def test_without_room_it_fails_alone_and_says_what_to_do() -> None:
    def hungry(batch: list[Number]) -> None:
        if any(each.value == 1 for each in batch):
            raise torch.OutOfMemoryError("GPU full\nmore")
        double(batch)

    works = numbers(3)
    run(works, hungry, batch_size=3)
    assert isinstance(works[1].error, OutOfMemoryError)
    assert "GPU full; set low_memory" in str(works[1].error)
    assert [work.doubled for work in works] == [0, 0, 4]


def test_what_a_cpu_has_no_memory_for_fails_alone_too() -> None:
    def hungry(batch: list[Number]) -> None:
        torch.empty(10**15 if batch[-1].value == 1 else 1)

    works = numbers(3)
    run(works, hungry)
    assert [type(work.error) for work in works] == [type(None), OutOfMemoryError, type(None)]


@pytest.mark.parametrize(
    "text", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"]
)
def test_libraries_of_a_gpu_have_too_little_memory_in_their_own_words(text: str) -> None:
    def hungry(batch: list[Number]) -> None:
        raise RuntimeError(text)

    works = numbers(1)
    run(works, hungry)
    assert isinstance(works[0].error, OutOfMemoryError)


@pytest.mark.parametrize("error", [ZeroDivisionError, RuntimeError("shapes do not match")])
def test_a_bug_is_no_error_of_an_object(error: type[Exception] | Exception) -> None:
    def buggy(batch: list[Number]) -> None:
        raise error

    with pytest.raises((ZeroDivisionError, RuntimeError)):
        run(numbers(2), buggy)


def test_being_called_off_stops_before_the_next_batch() -> None:
    done: list[Number] = []
    runner = StageRunner(CPU, lambda: len(done) >= 2, no_room)
    with pytest.raises(CancelledError, match="stopped before stage double"):
        runner.run("double", numbers(5), done.extend, 1)
    assert len(done) == 2


def test_lent_weights_are_where_they_were_afterwards() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: tensor.data_ptr() for name, tensor in module.state_dict().items()}
    with pytest.raises(RuntimeError), lent_to(module, torch.device("meta")):  # no such move
        pass
    with lent_to(module, CPU):
        assert module[0].weight.device == CPU
    assert before == {name: tensor.data_ptr() for name, tensor in module.state_dict().items()}
