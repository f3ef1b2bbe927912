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

"""One object as the volume model sees it: a square crop of the depth image, and a box of space."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

TRUNCATION = 4 / 64  # of distances to the surface, in sides of the box


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeView:
    """Square crops of depth images around objects, batched; captures and rendered views alike."""

    depth_m: Tensor  # (B, P, P) float32 along z, NaN where unknown; of everything, not the object's
    mask: Tensor  # (B, P, P) bool, the object
    matrix_px: Tensor  # (B, 3, 3) of the crop, without distortion; pixel centres are integers
    up: Tensor  # (B, 3) unit vector against gravity in the camera frame, as far as that is known
    plane: Tensor  # (B, 4) support in the camera frame: height = n . p + d; zeros where unsure

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.mask)

    def __getitem__(self, objects: slice | Tensor) -> "VolumeView":
        """Return some of the objects."""
        return VolumeView(**{each.name: getattr(self, each.name)[objects] for each in fields(self)})

    def to(self, device: torch.device | str) -> "VolumeView":
        """Return the same on a device."""
        return VolumeView(
            **{each.name: getattr(self, each.name).to(device) for each in fields(self)}
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeBox:
    """Cubes around objects: z up, x horizontally away from the camera, y to the left.

    A point u of the box, in [-0.5, 0.5]^3, is ``rotation @ u * side_m + centre_m`` in the camera.
    """

    rotation: Tensor  # (B, 3, 3)
    centre_m: Tensor  # (B, 3)
    side_m: Tensor  # (B,)

    def __getitem__(self, objects: slice | Tensor) -> "VolumeBox":
        """Return some of the boxes."""
        return VolumeBox(**{each.name: getattr(self, each.name)[objects] for each in fields(self)})

    def to(self, device: torch.device | str) -> "VolumeBox":
        """Return the same on a device."""
        return VolumeBox(
            **{each.name: getattr(self, each.name).to(device) for each in fields(self)}
        )


def joined_views(views: Sequence[VolumeView]) -> VolumeView:
    """Return one batch of all objects, whose crops are of one size."""
    names = [each.name for each in fields(VolumeView)]
    return VolumeView(**{name: torch.cat([getattr(v, name) for v in views]) for name in names})


def joined_boxes(boxes: Sequence[VolumeBox]) -> VolumeBox:
    """Return one batch of all boxes."""
    names = [each.name for each in fields(VolumeBox)]
    return VolumeBox(**{name: torch.cat([getattr(b, name) for b in boxes]) for name in names})
