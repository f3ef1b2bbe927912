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

"""Some people out of many: rows of dataclasses whose fields are tensors, or such dataclasses."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def rows(value: T, index: Tensor) -> T:
    """Return the rows ``index`` ``(M,)`` of all tensors."""
    return _mapped([value], lambda tensors: tensors[0][index])


def joined(values: Sequence[T]) -> T:
    """Return all rows of all values, one value after the other."""
    return _mapped(values, lambda tensors: torch.cat(tuple(tensors)))


def replaced(value: T, index: Tensor, others: T) -> T:
    """Return a value of which rows ``index`` ``(M,)`` are another's, in its order."""
    return _mapped([value, others], lambda both: both[0].index_copy(0, index, both[1]))


def mapped(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """Return a value with all of its tensors changed in one way."""
    return _mapped([value], lambda tensors: change(tensors[0]))


def _mapped(values: Sequence[T], change: Callable[[list[Tensor]], Tensor]) -> T:
    """Return a value of the same class whose tensors are made of those of all values.

    Tuples, which hold what other layers said, are left out: they are for whoever looks into a
    single pass.
    """
    first = values[0]
    parts: dict[str, Any] = {}
    for each in fields(first):  # type: ignore[arg-type]
        members = [getattr(value, each.name) for value in values]
        if isinstance(members[0], Tensor):
            parts[each.name] = change(members)
        elif isinstance(members[0], tuple):
            parts[each.name] = ()
        elif is_dataclass(members[0]):
            parts[each.name] = _mapped(members, change)
        else:
            parts[each.name] = members[0]
    return type(first)(**parts)
