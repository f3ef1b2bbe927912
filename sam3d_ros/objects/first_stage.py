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

"""The first stage: from views to coarse shape and pose; each function works on one batch."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from sam3d_ros.errors import DecodingError
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.batches import stack_objects
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.pose import cameras_from_objects, decode_pose
from sam3d_ros.objects.preprocess import prepare_observation
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.sampling import initial_noise, sample_geometry
from sam3d_ros.objects.voxels import surface_voxels
from sam3d_ros.objects.weights import GeometryStage
from sam3d_ros.protocols import Cancelled


class FirstStage:
    """The first stage's networks, and how they are used."""

    def __init__(self, networks: GeometryStage, flow: FlowConfig, device: torch.device) -> None:
        self.networks = networks
        self._flow = flow
        self._device = device

    def prepare(self, views: Sequence[View], side: int) -> None:
        """Crop, resize and normalise what the models see."""
        for view in views:
            view.prepared = prepare_observation(view.observation, side, self._device)

    def embed(self, views: Sequence[View]) -> None:
        """Make condition tokens."""
        inputs = stack_objects([view.prepared for view in views]).conditions
        tokens = self.networks.condition(inputs)
        for index, view in enumerate(views):
            view.geometry_tokens = tokens[index : index + 1]

    def sample(self, samples: Sequence[Sample], cancelled: Cancelled) -> None:
        """Carry noise to latents."""
        model = self.networks.geometry
        for sample in samples:  # each its own, so that what else is in a batch changes nothing
            sample.generator = torch.Generator(self._device).manual_seed(sample.seed)
        noise = initial_noise(model.config, [sample.generator for sample in samples])
        latents = sample_geometry(model, _tokens(samples), noise, self._flow, cancelled)
        for index, sample in enumerate(samples):
            sample.latents = latents[index : index + 1]

    def decode(self, samples: Sequence[Sample]) -> None:
        """Decode occupancy."""
        logits = self.networks.occupancy(torch.cat([each.latents.shape for each in samples]))
        for sample, of_sample in zip(samples, logits, strict=True):
            sample.logits = of_sample

    def place(self, samples: Sequence[Sample]) -> None:
        """Decode pose and surface voxels, whose frame becomes that of the object.

        Raises:
            DecodingError: Some latents are not finite, or give no shape or no pose.
        """
        for sample in samples:
            _check_finite(sample.latents)
            sample.voxels = surface_voxels(sample.logits)
            pose = decode_pose(sample.latents, sample.view.prepared.normaliser)
            (camera_from_object,) = cameras_from_objects(pose)
            sample.camera_from_object = camera_from_object @ sample.voxels.object_from_voxels


def _tokens(samples: Sequence[Sample]) -> Tensor:
    """Return the tokens of each sample; those of the view alone if all have the same."""
    if all(sample.view is samples[0].view for sample in samples):
        return samples[0].view.geometry_tokens
    return torch.cat([sample.view.geometry_tokens for sample in samples])


def _check_finite(latents: GeometryLatents) -> None:
    bad = [f.name for f in fields(latents) if not getattr(latents, f.name).isfinite().all()]
    if bad:
        raise DecodingError(
            f"the geometry model's latents must be finite, {', '.join(bad)} are not; try bfloat16 "
            "or float32 where the model runs in float16, and check the weights with `sam3d check`"
        )
