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


"""What training steps learn from: views of objects, and what the objects truly are."""

from dataclasses import dataclass

from torch import Tensor

from sam3d_ros.objects.volume.view import VolumeBox, VolumeView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingBatch:
    """B samples on one device."""

    view: VolumeView
    box: VolumeBox  # what ``box_of`` makes of the view
    rgb: Tensor  # (B, 3, P, P) float32 in [0, 1], of the same crops
    # Signed distances at the middles of the box's R^3 voxels over x, y, z, > 0 outside, clipped to
    # and in units of ``view.TRUNCATION``: in [-1, 1].
    distance: Tensor  # (B, R, R, R) float32
    # The object's own frame: z up as it stands in its family, origin in the middle of its bounds.
    box_rotation_object: Tensor  # (B, 3, 3)
    box_centre_object: Tensor  # (B, 3) that middle, in the box
    extent: Tensor  # (B, 3) of the bounds along the object's axes, in sides of the box
    families: tuple[str, ...]  # where each comes from: a generator family, or a user's folder
    seeds: tuple[int, ...]  # with these the same objects and views come again
