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

"""Layout latents of a known pose: ``objects.pose.decode_pose`` the other way round."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sam3d_ros.geometry.measures import bounds
from sam3d_ros.objects.axes import axes_swapped
from sam3d_ros.objects.inputs import SceneNormaliser
from sam3d_ros.objects.pose import ROTATION_6D_MEAN, ROTATION_6D_STD
from sam3d_ros.structures import Mesh, Similarity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayoutTargets:
    """What the layout latents of B objects have to be; shapes as in ``GeometryLatents``."""

    rotation: Tensor  # (B, 1, 6)
    translation: Tensor  # (B, 1, 3)
    scale: Tensor  # (B, 1, 3)


def object_from_cube(mesh: Mesh) -> Similarity:
    """Return where the models' unit cube lies in a mesh's frame.

    Around the middle of the mesh's bounds, of the size of their largest side; axes are the mesh's,
    which should have z up as the released model's shapes do.
    """
    box = bounds(mesh)
    return Similarity(np.eye(3), box.mean(axis=0), float(np.ptp(box, axis=0).max()))


def layout_targets(
    cameras_from_cubes: Sequence[Similarity], normaliser: SceneNormaliser
) -> LayoutTargets:
    """Return the latents from which ``decode_pose`` and ``cameras_from_objects`` get these poses.

    With ``R_camera = F R(q)^T``, as ``axes`` says, ``R(q) = R_camera^T F``; its first two columns
    are the 6D form. The logarithm of the scale stands three times, as the decoder takes their mean.
    """
    unit = normaliser.scale_m[:, None]
    rotation = _stacked([pose.rotation for pose in cameras_from_cubes]).to(unit)
    translation_m = _stacked([pose.translation_m for pose in cameras_from_cubes]).to(unit)
    scale_m = unit.new_tensor([pose.scale for pose in cameras_from_cubes])[:, None]
    reference = axes_swapped(rotation.mT)
    six = torch.cat((reference[..., 0], reference[..., 1]), dim=-1)
    six = (six - six.new_tensor(ROTATION_6D_MEAN)) / six.new_tensor(ROTATION_6D_STD)
    translation = (axes_swapped(translation_m) - normaliser.shift_m) / unit
    return LayoutTargets(
        rotation=six[:, None],
        translation=translation[:, None],
        scale=(scale_m / unit).log().expand(-1, 3)[:, None].contiguous(),
    )


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
