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

"""What decoders and heads answer about N people or hands, as tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.body.camera_head import Placement


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyValues:
    """What makes the rig N people; names as in the released model."""

    global_rot: Tensor  # (N, 3) rad
    body_pose: Tensor  # (N, 133) rad; hands and jaw are 0 here, [:, 124:130] translations
    hand: Tensor  # (N, 108) continuous, left 54 then right 54
    scale: Tensor  # (N, 28)
    shape: Tensor  # (N, 45)
    expression: Tensor  # (N, 72)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedJoints:
    """N bodies without their surface, around their origins, in metres and axes of the camera."""

    keypoints_m: Tensor  # (N, 70, 3)
    joints_m: Tensor  # (N, 127, 3)
    joint_rotations: Tensor  # (N, 127, 3, 3) in the axes of the rig, y up
    rig_parameters: Tensor  # (N, 204) what the rig was given


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedBody(PosedJoints):
    """N bodies around their origins, in metres and the axes of the camera."""

    vertices_m: Tensor  # (N, V, 3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerEstimate:
    """What a decoder says of N crops between two of its layers."""

    raw: Tensor  # (N, 519) what the pose head answered
    values: BodyValues
    keypoints_m: Tensor  # (N, 70, 3) as of ``PosedJoints``
    placement: Placement


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """What one pass of a decoder says of N crops."""

    raw: Tensor  # (N, 519) what the pose head answered
    values: BodyValues
    posed: PosedJoints
    placement: Placement
    hand_boxes: Tensor  # (N, 2, 4) left, right: centre and size in units of the crop, from 0 to 1
    hand_logits: Tensor  # (N, 2, 2) whether there are hands; nothing is decided by them
    earlier: tuple[LayerEstimate, ...] = ()  # after each layer but the last

    @property
    def previous(self) -> Tensor:
        """What another pass over the same crops is told of this one, ``(N, 522)``."""
        values = self.values
        told = (values.shape, values.scale, values.hand, values.expression)
        root_and_body = self.raw[:, : -sum(part.shape[1] for part in told)]
        return torch.cat((root_and_body, *told, self.placement.camera), dim=-1)
