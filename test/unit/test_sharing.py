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

"""Equal weights become one, and only these."""

import copy

import pytest
import torch
from torch import nn

from sam3d_ros.nn.sharing import share_equal_parameters


def linear(dtype: torch.dtype = torch.float32) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 3).to(dtype)


def test_equal_parameters_share_memory_and_the_freed_bytes_are_told() -> None:
    first, second, third = linear(), linear(), linear()

    freed = share_equal_parameters([first, second, third])

    assert freed == 2 * (4 * 3 + 3) * 4
    assert first.weight is second.weight is third.weight
    assert first.bias is third.bias


def test_outputs_do_not_change() -> None:
    first, second, x = linear(), linear(), torch.randn(2, 4)
    before = first(x), second(x)

    share_equal_parameters([first, second])

    assert torch.equal(first(x), before[0])
    assert torch.equal(second(x), before[1])


def test_only_what_is_equal_is_shared() -> None:
    first, second = linear(), linear()
    with torch.no_grad():
        second.bias[0] = second.bias[0].nextafter(torch.tensor(9.0))
    kept = second.bias.clone()

    share_equal_parameters([first, second])

    assert first.weight is second.weight
    assert first.bias is not second.bias
    assert torch.equal(second.bias, kept)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (linear(), linear().half()),
        (linear(torch.float16), nn.Linear(4, 3).to(torch.bfloat16)),
        (linear(), linear().requires_grad_(requires_grad=False)),
    ],
    ids=["other type", "type of the same width", "frozen"],
)
def test_parameters_of_another_kind_are_not_shared(one: nn.Module, other: nn.Module) -> None:
    for module in (one, other):
        for parameter in module.parameters():
            nn.init.zeros_(parameter)

    assert share_equal_parameters([one, other]) == 0


def test_parameters_of_another_shape_are_not_shared() -> None:
    modules = [nn.Linear(4, 3, bias=False), nn.Linear(3, 4, bias=False)]
    for module in modules:
        nn.init.zeros_(module.weight)

    assert share_equal_parameters(modules) == 0


def test_parameters_of_other_names_are_not_shared() -> None:
    norm = nn.Sequential(nn.LayerNorm(4), nn.LayerNorm(4))

    assert share_equal_parameters([norm]) == 0


def test_zeros_of_other_sign_are_not_shared() -> None:
    first, second = linear(), linear()
    with torch.no_grad():
        first.bias.fill_(0.0)
        second.bias.fill_(-0.0)

    share_equal_parameters([first, second])

    assert torch.signbit(second.bias).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_parameters_in_depth_stay_shared_when_cast(dtype: torch.dtype) -> None:
    first = nn.Sequential(nn.Sequential(linear()))
    second = copy.deepcopy(first)

    share_equal_parameters([first, second])

    nn.ModuleList([first, second]).to(dtype)
    assert first[0][0].weight is second[0][0].weight
    assert first[0][0].weight.dtype == dtype


def test_parameters_in_half_precision_are_shared() -> None:
    first, second = linear(torch.bfloat16), linear(torch.bfloat16)

    assert share_equal_parameters([first, second]) == (4 * 3 + 3) * 2


def test_sharing_twice_frees_nothing_more() -> None:
    modules = [linear(), linear()]
    share_equal_parameters(modules)

    assert share_equal_parameters(modules) == 0


def test_parameters_without_memory_are_left_alone() -> None:
    with torch.device("meta"):
        modules = [nn.Linear(4, 3), nn.Linear(4, 3)]

    assert share_equal_parameters(modules) == 0
