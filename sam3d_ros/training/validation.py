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

"""How good a model is while it trains: always the same objects and the same noise."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.volume.view import TRUNCATION
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.losses import noise_like, truth_of
from sam3d_ros.training.models import VolumeFlow
from sam3d_ros.training.objectives import carried, decoded

F1_THRESHOLD = 0.025  # of the object's largest extent: 0.05 where that is normalised to 2
NOISE_SEED = 1234


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValidationSet:
    """Objects to look at, on the model's device."""

    name: str
    batches: tuple[TrainingBatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeScore:
    """One answer beside the truth, both as grids of distances."""

    family: str
    viou: float
    f1: float  # of the surfaces, see F1_THRESHOLD
    scale_error: float  # of the largest extent


@torch.no_grad()
def validated(
    model: VolumeFlow, sets: Iterable[ValidationSet], flow: FlowConfig
) -> dict[str, float]:
    """Return the medians of each set, by names such as ``held_out/viou``.

    Medians of single families come as ``held_out/viou/mug``.
    """
    values: dict[str, float] = {}
    for each in sets:
        scores = [score for batch in each.batches for score in scored(model, batch, flow)]
        for measure in ("viou", "f1", "scale_error"):
            values[f"{each.name}/{measure}"] = _median(scores, measure)
        for family, of_family in _by_family(scores):
            values[f"{each.name}/viou/{family}"] = _median(of_family, "viou")
    return values


@torch.no_grad()
def scored(model: VolumeFlow, batch: TrainingBatch, flow: FlowConfig) -> Iterator[VolumeScore]:
    """Compare a model's answers to the objects of a batch with what these are."""
    predicted = answered(model, batch, flow)
    measures = zip(
        batch.families,
        viou(predicted, batch.distance).tolist(),
        surface_f1(predicted, batch.distance, batch.extent).tolist(),
        scale_error(predicted, batch.distance).tolist(),
        strict=True,
    )
    for family, overlap, f1, error in measures:
        yield VolumeScore(family=family, viou=overlap, f1=f1, scale_error=error)


@torch.no_grad()
def answered(model: VolumeFlow, batch: TrainingBatch, flow: FlowConfig) -> Tensor:
    """Return distances ``(B, R, R, R)`` that a model samples, from the same noise every time."""
    device = batch.distance.device
    generator = torch.Generator(device).manual_seed(NOISE_SEED)
    noise = noise_like(truth_of(model, batch), generator)
    features = model.features(batch.view, batch.box)
    latents = carried(model, noise, model.tokens(features), flow)
    return model.refined(decoded(model, latents.shape), features)


def viou(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the shares ``(B,)`` of the voxels in either body that are in both."""
    ours, theirs = (predicted < 0).flatten(1), (truth < 0).flatten(1)
    return (ours & theirs).sum(1) / (ours | theirs).sum(1).clamp_min(1)


def surface_f1(predicted: Tensor, truth: Tensor, extent: Tensor) -> Tensor:
    """Return F1 ``(B,)`` of surfaces, by what the other's distance is where each crosses zero.

    Args:
        predicted: Truncated distances ``(B, R, R, R)``.
        truth: Likewise.
        extent: ``(B, 3)`` of the true objects, in sides of the box.
    """
    limit = F1_THRESHOLD * extent.amax(dim=1) / TRUNCATION
    precision = _share_within(limit, predicted, truth)
    recall = _share_within(limit, truth, predicted)
    return 2 * precision * recall / (precision + recall).clamp_min(1e-9)


def scale_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return how far the largest extents ``(B,)`` are from the true ones, as shares of these."""
    ours, theirs = _largest_extent(predicted < 0), _largest_extent(truth < 0)
    return (ours / theirs.clamp_min(1) - 1.0).abs()


def _share_within(limit: Tensor, surface: Tensor, distance: Tensor) -> Tensor:
    """Return which share ``(B,)`` of a surface's crossings of grid lines another is close to."""
    close, crossings = torch.zeros_like(limit), torch.zeros_like(limit)
    for axis in (1, 2, 3):
        low, high = _neighbours(surface, axis)
        crosses = (low < 0) != (high < 0)
        way = torch.where(crosses, low / (low - high), 0.0)
        other = torch.lerp(*_neighbours(distance, axis), way)
        within = crosses & (other.abs() < limit[:, None, None, None])
        close += within.sum(dim=(1, 2, 3))
        crossings += crosses.sum(dim=(1, 2, 3))
    return close / crossings.clamp_min(1)


def _neighbours(volume: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return the values at the two ends of the grid's edges along an axis."""
    num = volume.shape[axis] - 1
    return volume.narrow(axis, 0, num), volume.narrow(axis, 1, num)


def _largest_extent(inside: Tensor) -> Tensor:
    """Return the longest side, in voxels, of the bounds of bodies ``(B, R, R, R)``."""
    sides = []
    for axes in ((2, 3), (1, 3), (1, 2)):
        touched = inside.amax(dim=axes)
        index = torch.arange(touched.shape[1], device=inside.device)
        last = torch.where(touched, index, -1).amax(dim=1)
        first = torch.where(touched, index, touched.shape[1]).amin(dim=1)
        sides.append((last - first + 1).clamp_min(0))
    return torch.stack(sides, dim=1).amax(dim=1).float()


def _median(scores: Sequence[VolumeScore], measure: str) -> float:
    return statistics.median(getattr(score, measure) for score in scores)


def _by_family(scores: Sequence[VolumeScore]) -> list[tuple[str, list[VolumeScore]]]:
    found = defaultdict(list)
    for score in scores:
        found[score.family].append(score)
    return sorted(found.items())
