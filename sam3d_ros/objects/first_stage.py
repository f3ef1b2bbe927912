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

import torch
from torch import nn

from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.batches import stack_objects
from sam3d_ros.objects.coarse_stage import carry, check_finite
from sam3d_ros.objects.fast_mesh import fast_mesh
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.pose import cameras_from_objects, decode_pose
from sam3d_ros.objects.preprocess import prepare_observation
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.voxels import surface_voxels
from sam3d_ros.objects.weights import GeometryStage
from sam3d_ros.protocols import Cancelled


class FirstStage:
    """The first stage's networks, and how they are used; a ``CoarseStage``."""

    name = "sam3d"

    def __init__(
        self, networks: GeometryStage, flow: FlowConfig, device: torch.device, side: int
    ) -> None:
        self.networks = networks
        self._flow = flow
        self._device = device
        self._side = side  # of the images that the models see, in pixels

    @property
    def embedders(self) -> Sequence[nn.Module]:
        """What ``embed`` uses."""
        return (self.networks.condition,)

    @property
    def geometry(self) -> GeometryModel:
        """What ``sample`` uses."""
        return self.networks.geometry

    @property
    def decoders(self) -> Sequence[nn.Module]:
        """What ``decode`` uses."""
        return (self.networks.occupancy,)

    def prepare(self, views: Sequence[View]) -> None:
        """Crop, resize and normalise what the models see."""
        for view in views:
            view.prepared = prepare_observation(view.observation, self._side, self._device)

    def embed(self, views: Sequence[View]) -> None:
        """Make condition tokens."""
        inputs = stack_objects([view.prepared for view in views]).conditions
        tokens = self.networks.condition(inputs)
        for index, view in enumerate(views):
            view.geometry_tokens = tokens[index : index + 1]

    def sample(self, samples: Sequence[Sample], cancelled: Cancelled) -> None:
        """Carry noise to latents."""
        carry(samples, self.geometry, self._flow, self._device, cancelled)

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
            check_finite(sample.latents)
            sample.voxels = surface_voxels(sample.logits)
            pose = decode_pose(sample.latents, sample.view.prepared.normaliser)
            (camera_from_object,) = cameras_from_objects(pose)
            sample.camera_from_object = camera_from_object @ sample.voxels.object_from_voxels

    def mesh(self, samples: Sequence[Sample]) -> None:
        """Extract a mesh from the occupancy."""
        for sample in samples:
            mesh = fast_mesh(sample.logits.cpu().numpy())
            sample.mesh = mesh.transformed(sample.voxels.object_from_voxels.inverse())
