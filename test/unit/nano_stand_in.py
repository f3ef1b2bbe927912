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

"""Weights of nano and what runs them, for tests that need neither to be any good."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from three_boxes import made

from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.objects import files
from sam3d_ros.objects.provenance import record_evaluation
from sam3d_ros.protocols import Cancelled, ObjectOutcome, never
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.structures import Observation, Provenance


class StandIn:
    """What nano's weights would become: lift under nano's name."""

    name = "nano"
    wants_warmup = True

    def __init__(self, config: SceneConfig) -> None:
        self._lift = make_object_backend(replace(config, objects=ObjectsConfig(backend="lift")))

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        return [
            replace(made(outcome), provenance=Provenance(backend=self.name))
            for outcome in self._lift.reconstruct(observations, cancelled)
        ]

    def reconstruct_seeds(
        self, observations: Sequence[Observation], seeds: Sequence[int], cancelled: Cancelled
    ) -> list[list[ObjectOutcome]]:
        return [[each] * len(seeds) for each in self.reconstruct(observations, cancelled)]


def medians(viou: float, f1: float) -> dict[str, float]:
    return {"viou": viou, "f1_005": f1, "f1_10mm": f1}


def ship(folder: Path, nano: dict[str, float], both: dict[str, float]) -> None:
    """Put weights into a folder that were measured beside a lift of 0.7 and 0.9."""
    measured = {"lift": medians(0.7, 0.9), "nano": nano, "nano+lift": both}
    (folder / files.NANO_FILE).write_bytes(b"weights")
    (folder / files.PROVENANCE_FILE).write_text(json.dumps({"commit": "abc"}))
    record_evaluation(folder, {"families": measured, "captures": measured})
