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

"""A model and a source of batches that train in milliseconds."""

import torch
from torch import Tensor, nn

from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.volume.view import TRUNCATION, VolumeBox, VolumeView
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.recipe import OptimiserConfig, StageConfig, TrainingConfig

SIDE = 8  # voxels of the box
STAGE = StageConfig(
    steps=6,
    batch_size=2,
    optimiser=OptimiserConfig(learning_rate=0.02, warmup_steps=2, average_decay=0.5),
)
CONFIG = TrainingConfig(
    preset="tiny",
    pre=STAGE,
    mid=STAGE,
    sft=STAGE,
    dpo=STAGE,
    shortcut=STAGE,
    refine=STAGE,
    log_every=1,
    checkpoint_every=2,
    precision="fp32",
    prefetch=0,
)


class TinyFlow(nn.Module):
    """A flow over spheres: one token of all voxels, and a condition that is the sphere's radius."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.shape = nn.Linear(3, SIDE**3)
            self.layout = nn.Linear(13 + 3, 13)

    def condition(self, view: VolumeView, box: VolumeBox) -> Tensor:
        """Return ``(B, 1, 1)``."""
        return box.side_m[:, None, None]

    def features(self, view: VolumeView, box: VolumeBox) -> Tensor:
        """Return the condition: there is nothing else to see."""
        return self.condition(view, box)

    def tokens(self, features: Tensor) -> Tensor:
        """Return the condition."""
        return features

    def velocity(
        self, x: GeometryLatents, time: Tensor, condition: Tensor, step_size: Tensor
    ) -> GeometryLatents:
        """Return velocities."""
        told = torch.cat(
            (time[:, None, None] / 1000, step_size[:, None, None] / 1000, condition), dim=-1
        )
        layout = torch.cat((x.rotation, x.translation, x.scale, x.translation_scale, told), dim=-1)
        rotation, translation, scale, rest = self.layout(layout).split((6, 3, 3, 1), dim=-1)
        shape = (self.shape(told) - x.shape) / (1.0 - time / 1000)[:, None, None]  # as nano's
        return GeometryLatents(shape, rotation, translation, scale, rest)

    def encode(self, distance: Tensor) -> Tensor:
        """Return all voxels as one token."""
        return distance.flatten(1)[:, None]

    def decode(self, shape: Tensor) -> Tensor:
        """Return the voxels of a token."""
        return shape.reshape(-1, SIDE, SIDE, SIDE)

    def refined(self, distance: Tensor, features: Tensor) -> Tensor:
        """Change nothing: there is no second stage."""
        return distance


class Spheres:
    """A source of spheres, a function of the index."""

    def batch(self, step: int, size: int) -> TrainingBatch:
        """Return ``size`` spheres."""
        generator = torch.Generator().manual_seed(step)
        return spheres(0.15 + 0.25 * torch.rand(size, generator=generator))


def spheres(radius: Tensor) -> TrainingBatch:
    """Return samples of spheres around the middle of their boxes; only sizes are filled in."""
    axis = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    far = torch.cartesian_prod(axis, axis, axis).norm(dim=1).reshape(SIDE, SIDE, SIDE)
    num = len(radius)
    return TrainingBatch(
        view=VolumeView(
            depth_m=torch.ones(num, 4, 4),
            mask=torch.ones(num, 4, 4, dtype=torch.bool),
            matrix_px=torch.eye(3).expand(num, 3, 3),
            up=torch.tensor([0.0, -1.0, 0.0]).expand(num, 3),
            plane=torch.zeros(num, 4),
        ),
        box=VolumeBox(
            rotation=torch.eye(3).expand(num, 3, 3), centre_m=torch.zeros(num, 3), side_m=radius
        ),
        rgb=torch.zeros(num, 3, 4, 4),
        distance=((far - radius[:, None, None, None]) / TRUNCATION).clamp(-1.0, 1.0),
        box_rotation_object=torch.eye(3).expand(num, 3, 3),
        box_centre_object=torch.zeros(num, 3),
        extent=2 * radius[:, None].expand(num, 3),
        families=("sphere",) * num,
        seeds=tuple(range(num)),
    )
