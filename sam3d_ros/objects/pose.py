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

"""From layout latents to where the object stands; ``axes`` has the conventions and formulas."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.errors import DecodingError
from sam3d_ros.nn.rotations import (
    matrix_from_6d,
    matrix_from_quat_wxyz,
    quat_wxyz_from_matrix,
)
from sam3d_ros.objects.axes import axes_swapped
from sam3d_ros.objects.inputs import SceneNormaliser
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.structures import Similarity

# Of the 6D rotations that the released model was trained on.
ROTATION_6D_MEAN = (
    -0.06366084883674913,
    0.008438224692279752,
    0.00017084786438302483,
    0.0007126610473540038,
    -0.0030916726538816417,
    0.5166093753457688,
)
ROTATION_6D_STD = (
    0.6656971967514863,
    0.6787012271867754,
    0.30345010594844524,
    0.4394504420678794,
    0.39817973931717104,
    0.6176286868761914,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferencePose:
    """Object to camera_p3d as the reference states it: ``(s * x_object) @ R(q) + t``, batched."""

    quat_wxyz: Tensor  # (B, 4)
    translation_m: Tensor  # (B, 3)
    scale_m: Tensor  # (B,), length of the object's unit cube


def decode_pose(latents: GeometryLatents, normaliser: SceneNormaliser) -> ReferencePose:
    """Return the poses of a batch of latents, in the unit of the normaliser.

    The normaliser is that of the point map which the model was conditioned on, or of measured depth
    of the same view: the latents know no unit.

    Raises:
        DecodingError: Latents or normaliser give no finite pose.
    """
    rotation_6d = latents.rotation[:, 0].float()
    matrix = matrix_from_6d(
        rotation_6d * rotation_6d.new_tensor(ROTATION_6D_STD)
        + rotation_6d.new_tensor(ROTATION_6D_MEAN)
    )
    unit = normaliser.scale_m[:, None]
    translation = latents.translation[:, 0].float() * unit + normaliser.shift_m
    scale = (latents.scale[:, 0].float().exp() * unit).mean(dim=-1)  # one for three: no shear
    pose = ReferencePose(
        quat_wxyz=quat_wxyz_from_matrix(matrix), translation_m=translation, scale_m=scale
    )
    _check_finite(pose)
    return pose


def cameras_from_objects(pose: ReferencePose) -> tuple[Similarity, ...]:
    """Return ``camera_from_object`` of each object of a batch, in the optical frame."""
    columns = axes_swapped(matrix_from_quat_wxyz(pose.quat_wxyz.double()))  # (F @ R(q).T).T
    rotation = columns.mT.contiguous().cpu().numpy()
    translation_m = axes_swapped(pose.translation_m.double()).cpu().numpy()
    scale = pose.scale_m.double().cpu().numpy()
    return tuple(
        Similarity(rotation[i], translation_m[i], float(scale[i])) for i in range(len(scale))
    )


def _check_finite(pose: ReferencePose) -> None:
    numbers = torch.cat((pose.quat_wxyz, pose.translation_m, pose.scale_m[:, None]), dim=-1)
    bad = (~numbers.isfinite().all(dim=-1)).nonzero().flatten().tolist()
    if bad:
        raise DecodingError(
            f"the layout latents must give a finite pose, those of objects {bad} in a batch of "
            f"{len(numbers)} do not; try bfloat16 or float32 where the model runs in float16, and "
            "check the weights with `sam3d check`"
        )
