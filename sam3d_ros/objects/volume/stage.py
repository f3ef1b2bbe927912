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

"""nano in the pipeline: from views to shapes that stand where they were seen."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from sam3d_ros.geometry.upright import object_from_work
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.coarse_stage import answers, carry, check_finite
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.volume.features import MIRRORED, mirrored
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.objects.volume.prepare import prepare
from sam3d_ros.objects.volume.surface import mesh_of
from sam3d_ros.objects.volume.view import VolumeBox, joined_boxes, joined_views
from sam3d_ros.protocols import Cancelled
from sam3d_ros.structures import Similarity


class VolumeStage:
    """nano's networks, and how they are used; a ``CoarseStage``.

    Each view is looked at as it is and in a mirror, and the distances of both answers are averaged:
    what a network says of one side only by habit cancels out.
    """

    name = "nano"

    def __init__(self, model: NanoModel, flow: FlowConfig, device: torch.device) -> None:
        self._model = model
        self._flow = flow
        self._device = device

    @property
    def embedders(self) -> Sequence[nn.Module]:
        """What ``embed`` uses."""
        return (self._model.stem, self._model.codec)

    @property
    def geometry(self) -> GeometryModel:
        """What ``sample`` uses."""
        return self._model.geometry

    @property
    def decoders(self) -> Sequence[nn.Module]:
        """What ``decode`` uses."""
        refiner = self._model.refiner
        return (self._model.codec,) if refiner is None else (self._model.codec, refiner)

    def prepare(self, views: Sequence[View]) -> None:
        """Crop depth images, and lay boxes around the objects."""
        for view in views:
            view.volume = prepare(view.observation, device=self._device)

    def embed(self, views: Sequence[View]) -> None:
        """Make condition tokens."""
        features = self._model.features(
            joined_views([view.volume.view for view in views]),
            joined_boxes([view.volume.box for view in views]),
        )
        tokens = self._model.tokens(features)
        mirrored_tokens = self._model.tokens(mirrored(features))
        for index, view in enumerate(views):
            if self._model.refiner is not None:
                view.features = features[index : index + 1]
            view.geometry_tokens = tokens[index : index + 1]
            view.mirrored_tokens = mirrored_tokens[index : index + 1]

    def sample(self, samples: Sequence[Sample], cancelled: Cancelled) -> None:
        """Carry noise to latents, of each view and of its mirror image."""
        carry(samples, self.geometry, self._flow, self._device, cancelled)
        tokens = [sample.view.mirrored_tokens for sample in samples]
        of_mirrors = answers(samples, tokens, self.geometry, self._flow, cancelled)
        for sample, latents in zip(samples, of_mirrors, strict=True):
            sample.mirrored = latents

    def decode(self, samples: Sequence[Sample]) -> None:
        """Decode distances, and have the second stage correct them, if there is one."""
        latents = [(each.latents.shape, each.mirrored.shape) for each in samples]
        shapes, in_mirrors = (torch.cat(each) for each in zip(*latents, strict=True))
        seen, in_mirror = self._model.decode(shapes), self._model.decode(in_mirrors)
        if self._model.refiner is not None:
            features = torch.cat([sample.view.features for sample in samples])
            seen = self._model.refined(seen, features)
            in_mirror = self._model.refined(in_mirror, mirrored(features))
        distances = 0.5 * (seen + in_mirror.flip(MIRRORED))
        for sample, distance in zip(samples, distances, strict=True):
            sample.distance = distance

    def place(self, samples: Sequence[Sample]) -> None:
        """Extract meshes where they stand, each with an upright frame of its own.

        The pose is the box's: what the layout latents say of it is but an aid of training.

        Raises:
            DecodingError: Some latents are not finite, or give no closed shape in one piece.
        """
        for sample in samples:
            for latents in (sample.latents, sample.mirrored):
                check_finite(latents)
            mesh_box, sample.notes = mesh_of(sample.distance.float().cpu().numpy())
            camera_from_box = _similarity(sample.view.volume.box)
            sample.mesh, box_from_object = object_from_work(mesh_box)
            sample.camera_from_object = camera_from_box @ box_from_object

    def mesh(self, samples: Sequence[Sample]) -> None:
        """Do nothing: the mesh came with the pose."""


def _similarity(box: VolumeBox) -> Similarity:
    """Return ``camera_from_box`` of a batch of one."""
    rotation = box.rotation[0].double().cpu().numpy()
    centre_m = box.centre_m[0].double().cpu().numpy()
    return Similarity(np.asarray(rotation), np.asarray(centre_m), float(box.side_m[0]))
