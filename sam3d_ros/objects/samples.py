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

"""What the stages of the pipeline note: of each view, and of each answer to it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sam3d_ros.objects.inputs import PreparedObjects
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.stages import Work
from sam3d_ros.objects.volume.prepare import PreparedVolume
from sam3d_ros.objects.voxels import SurfaceVoxels
from sam3d_ros.structures import Mesh, ObjectReconstruction, Observation, Similarity, Splats


@dataclass(slots=True, kw_only=True, eq=False)
class View(Work):
    """One observation, and what the models are told of it."""

    observation: Observation
    prepared: PreparedObjects = field(init=False)  # for SAM 3D
    volume: PreparedVolume = field(init=False)  # for nano
    features: Tensor = field(init=False)  # (1, C, S, S, S) of voxels, for nano's second stage
    geometry_tokens: Tensor = field(init=False)  # (1, N, C)
    mirrored_tokens: Tensor = field(init=False)  # (1, N, C), likewise of the mirror image, for nano
    refinement_tokens: Tensor = field(init=False)  # (1, N, C)


@dataclass(slots=True, kw_only=True, eq=False)
class Sample(Work):
    """One answer to one view: that of one seed."""

    view: View
    seed: int
    generator: torch.Generator = field(init=False)  # of all its noise
    latents: GeometryLatents = field(init=False)  # of a batch of one
    mirrored: GeometryLatents = field(init=False)  # likewise, of the mirror image, for nano
    logits: Tensor = field(init=False)  # (S, S, S), of occupancy
    distance: Tensor = field(init=False)  # (S, S, S), truncated, in the box of nano
    voxels: SurfaceVoxels = field(init=False)
    camera_from_object: Similarity = field(init=False)
    noise: Tensor = field(init=False)  # (N, C), of its voxels
    structured: Tensor = field(init=False)  # (N, C), what the decoders take
    splats: Splats | None = None
    mesh: Mesh = field(init=False)  # in the object frame
    has_colors: bool = False  # whether its colours are the model's
    notes: tuple[str, ...] = ()  # on the mesh, see Provenance
    result: ObjectReconstruction = field(init=False)

    @property
    def number(self) -> int:
        """By which errors name the object: that of its mask."""
        return self.view.observation.instance.instance_id
