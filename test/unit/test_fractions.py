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

"""How far a call is, for backends of both kinds."""

from itertools import pairwise

import pytest

from sam3d_ros.protocols import Step
from sam3d_ros.ros.fractions import Fraction


def fractions(stages: list[tuple[str, int, int]]) -> list[float]:
    fraction = Fraction()
    return [fraction.at(Step(stage=name, done=done, total=total)) for name, done, total in stages]


def test_objects_that_are_made_one_by_one_have_equal_shares() -> None:
    made = [(stage, each, 5) for each in range(5) for stage in ("reconstruct", "fit")]
    values = fractions([("observe", 0, 0), *made, ("publish", 0, 0)])

    begins = [values[1 + 2 * each] for each in range(5)] + [values[-1]]
    shares = [after - before for before, after in pairwise(begins)]
    assert shares == pytest.approx([0.84 / 5] * 5)
    fits = [values[2 + 2 * each] for each in range(5)]
    assert all(low < fit < high for fit, (low, high) in zip(fits, pairwise(begins), strict=True))


def test_objects_that_go_through_stages_together_are_as_far_as_the_stage() -> None:
    values = fractions(
        [("geometry", 0, 4), ("geometry", 2, 4), ("mesh", 0, 4), ("fit", 0, 4), ("fit", 2, 4)]
    )

    assert values == pytest.approx([0.18, 0.33, 0.75, 0.85, 0.905])


def test_a_fraction_never_falls_and_unknown_stages_do_not_change_it() -> None:
    values = fractions(
        [("mesh", 0, 1), ("geometry", 0, 1), ("dreaming", 3, 4), ("reconstruct", 9, 9)]
    )

    assert values == pytest.approx([0.75, 0.75, 0.75, 0.96])
    assert values == sorted(values)
