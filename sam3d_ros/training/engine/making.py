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

"""The engine: ask the model several times, judge, keep; part by part, so that it may be stopped."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.objects.volume.view import joined_boxes, joined_views
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.engine.candidates import Candidates, sampled
from sam3d_ros.training.engine.cases import Cases, cases_in, cases_of
from sam3d_ros.training.engine.judging import Judge
from sam3d_ros.training.engine.store import (
    EngineRecord,
    EngineStore,
    JudgedPart,
    case_ids,
)
from sam3d_ros.training.files import digest_of
from sam3d_ros.training.sources import SampleSource

PART_CASES = 16

Watch = Callable[[Cases, Candidates], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseSource:
    """Where cases come from, part by part, and what it is called."""

    name: str
    parts: Callable[[], Iterator[Cases]]  # always the same, in the same order


def procedural_cases(
    source: SampleSource[TrainingBatch], name: str, num_parts: int, size: int = PART_CASES
) -> CaseSource:
    """Return cases with truth, made by a training source."""

    def parts() -> Iterator[Cases]:
        return (cases_of(source.batch(index, size)) for index in range(num_parts))

    return CaseSource(name=name, parts=parts)


def captured_cases(folder: Path, crop_px: int, device: torch.device) -> CaseSource:
    """Return the objects of scene folders as cases without truth."""

    def parts() -> Iterator[Cases]:
        single = cases_in(folder, crop_px, device)
        while several := list(islice(single, PART_CASES)):
            yield joined_cases(several)

    return CaseSource(name=str(folder), parts=parts)


def record_of(
    model: NanoModel, source: CaseSource, judge: Judge, num: int, flow: FlowConfig, seed: int
) -> EngineRecord:
    """Return how candidates of a model will be made."""
    return EngineRecord(
        candidates=num,
        steps=flow.num_steps,
        seed=seed,
        judge=judge.name,
        source=source.name,
        codec=digest_of(model.codec.state_dict()),
        model=digest_of(model.state_dict()),
    )


class DataEngine:
    """Makes the parts of a store that are not there yet."""

    def __init__(
        self, model: NanoModel, judge: Judge, flow: FlowConfig, store: EngineStore
    ) -> None:
        self._model = model.eval()
        self._judge = judge
        self._flow = flow
        self._store = store

    def run(
        self, source: CaseSource, watch: Callable[[Cases, Candidates], None] | None = None
    ) -> int:
        """Make all parts of a source; return how many cases were made.

        Args:
            source: Of the cases.
            watch: Told of every part's cases and candidates.
        """
        done = set(self._store.parts())
        made = 0
        for number, cases in enumerate(source.parts()):
            if number not in done:
                self._make(number, cases, watch)
                made += len(cases)
        return made

    def _make(self, number: int, cases: Cases, watch: Watch | None) -> None:
        record, device = self._store.record, cases.rgb.device
        generator = torch.Generator(device).manual_seed(1_000_003 * record.seed + number)
        candidates = sampled(self._model, cases, record.candidates, self._flow, generator)
        scores = self._judge(cases, candidates)
        if watch is not None:
            watch(cases, candidates)
        self._store.write(
            number,
            JudgedPart(
                view=cases.view,
                box=cases.box,
                rgb=(255.0 * cases.rgb).round().to(torch.uint8),
                latents=candidates.latents,
                ids=case_ids(number, len(cases)),
                names=cases.names,
                scores=scores.cpu(),
            ),
        )


def joined_cases(several: list[Cases]) -> Cases:
    """Return one batch of all cases, without truth."""
    return Cases(
        view=joined_views([each.view for each in several]),
        box=joined_boxes([each.box for each in several]),
        rgb=torch.cat([each.rgb for each in several]),
        names=tuple(name for each in several for name in each.names),
        truth=None,
    )
