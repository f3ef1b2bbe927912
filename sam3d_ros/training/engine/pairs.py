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

"""From judged candidates to pairs of preferences, and to training data."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from sam3d_ros.errors import TrainingError
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.nn.rotations import matrix_from_6d
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.sampling import concatenated
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.objects.volume.view import VolumeBox, joined_boxes, joined_views
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.engine.candidates import sampled
from sam3d_ros.training.engine.cases import cases_of
from sam3d_ros.training.engine.choices import CHOICES_FILE, ChosenPair, read_choices
from sam3d_ros.training.engine.judging import TruthJudge
from sam3d_ros.training.engine.preferences import PreferencePairs, chosen_latents
from sam3d_ros.training.engine.store import EngineStore, JudgedPart
from sam3d_ros.training.files import digest_of
from sam3d_ros.training.objectives import decoded
from sam3d_ros.training.sources import SampleSource, shuffled_rounds

MIN_MARGIN = 0.02  # between the scores of best and worst; less is no preference
TRUTH_MARGIN = 0.003  # likewise where pairs are made as they are needed: truth is sure of less
MIN_SCORE = 0.7  # of a candidate that is to stand for the truth
ASKED = FlowConfig(num_steps=4, strength=0.0)  # how candidates are sampled in training
NUM_ASKED = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedPairs:
    """M cases with their best and worst candidates."""

    pairs: PreferencePairs
    rgb: Tensor  # (M, 3, P, P) uint8
    names: tuple[str, ...]
    score: Tensor  # (M,) of the best; 1 where a person chose another than the judge

    def to(self, device: torch.device) -> "JudgedPairs":
        """Return the same on a device."""
        pairs = self.pairs
        return JudgedPairs(
            pairs=PreferencePairs(
                view=pairs.view.to(device),
                box=VolumeBox(**_each(pairs.box, lambda field: field.to(device))),
                best=GeometryLatents(**_each(pairs.best, lambda field: field.to(device))),
                worst=GeometryLatents(**_each(pairs.worst, lambda field: field.to(device))),
            ),
            rgb=self.rgb.to(device),
            names=self.names,
            score=self.score.to(device),
        )


def read_pairs(
    folder: Path, codec: dict[str, Tensor], min_margin: float = MIN_MARGIN
) -> JudgedPairs:
    """Read all pairs of a folder, those of a person where there is a file of choices.

    Args:
        folder: Made by the data engine.
        codec: Tensors of the codec of the model that shall learn from them.
        min_margin: Between the scores of best and worst. Who takes the best ones for the truth
            needs none.

    Raises:
        TrainingError: The folder cannot be read, belongs to another codec or has no pair.
    """
    store = EngineStore.open(folder)
    if store.record.codec != digest_of(codec):
        raise TrainingError(
            f"{folder} holds latents of another codec than the model's; make candidates with "
            "weights of the same training run, or begin with the weights that made them (--init)"
        )
    by_hand = (folder / CHOICES_FILE).exists()
    parts = [store.read(number) for number in store.parts()]
    choices = (
        read_choices(
            folder / CHOICES_FILE, (i for part in parts for i in part.ids), store.record.candidates
        )
        if by_hand
        else {case: pair for part in parts for case, pair in judged(part, min_margin).items()}
    )
    found = [_pairs_of(part, choices) for part in parts]
    found = [each for each in found if len(each.names)]
    if not found:
        raise TrainingError(
            f"{folder} has no pair whose scores differ by {min_margin}; make more candidates"
        )
    return _joined(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What there is to learn from judged answers."""

    num_good: int  # that may stand for the truth
    num_pairs: int  # that a preference can be learned from


def lessons_in(store: EngineStore) -> Lessons:
    """Count what a folder of judged answers teaches."""
    parts = [store.read(number) for number in store.parts()]
    return Lessons(
        num_good=sum(int((part.scores.amax(dim=1) >= MIN_SCORE).sum()) for part in parts),
        num_pairs=sum(len(judged(part)) for part in parts),
    )


def judged(part: JudgedPart, min_margin: float = MIN_MARGIN) -> dict[str, ChosenPair]:
    """Return best and worst candidates by the scores, of cases in which these differ enough."""
    high, low = part.scores.max(dim=1), part.scores.min(dim=1)
    rows = zip(
        part.ids, high.indices.tolist(), low.indices.tolist(), high.values - low.values, strict=True
    )
    return {
        case: ChosenPair(best, worst)
        for case, best, worst, margin in rows
        if float(margin) >= min_margin
    }


class StoredPairs:
    """A source of the pairs of a folder; all once before any twice."""

    def __init__(self, pairs: PreferencePairs, seed: int) -> None:
        self._pairs = pairs
        self._seed = seed

    def batch(self, step: int, size: int) -> PreferencePairs:
        """Return pairs of a step."""
        index = shuffled_rounds(len(self._pairs.view), step * size, size, self._seed)
        chosen = index.to(self._pairs.view.mask.device)
        return PreferencePairs(
            view=self._pairs.view[chosen],
            box=self._pairs.box[chosen],
            best=_taken(self._pairs.best, chosen),
            worst=_taken(self._pairs.worst, chosen),
        )


