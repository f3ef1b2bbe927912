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

"""Several answers of a model's first stage to each view, from other noise each."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.sampling import concatenated, initial_noise
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.training.engine.cases import Cases
from sam3d_ros.training.objectives import carried, decoded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """N answers to each of B views; the samples of one view follow each other."""

    latents: GeometryLatents  # of B N samples
    distance: Tensor  # (B, N, R, R, R) truncated distances


@torch.no_grad()
def sampled(
    model: NanoModel, cases: Cases, num: int, flow: FlowConfig, generator: torch.Generator
) -> Candidates:
    """Ask a model ``num`` times about each view; the condition is computed once."""
    condition = model.condition(cases.view, cases.box)
    noise = initial_noise(model.geometry.config, [generator] * (num * len(cases)))
    # One answer to every view at a time: all at once would need N times the memory.
    rounds = [carried(model, _every(noise, first, num), condition, flow) for first in range(num)]
    latents = _by_view(rounds)
    distance = decoded(model, latents.shape)
    return Candidates(
        latents=latents, distance=distance.reshape(len(cases), num, *distance.shape[1:])
    )


def _every(latents: GeometryLatents, first: int, step: int) -> GeometryLatents:
    return latents[slice(first, None, step)]


def _by_view(rounds: list[GeometryLatents]) -> GeometryLatents:
    """Put the samples of rounds over all views into the order of the views."""
    joined = concatenated(rounds)
    parts = {f.name: getattr(joined, f.name) for f in fields(joined)}
    return GeometryLatents(
        **{
            name: part.reshape(len(rounds), -1, *part.shape[1:]).transpose(0, 1).flatten(0, 1)
            for name, part in parts.items()
        }
    )
