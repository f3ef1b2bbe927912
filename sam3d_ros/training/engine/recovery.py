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

"""What several answers are worth: how often the best of them, or the one chosen, saves a case."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.training.engine.candidates import Candidates
from sam3d_ros.training.engine.cases import Cases
from sam3d_ros.training.engine.judging import ViewJudge, known_truth
from sam3d_ros.training.validation import viou

HARD_VIOU = 0.6  # a case whose first answer has less is hard, one with more is solved


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Answers to cases with truth, by volume IoU."""

    num_cases: int
    num_candidates: int
    first: float  # median of the first answers
    chosen: float  # ... of those that agree best with the view
    best: float  # ... of the best there are
    num_hard: int  # cases whose first answer is below HARD_VIOU
    hard_chosen: float  # share of these that the chosen answer solves; NaN without any
    hard_best: float  # share of these that any answer solves

    def text(self) -> str:
        """Say it in two lines."""
        return (
            f"{self.num_cases} cases, median vIoU of the first answer {self.first:.3f}, of the one "
            f"of {self.num_candidates} that agrees best with the view {self.chosen:.3f}, of the "
            f"best {self.best:.3f}\n{self.num_hard} hard cases (first answer below {HARD_VIOU}): "
            f"{self.hard_chosen:.0%} solved by choosing by the view, {self.hard_best:.0%} by the "
            "best"
        )


class RecoveryMeter:
    """Gathers answers to cases with truth."""

    def __init__(self) -> None:
        self._viou: list[Tensor] = []  # each (B, N)
        self._chosen: list[Tensor] = []  # each (B,) index

    def add(self, cases: Cases, candidates: Candidates) -> None:
        """Take in a batch of answers."""
        truth, num = known_truth(cases), candidates.distance.shape[1]
        overlaps = [viou(candidates.distance[:, index], truth) for index in range(num)]
        self._viou.append(torch.stack(overlaps, dim=1).cpu())
        self._chosen.append(ViewJudge()(cases, candidates).argmax(dim=1).cpu())

    def result(self) -> Recovery | None:
        """Return what was found; ``None`` without any case."""
        if not self._viou:
            return None
        overlaps, index = torch.cat(self._viou), torch.cat(self._chosen)
        first, best = overlaps[:, 0], overlaps.amax(dim=1)
        chosen = overlaps.gather(1, index[:, None])[:, 0]
        hard = first < HARD_VIOU
        return Recovery(
            num_cases=len(overlaps),
            num_candidates=overlaps.shape[1],
            first=float(first.median()),
            chosen=float(chosen.median()),
            best=float(best.median()),
            num_hard=int(hard.sum()),
            hard_chosen=float((chosen[hard] >= HARD_VIOU).float().mean()),
            hard_best=float((best[hard] >= HARD_VIOU).float().mean()),
        )
