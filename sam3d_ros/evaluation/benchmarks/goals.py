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

"""What is wanted of SAM 3D Objects, beside what the reference needs and what came out."""

from collections.abc import Sequence
from dataclasses import dataclass

from sam3d_ros.evaluation.benchmarks.measuring import NOT_JUDGED, judgement

HEAD = f"{'stage':24} {'reference':>10} {'limit':>8}  ours"


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the comparison."""

    stage: str
    limit: float | None  # none where only the reference says something
    unit: str
    ours: float | None = None  # none where another benchmark measures it
    elsewhere: str = ""  # that benchmark
    reference: str = "-"  # as its authors say it


def compared(goals: Sequence[Goal], *, judged: bool) -> str:
    """Lay out goals.

    Args:
        goals: What is wanted.
        judged: Whether they hold for what was measured: released sizes, on a GPU.
    """
    lines = [HEAD, "-" * (len(HEAD) + len(NOT_JUDGED))]
    for goal in goals:
        limit = "-" if goal.limit is None else f"{goal.limit:g} {goal.unit}"
        said = _ours(goal) if judged else NOT_JUDGED
        lines.append(f"{goal.stage:24} {goal.reference:>10} {limit:>8}  {said}")
    return "\n".join(lines)


def _ours(goal: Goal) -> str:
    if goal.ours is None:
        return f"see sam3d bench {goal.elsewhere}"
    shown = f"{goal.ours:.3g} {goal.unit}"
    if goal.limit is None:
        return shown
    return f"{shown} ({judgement(goal.ours, goal.limit)})"
