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

"""The second stage: a latent for every surface voxel, and what it is decoded to."""

from collections.abc import Sequence

import torch

from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.nn.sparse.voxels import SparseTensor, voxels_of_objects
from sam3d_ros.objects.batches import stack_objects
from sam3d_ros.objects.finishing import mesh_from_surface
from sam3d_ros.objects.flexicubes import extract_surface
from sam3d_ros.objects.gaussian_decoder import SplatDecoder, decode_splats
from sam3d_ros.objects.mesh_decoder import MeshDecoder, decode_cubes
from sam3d_ros.objects.preprocess import without_points
from sam3d_ros.objects.refinement_sampling import initial_noise, sample_refinement
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.weights import RefinementStage
from sam3d_ros.protocols import Cancelled


class SecondStage:
    """The second stage's networks, and how they are used."""

    def __init__(
        self,
        networks: RefinementStage,
        mesh: MeshDecoder | None,
        splats: SplatDecoder | None,
        flow: FlowConfig,
    ) -> None:
        self.networks = networks
        self.mesh = mesh
        self.splats = splats
        self._flow = flow

    def embed(self, views: Sequence[View]) -> None:
        """Make condition tokens."""
        inputs = stack_objects([view.prepared for view in views]).conditions
        tokens = self.networks.condition(without_points(inputs))
        for index, view in enumerate(views):
            view.refinement_tokens = tokens[index : index + 1]

    def draw(self, samples: Sequence[Sample]) -> None:
        """Draw noise from the generators that drew it for the first stage."""
        for sample in samples:
            sizes, config = [len(sample.voxels.coords)], self.networks.refinement.config
            sample.noise = initial_noise(config, sizes, [sample.generator])

    def sample(self, samples: Sequence[Sample], cancelled: Cancelled) -> None:
        """Carry noise to a latent for every voxel."""
        voxels = voxels_of_objects([sample.voxels.coords for sample in samples])
        noise = SparseTensor(voxels, torch.cat([sample.noise for sample in samples]))
        tokens = [sample.view.refinement_tokens for sample in samples]
        if all(each is tokens[0] for each in tokens):
            tokens = tokens[:1]
        condition = torch.cat(tokens)
        model = self.networks.refinement
        latents = sample_refinement(model, condition, noise, self._flow, cancelled)
        for sample, of_sample in zip(samples, latents.objects(), strict=True):
            sample.structured = of_sample

    def decode_splats(self, samples: Sequence[Sample]) -> None:
        """Decode splats, in the object frame."""
        assert self.splats is not None
        for sample in samples:
            (sample.splats,) = decode_splats(self.splats, _latent(sample), [sample.number])

    def decode_mesh(self, samples: Sequence[Sample]) -> None:
        """Decode the fine mesh, in the object frame, with colours."""
        assert self.mesh is not None
        for sample in samples:
            cubes = decode_cubes(self.mesh, _latent(sample), [sample.number])
            coords, resolution = cubes.voxels.coords[:, 1:], self.mesh.config.resolution
            surface = extract_surface(coords, cubes.feats, resolution)
            sample.mesh, sample.has_colors = mesh_from_surface(surface), True


def _latent(sample: Sample) -> SparseTensor:
    """Return the structured latent of one object; its memory is in proportion to it alone."""
    return SparseTensor(voxels_of_objects([sample.voxels.coords]), sample.structured)