class AskedPairs:
    """A source of pairs that a frozen model makes as they are needed, judged by the truth.

    Answers whose scores are all but equal are no preference: such pairs do not count.
    """

    def __init__(self, model: NanoModel, source: SampleSource[TrainingBatch], seed: int) -> None:
        self._model = model
        self._source = source
        self._seed = seed
        self._judge = TruthJudge()

    def batch(self, step: int, size: int) -> PreferencePairs:
        """Ask the model about the objects of a step; return its best and worst answers."""
        cases = cases_of(self._source.batch(step, size))
        generator = torch.Generator(cases.rgb.device)
        generator.manual_seed(1_000_003 * self._seed + step)
        candidates = sampled(self._model, cases, NUM_ASKED, ASKED, generator)
        scores = self._judge(cases, candidates)
        return PreferencePairs(
            view=cases.view,
            box=cases.box,
            best=chosen_latents(candidates.latents, scores.argmax(dim=1), NUM_ASKED),
            worst=chosen_latents(candidates.latents, scores.argmin(dim=1), NUM_ASKED),
            told_apart=scores.amax(dim=1) - scores.amin(dim=1) >= TRUTH_MARGIN,
        )


class BestAnswers:
    """A source of training data in which a model's good answers stand for the truth."""

    def __init__(self, judged: JudgedPairs, model: NanoModel, seed: int) -> None:
        """Keep what was judged well enough.

        Raises:
            TrainingError: Nothing was.
        """
        self._kept = (judged.score >= MIN_SCORE).nonzero()[:, 0]
        if not len(self._kept):
            raise TrainingError(
                f"no candidate scored {MIN_SCORE} or more, the best "
                f"{float(judged.score.max()):.2f}; choose by hand (sam3d "
                "engine data --sheets), or train the model further first"
            )
        self._judged = judged
        self._model = model
        self._seed = seed

    @torch.no_grad()
    def batch(self, step: int, size: int) -> TrainingBatch:
        """Return answers of a step, as if they were true."""
        place = shuffled_rounds(len(self._kept), step * size, size, self._seed)
        index = self._kept[place.to(self._kept.device)]
        pairs = self._judged.pairs
        best = _taken(pairs.best, index)
        return TrainingBatch(
            view=pairs.view[index],
            box=pairs.box[index],
            rgb=self._judged.rgb[index].float() / 255.0,
            distance=decoded(self._model, best.shape).clamp(-1.0, 1.0),
            box_rotation_object=matrix_from_6d(best.rotation[:, 0]),
            box_centre_object=best.translation[:, 0],
            extent=best.scale[:, 0].exp(),
            families=tuple(self._judged.names[i] for i in index.tolist()),
            seeds=tuple(range(step * size, (step + 1) * size)),
        )


def _pairs_of(part: JudgedPart, choices: dict[str, ChosenPair]) -> JudgedPairs:
    """Return the chosen cases of a part.

    What a file of choices says as the judge wrote it is the judge's opinion still.
    """
    by_judge = judged(part, 0.0)
    rows = [i for i, case in enumerate(part.ids) if case in choices]
    num = part.scores.shape[1]
    index = torch.tensor(rows, dtype=torch.long)
    best = torch.tensor([choices[part.ids[i]].best for i in rows], dtype=torch.long)
    worst = torch.tensor([choices[part.ids[i]].worst for i in rows], dtype=torch.long)
    by_hand = torch.tensor(
        [choices[part.ids[i]] != by_judge[part.ids[i]] for i in rows], dtype=torch.bool
    )
    scores = part.scores[index, best]
    return JudgedPairs(
        pairs=PreferencePairs(
            view=part.view[index],
            box=part.box[index],
            best=_taken(part.latents, index * num + best),
            worst=_taken(part.latents, index * num + worst),
        ),
        rgb=part.rgb[index],
        names=tuple(part.names[i] for i in rows),
        score=torch.where(by_hand, 1.0, scores),
    )


def _joined(found: list[JudgedPairs]) -> JudgedPairs:
    return JudgedPairs(
        pairs=PreferencePairs(
            view=joined_views([each.pairs.view for each in found]),
            box=joined_boxes([each.pairs.box for each in found]),
            best=concatenated([each.pairs.best for each in found]),
            worst=concatenated([each.pairs.worst for each in found]),
        ),
        rgb=torch.cat([each.rgb for each in found]),
        names=tuple(name for each in found for name in each.names),
        score=torch.cat([each.score for each in found]),
    )


def _taken(latents: GeometryLatents, index: Tensor) -> GeometryLatents:
    return GeometryLatents(**_each(latents, lambda field: field[index]))


def _each(
    batch: GeometryLatents | VolumeBox, change: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Return all fields, changed, by their names."""
    return {f.name: change(getattr(batch, f.name)) for f in fields(batch)}
