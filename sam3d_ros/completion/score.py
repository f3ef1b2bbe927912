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

"""Which hypothesis closes the unseen side.

Each hypothesis has a misfit, the mean contradiction of the view in [0, 1], and a price for how
little it must be contradicted to be believed. The smallest sum wins; the carved hull claims
nothing and is what remains when every symmetry is contradicted.

======================= ===== ===================================================================
revolution, standing    0.00  a whole ring per point can contradict it: believed at once
revolution, lying       0.01  rarer, with one more degree of freedom: its misfit counts double
half turn               0.04  boxes, bottles, books; only the far side's outline contradicts it
mirror                  0.06  the same with one more degree of freedom
extrusion               0.04  points lie on the faces of an upright box
carved hull             0.15
======================= ===== ===================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass

from sam3d_ros.completion.evidence import ViewEvidence
from sam3d_ros.completion.hypotheses import Hypothesis, hull_of
from sam3d_ros.completion.prism import best_prism
from sam3d_ros.completion.reflection import best_half_turn, best_mirror, reflected
from sam3d_ros.completion.revolution import best_lying, best_standing, revolved
from sam3d_ros.completion.symmetry import judge_of
from sam3d_ros.completion.workspace import Workspace

STANDING_PRICE = 0.0
LYING_PRICE = 0.01
LYING_WEIGHT = 2.0
HALF_TURN_PRICE = 0.04
MIRROR_PRICE = 0.06
PRISM_PRICE = 0.04
HULL_SCORE = 0.15
SURE = 0.04  # a revolution contradicted less than this needs no comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A hypothesis that has not been built yet, and how much speaks against it."""

    score: float
    build: Callable[[], Hypothesis]


def best_hypothesis(workspace: Workspace, evidence: ViewEvidence) -> Hypothesis:
    """Search all families and build the hypothesis with the smallest score."""
    return min(_candidates(workspace, evidence), key=lambda scored: scored.score).build()


def _candidates(workspace: Workspace, evidence: ViewEvidence) -> list[Scored]:
    judge = judge_of(workspace, evidence)
    standing, misfit = best_standing(judge)
    scored = [
        Scored(
            score=misfit + STANDING_PRICE,
            build=lambda: revolved("revolution, standing", standing, workspace, evidence),
        )
    ]
    if misfit < SURE:
        return scored
    lying, misfit = best_lying(judge)
    scored.append(
        Scored(
            score=LYING_WEIGHT * misfit + LYING_PRICE,
            build=lambda: revolved("revolution, lying", lying, workspace, evidence),
        )
    )
    turn, misfit = best_half_turn(judge)
    scored.append(
        Scored(
            score=misfit + HALF_TURN_PRICE,
            build=lambda: reflected("half turn", turn, workspace, evidence),
        )
    )
    mirror, misfit = best_mirror(judge)
    scored.append(
        Scored(
            score=misfit + MIRROR_PRICE,
            build=lambda: reflected("mirror", mirror, workspace, evidence),
        )
    )
    prism, misfit = best_prism(judge)
    scored.append(Scored(score=misfit + PRISM_PRICE, build=lambda: prism))
    scored.append(Scored(score=HULL_SCORE, build=lambda: hull_of(workspace)))
    return scored
