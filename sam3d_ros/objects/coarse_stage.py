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

"""What a model of coarse shape and pose must be able to do; SAM 3D's and nano are such stages."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from sam3d_ros.errors import DecodingError
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.sampling import initial_noise, sample_geometry
from sam3d_ros.protocols import Cancelled


class CoarseStage(Protocol):
    """From views to coarse shapes, poses and meshes; each function works on one batch."""

    @property
    def name(self) -> str:
        """Name of the backend whose stage it is."""
        ...

    @property
    def embedders(self) -> Sequence[nn.Module]:
        """What ``embed`` uses."""
        ...

    @property
    def geometry(self) -> GeometryModel:
        """What ``sample`` uses."""
        ...

    @property
    def decoders(self) -> Sequence[nn.Module]:
        """What ``decode`` uses."""
        ...

    def prepare(self, views: Sequence[View]) -> None:
        """Crop what the models see."""
        ...

    def embed(self, views: Sequence[View]) -> None:
        """Make condition tokens."""
        ...

    def sample(self, samples: Sequence[Sample], cancelled: Cancelled) -> None:
        """Carry noise to latents."""
        ...

    def decode(self, samples: Sequence[Sample]) -> None:
        """Decode the coarse shape."""
        ...

    def place(self, samples: Sequence[Sample]) -> None:
        """Find the pose, and the frame of the object."""
        ...

    def mesh(self, samples: Sequence[Sample]) -> None:
        """Make a mesh of the coarse shape."""
        ...


def carry(
    samples: Sequence[Sample],
    model: GeometryModel,
    flow: FlowConfig,
    device: torch.device,
    cancelled: Cancelled,
) -> None:
    """Carry the noise of each sample's seed to latents."""
    for sample in samples:  # each its own, so that what else is in a batch changes nothing
        sample.generator = torch.Generator(device).manual_seed(sample.seed)
    tokens = [sample.view.geometry_tokens for sample in samples]
    for sample, latents in zip(
        samples, answers(samples, tokens, model, flow, cancelled), strict=True
    ):
        sample.latents = latents


def answers(
    samples: Sequence[Sample],
    tokens: Sequence[Tensor],
    model: GeometryModel,
    flow: FlowConfig,
    cancelled: Cancelled,
) -> list[GeometryLatents]:
    """Carry the next noise of each sample's generator to latents, told the tokens of each."""
    noise = initial_noise(model.config, [sample.generator for sample in samples])
    latents = sample_geometry(model, _joined(tokens), noise, flow, cancelled)
    return [latents[index : index + 1] for index in range(len(samples))]


def check_finite(latents: GeometryLatents) -> None:
    """Raise ``DecodingError`` unless all latents are numbers."""
    bad = [name for name, values in latents.named() if not values.isfinite().all()]
    if bad:
        raise DecodingError(
            f"the geometry model's latents must be finite, {', '.join(bad)} are not; try bfloat16 "
            "or float32 where the model runs in float16, and check the weights with `sam3d check`"
        )


def _joined(tokens: Sequence[Tensor]) -> Tensor:
    """Return the tokens of all samples; of one view, those of the view alone."""
    if all(each is tokens[0] for each in tokens):
        return tokens[0]
    return torch.cat(list(tokens))
