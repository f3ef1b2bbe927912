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

"""What is replayed is what a function does, whatever it is given; on a GPU, and in principle."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from same_memory import SameMemory
from torch import Tensor

from sam3d_ros.nn.replay import MOST_RECORDINGS, CudaRecorder, Recording, Replayed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    x: Tensor
    pair: tuple[Tensor, Tensor | None]
    factor: int = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    total: Tensor
    parts: tuple[Tensor, ...]
    factor: int


def answer(question: Question) -> Answer:
    first, second = question.pair
    other = first if second is None else first - second
    total = (question.x + other) * question.factor
    return Answer(total=total, parts=(question.x + 1, total.sum()), factor=question.factor)


def question(seed: int, *, num: int = 3, factor: int = 2, second: bool = True) -> Question:
    generator = torch.Generator().manual_seed(seed)
    x, first, other = torch.randn(3, num, 4, generator=generator)
    return Question(x=x, pair=(first, other if second else None), factor=factor)


def check(given: Answer, expected: Answer) -> None:
    assert given.factor == expected.factor
    pairs = zip((given.total, *given.parts), (expected.total, *expected.parts), strict=True)
    for actual, wanted in pairs:
        torch.testing.assert_close(actual, wanted, check_device=False)


QUESTIONS = (
    question(0),
    question(1),
    question(2, num=5),
    question(3, factor=7),
    question(4, second=False),
    question(5),
)


def test_a_replayed_function_answers_as_the_function_does() -> None:
    replayed = Replayed(answer, SameMemory)

    for each in QUESTIONS:
        check(replayed(each), answer(each))


def test_answers_stay_when_others_follow() -> None:
    replayed = Replayed(answer, SameMemory)

    answers = [replayed(each) for each in QUESTIONS]

    for given, each in zip(answers, QUESTIONS, strict=True):
        check(given, answer(each))


def test_each_shape_is_recorded_once_and_the_least_used_make_room() -> None:
    replayed, before = Replayed(answer, SameMemory), SameMemory.made
    for seed in range(3):
        replayed(question(seed))
    assert SameMemory.made - before == 1

    for num in range(4, 3 + MOST_RECORDINGS):  # fills what room there is
        replayed(question(0, num=num))
    replayed(question(1))
    replayed(question(0, num=50))  # in place of the one for 4
    replayed(question(2))
    assert SameMemory.made - before == MOST_RECORDINGS + 1
    replayed(question(0, num=4))
    assert SameMemory.made - before == MOST_RECORDINGS + 2


def test_after_forgetting_all_is_recorded_anew() -> None:
    replayed, before = Replayed(answer, SameMemory), SameMemory.made
    replayed(question(0))
    replayed.forget()
    check(replayed(question(1)), answer(question(1)))

    assert SameMemory.made - before == 2


def test_what_cannot_be_recorded_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(work: Callable[[], list[Tensor]]) -> Recording:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    replayed = Replayed(answer, refuse)

    for each in QUESTIONS:
        check(replayed(each), answer(each))
    assert [record.getMessage() for record in caplog.records] == [
        "a model runs step by step, as it cannot be recorded: "
        "operation not permitted when stream is capturing"
    ]


def test_memory_that_does_not_suffice_is_no_reason_to_go_on() -> None:
    def fail(work: Callable[[], list[Tensor]]) -> Recording:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Replayed(answer, fail)(question(0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_replays_what_it_recorded() -> None:
    def on_gpu(each: Question) -> Question:
        first, second = each.pair
        pair = (first.cuda(), None if second is None else second.cuda())
        return Question(x=each.x.cuda(), pair=pair, factor=each.factor)

    replayed = Replayed(answer, CudaRecorder())

    answers = [replayed(on_gpu(each)) for each in QUESTIONS]

    for given, each in zip(answers, QUESTIONS, strict=True):
        check(given, answer(each))
