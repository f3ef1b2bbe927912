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

"""What is true in a box of space around a posed object."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from sam3d_ros.objects.volume.box import points_in_camera
from sam3d_ros.objects.volume.features import voxel_middles
from sam3d_ros.objects.volume.view import TRUNCATION, VolumeBox
from sam3d_ros.training.captures.solids import SolidGrids, resampled_m


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedObjects:
    """B objects in their cameras; axes are those of their meshes, origins their bounds' middles."""

    solid: Tensor  # (B,) int64, of ``SolidGrids``
    rotation: Tensor  # (B, 3, 3), camera from object
    middle_m: Tensor  # (B, 3), in the camera
    mirrored: Tensor  # (B,) bool: the mesh is turned inside left to right, x to -x

    def __getitem__(self, samples: Tensor) -> "PosedObjects":
        """Return some of them."""
        return PosedObjects(**{f.name: getattr(self, f.name)[samples] for f in fields(self)})

    def to(self, device: torch.device | str) -> "PosedObjects":
        """Return the same on a device."""
        return PosedObjects(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxTruth:
    """What a volume model has to answer; see ``TrainingBatch``."""

    distance: Tensor  # (B, R, R, R)
    box_rotation_object: Tensor  # (B, 3, 3)
    box_centre_object: Tensor  # (B, 3)
    extent: Tensor  # (B, 3)


def mirrored(objects: PosedObjects, which: Tensor) -> PosedObjects:
    """Return the objects as their cameras show them, of some ``(B,)`` in a mirror along x.

    ``M R m``, of mirrors M of the camera and m of the object, is a rotation: the mirrored mesh
    stands where the mirrored image shows it.
    """
    sign = torch.where(which, -1.0, 1.0).to(objects.middle_m)
    flip = torch.ones_like(objects.middle_m)
    flip[:, 0] = sign
    return replace(
        objects,
        rotation=flip[:, :, None] * objects.rotation * flip[:, None, :],
        middle_m=flip * objects.middle_m,
        mirrored=objects.mirrored ^ which,
    )


def box_truth(
    objects: PosedObjects, grids: SolidGrids, box: VolumeBox, resolution: int
) -> BoxTruth:
    """Measure objects in boxes with ``resolution``^3 voxels."""
    camera = points_in_camera(box, voxel_middles(resolution, box.side_m.device))
    local = (camera - objects.middle_m[:, None]) @ objects.rotation  # R^T p, of rows
    flip = torch.ones_like(objects.middle_m)
    flip[:, 0] = torch.where(objects.mirrored, -1.0, 1.0)
    distance_m = resampled_m(grids, objects.solid, local * flip[:, None])
    in_units = distance_m / (TRUNCATION * box.side_m)[:, None]
    from_box = box.rotation.mT
    offset = from_box @ (objects.middle_m - box.centre_m)[..., None]
    return BoxTruth(
        distance=in_units.clamp(-1.0, 1.0).reshape(-1, *(resolution,) * 3),
        box_rotation_object=from_box @ objects.rotation,
        box_centre_object=offset[..., 0] / box.side_m[:, None],
        extent=grids.extent_m[objects.solid] / box.side_m[:, None],
    )
