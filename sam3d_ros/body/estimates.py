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

"""What decoders answer about N crops of people or hands."""

from dataclasses import dataclass

from torch import Tensor

from sam3d_ros.body.camera_head import Placement
from sam3d_ros.body.poses import Pose, PosedBody


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerEstimate:
    """What a decoder says between two of its layers."""

    pose: Pose
    keypoints_m: Tensor  # (N, 70, 3) as of a ``PosedBody``
    placement: Placement


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """What one pass of a decoder says."""

    pose: Pose
    posed: PosedBody
    placement: Placement
    hand_boxes: Tensor  # (N, 2, 4) left, right: centre and size in units of the crop, from 0 to 1
    hand_logits: Tensor  # (N, 2, 2) whether there are hands; nothing is decided by them
    earlier: tuple[LayerEstimate, ...] = ()  # after each layer but the last

    @property
    def previous(self) -> Tensor:
        """What another pass over the same crops is told of this one, ``(N, 522)``."""
        return self.pose.estimate(self.placement.camera)
